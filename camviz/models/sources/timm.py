"""timm's image classifiers: by name, from a folder that timm saved, or from a repository of the hub."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from camviz.errors import CheckpointError, ModelError, RequestError, UnknownName, WeightsError, first_of, match, unknown
from camviz.io.texts import parse_json, read_text
from camviz.models import hub
from camviz.models.catalog import weights_file
from camviz.models.checkpoint import check_file, fit, kind_of, read_weights
from camviz.models.sources import LISTINGS, SOURCES, Offer, Plan, check_weights, installed, literal, need
from camviz.models.stated import from_configuration
from camviz.models.timm_names import Architecture, architectures, class_names, task_of
from camviz.types import Model, ModelRequest

_LISTING = "'camviz models timm:'"


@SOURCES.add("timm", offers="image classifiers of timm, by name or from a folder", runs_code="no")
def timm(name: str, request: ModelRequest) -> Plan:
    """Every model of timm: NAME, NAME.TAG, a folder with timm's config.json, or OWNER/NAME of the hub."""
    spec = f"timm:{name}"
    need("timm", "timm", spec)
    folder = Path(name).expanduser()
    if "/" in name or folder.is_dir():
        return _from_folder(spec, folder, name, request)
    stem, _, tag = name.partition(".")
    known = architectures()
    if (stem := match("model", stem, known) or stem) not in known:
        raise unknown("model", spec, [f"timm:{entry}" for entry in known], listing=_LISTING)
    spec = f"timm:{stem}.{tag}" if tag else f"timm:{stem}"
    tag = _choose_tag(spec, known[stem], tag, request)
    pretrained = not (request.checkpoint or request.weights == "none")
    if pretrained and known[stem].configurations and not known[stem].weights:
        raise WeightsError(
            f"timm has no weights for '{spec}'", "--weights none takes it untrained; --checkpoint FILE yours"
        )
    configuration = known[stem].find(tag)
    full = f"{stem}.{tag}" if tag else stem

    def build(meta: bool = False) -> Model:
        overlay = _weights_of(spec, full) if pretrained and not meta else None
        return _model(spec, full, request, overlay, meta)

    classes = configuration.classes if configuration else None
    labels = class_names(classes) if classes else ()
    if request.arguments:  # may set the number of classes, or features_only
        return Plan(spec, build, (), lambda: build(meta=True))
    return Plan(spec, build, labels, lambda: build(meta=True), "" if classes is None else task_of(stem, classes))


def _choose_tag(spec: str, architecture: Architecture, tag: str, request: ModelRequest) -> str:
    """The tag of the weights asked for, in the name or by --weights; "" for timm's default."""
    asked = request.weights if request.weights not in ("default", "none") else ""
    wanted = asked or tag
    tags = [entry.tag for entry in architecture.configurations if entry.tag]
    if wanted and tags and wanted not in tags:
        choices = first_of(["default", "none", *tags], 10)
        raise UnknownName(
            f"no weights '{wanted}' for timm:{architecture.name}",
            f"there are {choices}; or a FILE that exists",
        )
    if asked and tag and asked != tag:
        raise RequestError(f"two sets of weights: '{tag}' in '{spec}' and --weights {asked}", "give one of them")
    return wanted


def _from_folder(spec: str, folder: Path, name: str, request: ModelRequest) -> Plan:
    """A folder as timm's `save_for_hf` writes it, or a repository of the hub with the same files."""
    local = folder.is_dir()
    by_hand = "download its files to a folder: --model timm:FOLDER"
    if not local and (name.startswith((".", "/", "~")) or name.endswith("/") or name.count("/") != 1):
        raise RequestError(f"no folder '{name}'", f"--model timm:FOLDER with config.json; {_LISTING} lists names")
    check_weights(request, f"'{spec}'")
    pretrained = not (request.checkpoint or request.weights == "none")
    config = folder / "config.json" if local else hub.cached(name, "config.json")
    facts = read_config(config, spec) if config else {}
    if facts:
        _architecture(facts, spec)
    if local and pretrained:
        weights_in(folder, spec)  # what is wrong with it is said before anything is built

    def build(meta: bool = False) -> Model:
        source = folder if local else hub.get(name, "config.json", by_hand).parent
        saved = read_config(source / "config.json", spec)
        overlay = _own_configuration(saved)
        if pretrained and not meta:
            if not local:
                hub.get(name, "model.safetensors", by_hand)
            file = weights_in(source, spec)
            if kind_of(file) != "safetensors":
                untrained = build_from(saved, overlay, replace(request, weights="none"), meta)
                fitted, notes = fit(untrained.module, read_weights(file, request.allow_pickle).state, str(file), spec)
                return replace(untrained, notes=(*notes, f"checkpoint: {fitted.summary()}"), fitted=fitted.counts)
            overlay["file"] = str(file)
        return build_from(saved, overlay, request, meta)

    def build_from(saved: dict[str, Any], overlay: dict[str, Any], asked: ModelRequest, meta: bool) -> Model:
        return _model(spec, _architecture(saved, spec), asked, overlay, meta, saved.get("model_args") or {})

    saved = _own_configuration(facts)
    labels = _given_labels(saved) or class_names(saved.get("num_classes", 0))
    task = task_of(_architecture(facts, spec), saved["num_classes"]) if facts and "num_classes" in saved else ""
    return Plan(spec, build, labels, lambda: build(meta=True), task)


def read_config(path: Path, spec: str) -> dict[str, Any]:
    """Return the config.json of a saved model; raises `RequestError` when it is missing or not JSON."""
    hint = f"'{spec}' wants a folder with config.json and model.safetensors, as it was saved"
    if not path.is_file():
        raise RequestError(f"no config.json in '{path.parent}'", hint)
    content = parse_json(read_text(path, "configuration", hint), path, "configuration", hint)
    if not isinstance(content, dict):
        raise RequestError(f"'{path}' is JSON of another form", hint)
    return content


def weights_in(folder: Path, spec: str, index: str = "") -> Path:
    """Return the checked file of weights in the folder of a saved model: safetensors, or else a pickle.

    `index` is a file that may stand for several files of weights.
    """
    parts = sorted(folder.glob("*.safetensors"))
    for path in parts:
        check_file(path)
    for path in [folder / "model.safetensors", *([folder / index] if index else []), *parts]:
        if path.is_file():
            return path
    pickled = [path for suffix in ("bin", "pth", "pt") for path in sorted(folder.glob(f"*.{suffix}"))]
    if not pickled:
        raise CheckpointError(
            f"no weights in '{folder}' for '{spec}'", "model.safetensors belongs there; --weights none goes without"
        )
    check_file(pickled[0])
    return pickled[0]


def _architecture(facts: dict[str, Any], spec: str) -> str:
    name = facts.get("architecture")
    if not isinstance(name, str):
        if "model_type" in facts:
            raise RequestError(f"'{spec}' was saved by transformers", f"--model hf:{spec.partition(':')[2]}")
        raise RequestError(f"config.json of '{spec}' names no architecture", "was it saved by timm?")
    if name not in architectures():
        raise ModelError(f"timm has no architecture '{name}', which '{spec}' asks for", "pip install -U timm")
    return name


def _own_configuration(facts: dict[str, Any]) -> dict[str, Any]:
    """What a saved config.json says about preprocessing and classes, without where it once came from."""
    saved = dict(facts.get("pretrained_cfg") or {})
    saved.update({key: facts[key] for key in ("num_classes", "label_names", "label_descriptions") if key in facts})
    return {key: value for key, value in saved.items() if key not in ("url", "hf_hub_id", "source", "file")}


def _weights_of(spec: str, name: str) -> dict[str, Any] | None:
    """Which file timm is to read, got from the hub; None where it downloads from an address by itself."""
    from timm.models import get_pretrained_cfg

    configuration = get_pretrained_cfg(name)
    if configuration is None or not configuration.has_weights:
        raise WeightsError(f"timm has no weights for '{spec}'", "--weights none takes it untrained")
    if not configuration.hf_hub_id:
        return None
    repository = configuration.hf_hub_id
    address = f"{hub.endpoint()}/{repository}/resolve/main"
    wanted = configuration.hf_hub_filename or "model.safetensors"
    hint = f"get {address}/{wanted} elsewhere, then --checkpoint FILE; or --weights none, or --model demo, work offline"
    try:
        file = hub.get(repository, wanted, hint)
    except hub.NoSuchFile:
        file = hub.get(repository, "pytorch_model.bin", hint)
    return {"file": str(file), "custom_load": False}


def _model(
    spec: str,
    name: str,
    request: ModelRequest,
    overlay: dict[str, Any] | None,
    meta: bool,
    arguments: dict[str, Any] | None = None,
) -> Model:
    """The model, untrained without `overlay["file"]` unless weights are asked for and have an address."""
    from timm.data import resolve_model_data_config
    from timm.models import get_pretrained_cfg

    from camviz.models.cheap_init import parameters_on_meta

    pretrained = not (request.checkpoint or request.weights == "none" or meta)
    keywords = {**(arguments or {}), **{key: literal(text) for key, text in request.arguments}}
    if overlay and "num_classes" in overlay and "num_classes" not in keywords:
        keywords["num_classes"] = overlay["num_classes"]
    configuration = get_pretrained_cfg(name)
    if request.input_size and configuration is not None and configuration.fixed_input_size:
        keywords["img_size"] = request.input_size[::-1]
    if meta:
        try:
            with parameters_on_meta():
                module = _create(spec, name, False, overlay, keywords)
        except ModelError:  # a constructor that computes with its parameters
            module = _create(spec, name, False, overlay, keywords)
    else:
        module = _create(spec, name, pretrained, overlay, keywords)
    described = module.pretrained_cfg
    classes = int(getattr(module, "num_classes", 0 if hasattr(module, "feature_info") else described["num_classes"]))
    return Model(
        spec,
        module,
        from_configuration(resolve_model_data_config(module)),
        _given_labels(described) or class_names(classes),
        task_of(name, classes),
    )


def _create(spec: str, name: str, pretrained: bool, overlay: dict[str, Any] | None, keywords: dict[str, Any]) -> Any:
    import timm

    try:
        return timm.create_model(name, pretrained=pretrained, pretrained_cfg_overlay=overlay, **keywords)
    except TypeError as error:
        if "img_size" not in keywords:
            raise ModelError(f"timm cannot build '{spec}': {error}", "another --model") from error
        return _create(spec, name, pretrained, overlay, {k: v for k, v in keywords.items() if k != "img_size"})
    except Exception as error:
        reason = str(getattr(error, "reason", error)).strip().partition("\n")[0]
        if not pretrained:
            raise ModelError(f"timm cannot build '{spec}': {reason}", "another --model or --input-size") from error
        if overlay and "file" in overlay:
            raise CheckpointError(
                f"the weights of '{spec}' in '{overlay['file']}' do not load: {reason}", "copy or download them again"
            ) from error
        url = timm.models.get_pretrained_cfg(name).url
        raise WeightsError(
            f"cannot get the weights of '{spec}' from {url} ({reason})",
            f"put that file at {weights_file(url)}; or --weights none, or --model demo, work offline",
        ) from error


def _given_labels(configuration: dict[str, Any]) -> tuple[str, ...]:
    """The class names that a saved model brings along."""
    names = configuration.get("label_names")
    if not names:
        return ()
    described = configuration.get("label_descriptions") or {}
    return tuple(str(described.get(name, name)) if isinstance(described, dict) else str(name) for name in names)


@LISTINGS.add("timm")
def listing() -> Iterable[Offer]:
    """Every architecture, its weights by tag, and which of them the hub's cache has."""
    if not installed("timm"):
        return
    here = set(hub.repositories())
    for entry in architectures().values():
        default = entry.find("")
        classes = default.classes if default else None
        yield Offer(
            f"timm:{entry.name}",
            task_of(entry.name, 1000 if classes is None else classes),
            tuple(weights.tag or "default" for weights in entry.weights),
            entry.weights[0].tag if entry.weights else "",
            tuple(
                weights.tag or "default"
                for weights in entry.weights
                if (weights.hub in here and hub.cached(weights.hub, "model.safetensors"))
                or (weights.url and weights_file(weights.url).exists())
            ),
        )
