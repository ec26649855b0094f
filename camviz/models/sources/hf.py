"""Models of transformers: from a folder that `save_pretrained` wrote, or from a repository of the hub.

Code that comes with a model is never run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from camviz.errors import CheckpointError, ModelError, RequestError, first_of
from camviz.models import hub
from camviz.models.backbones import takes_images
from camviz.models.checkpoint import kind_of, read_weights
from camviz.models.clip_text import TOKENIZERS, text_encoder
from camviz.models.image_processors import FILES, preprocessing_of
from camviz.models.labels import from_id2label
from camviz.models.sources import LISTINGS, SOURCES, Offer, Plan, check_weights, need
from camviz.models.sources.timm import read_config, weights_in
from camviz.types import Model, ModelRequest

_INDEX = "model.safetensors.index.json"
_HEADS = {  # the end of an architecture's name: (task, the class of transformers that builds it)
    "ForImageClassification": ("classification", "AutoModelForImageClassification"),
    "ForImageClassificationWithTeacher": ("classification", "AutoModelForImageClassification"),
    "ForSemanticSegmentation": ("segmentation", "AutoModelForSemanticSegmentation"),
    "ForObjectDetection": ("detection", "AutoModelForObjectDetection"),
    "ForUniversalSegmentation": ("segmentation", "AutoModelForUniversalSegmentation"),
    "MaskFormerForInstanceSegmentation": ("segmentation", "AutoModelForInstanceSegmentation"),
    "ForInstanceSegmentation": ("detection", "AutoModelForInstanceSegmentation"),
    "DetrForSegmentation": ("detection", "AutoModelForImageSegmentation"),
    "ForDepthEstimation": ("dense", "AutoModelForDepthEstimation"),
}
_WITH_PROMPTS = (
    "OwlViT",
    "Owlv2",
    "GroundingDino",
    "MMGroundingDino",
    "OmDetTurbo",
    "OneFormer",
)  # texts beside images
_BACKBONES = ("Model", "Backbone", "WithProjection", "VisionTransformer")  # ends of names of models without a head
_ENCODERS = ("ForPreTraining", "ForMaskedImageModeling")  # of models whose encoder is of use: AutoModel builds it
_OF_IMAGES = ("num_channels", "image_size", "patch_size", "in_channels", "vision_config", "backbone_config")  # settings
_WITH_WORDS = ("AlignModel", "AltCLIPModel", "ChineseCLIPModel", "CLIPModel", "MetaClip2Model", "SiglipModel")


@dataclass(frozen=True)
class _Described:
    """The task, builder class, class names and whether there is a text encoder, as a config.json describes them."""

    task: str
    builder: str
    labels: tuple[str, ...] = ()
    words: bool = False


@SOURCES.add(
    "hf",
    offers="classifiers, segmenters, detectors and backbones of transformers, CLIP and SigLIP, by folder or name",
    runs_code="no",
)
def hf(name: str, request: ModelRequest) -> Plan:
    """A folder with config.json and model.safetensors, or OWNER/NAME of the hub (OWNER/NAME@REVISION)."""
    spec = f"hf:{name}"
    need("transformers", "hf", spec)
    folder = Path(name).expanduser()
    local = folder.is_dir()
    if not local and (name.startswith((".", "/", "~")) or name.endswith("/") or name.count("/") > 1 or not name):
        raise RequestError(f"no folder '{name}'", "--model hf:FOLDER with config.json and model.safetensors")
    check_weights(request, f"'{spec}'")
    pretrained = not (request.checkpoint or request.weights == "none")
    if local and (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        raise ModelError(
            f"'{spec}' is a LoRA adapter (adapter_config.json), not a model",
            "merge it with peft: PeftModel.from_pretrained(base, folder).merge_and_unload().save_pretrained(other)",
        )
    config = folder / "config.json" if local else hub.cached(name, "config.json")
    described = _describe(read_config(config, spec), spec) if config else None
    if local and pretrained:
        weights_in(folder, spec, _INDEX)  # what is wrong is said before anything is built

    def build(meta: bool = False) -> Model:
        wanted = pretrained and not meta
        return _load(spec, folder if local else _download(name, spec, wanted), wanted, meta, request.allow_pickle)

    skeleton = lambda: build(meta=True)  # noqa: E731
    if described is None:
        return Plan(spec, build, (), skeleton)
    return Plan(spec, build, described.labels, skeleton, described.task)


def _describe(facts: dict[str, Any], spec: str) -> _Described:
    """The task, its builder and the class names. Raises `ModelError` for a model with another head."""
    name = spec.partition(":")[2]
    if "model_type" not in facts and "architecture" in facts:
        raise RequestError(f"'{spec}' was saved by timm", f"--model timm:{name}")
    architecture = str(next(iter(facts.get("architectures") or ()), ""))
    if architecture in _WITH_WORDS:
        return _Described("embedding", architecture, words=True)
    if any(setting in facts for setting in _OF_IMAGES):
        if architecture.endswith(_BACKBONES):
            return _Described("embedding", architecture)
        if architecture.endswith(_ENCODERS):
            return _Described("embedding", "AutoModel")
    if architecture.startswith(_WITH_PROMPTS):
        raise ModelError(
            f"'{spec}' is a {architecture}, which takes a text beside each image",
            "--model net.py:NAME with a function 'inputs(batch)' in the file that adds the tokens of the text",
        )
    head = next((end for end in _HEADS if architecture.endswith(end)), None)
    if head is None:
        what = f"is a {architecture}" if architecture else "has a config.json that names no architecture"
        raise ModelError(
            f"'{spec}' {what}, not a backbone or a model for image classification, segmentation, object "
            "detection, depth, or images and words",
            "--model net.py:NAME takes a model you build from it in a file of your own",
        )
    task, builder = _HEADS[head]
    task = {"regression": "regression", "multi_label_classification": "multilabel"}.get(
        str(facts.get("problem_type")), task
    )
    return _Described(task, builder, from_id2label(facts.get("id2label") or {}))


def _download(name: str, spec: str, weights: bool) -> Path:
    """The folder of the hub's cache that has the repository's files, got if need be."""
    hint = f"get {hub.endpoint()}/{name.replace('@', '/tree/')} elsewhere into a folder, then --model hf:FOLDER"
    folder = hub.get(name, "config.json", hint).parent
    words = _describe(read_config(folder / "config.json", spec), spec).words
    _get_any(name, FILES, hint)
    _get_any(name, TOKENIZERS if words else (), hint)
    if not weights:
        return folder
    try:
        hub.get(name, "model.safetensors", hint)
        return folder
    except hub.NoSuchFile:
        pass
    try:
        index = hub.get(name, _INDEX, hint)
        for file in set(json.loads(index.read_text("utf-8"))["weight_map"].values()):
            hub.get(name, file, hint)
    except hub.NoSuchFile:
        hub.get(name, "pytorch_model.bin", hint)
    return folder


def _get_any(name: str, files: Sequence[str], hint: str) -> None:
    """Get those of the files that the repository has, unless one of them is here already."""
    if any(hub.cached(name, file) for file in files):
        return
    for file in files:
        with suppress(hub.NoSuchFile):
            hub.get(name, file, hint)


def _load(spec: str, folder: Path, pretrained: bool, meta: bool, allow_pickle: bool) -> Model:
    """The model of a folder on this machine, with the preprocessing and the class names beside it."""
    import transformers

    from camviz.models.cheap_init import parameters_on_meta

    described = _describe(read_config(folder / "config.json", spec), spec)
    with _quiet(transformers):
        try:
            config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
            if hasattr(config, "use_pretrained_backbone"):
                config.use_pretrained_backbone = False  # the weights of the folder are for all of it
        except Exception as error:
            raise ModelError(f"transformers cannot read '{spec}': {_reason(error)}", _newer(error)) from error
        builder = getattr(transformers, described.builder, None)
        if builder is None:
            raise ModelError(
                f"transformers has no {described.builder}, which '{spec}' is", "pip install -U transformers"
            )
        notes: tuple[str, ...] = ()
        if pretrained:
            module, notes = _trained(builder, config, folder, spec, allow_pickle)
        elif meta and described.task != "detection":  # detectors pick boxes by their values
            try:
                with parameters_on_meta():
                    module = _untrained(builder, config, spec)
            except ModelError:  # a constructor that computes with its parameters
                module = _untrained(builder, config, spec)
        else:
            module = _untrained(builder, config, spec)
        preprocessing, assumed = preprocessing_of(folder, config, spec)
    if assumed:
        notes = (*notes, f"no preprocessor_config.json in '{folder}': {assumed} is assumed")
    model = Model(spec, module, preprocessing, described.labels, described.task, notes=notes)
    words = text_encoder(module, folder, spec) if described.words else None
    return replace(model, module=takes_images(module, described.task == "embedding"), embed_text=words)


def _untrained(builder: Any, config: Any, spec: str) -> Any:
    import torch

    try:
        if hasattr(builder, "from_config"):
            return builder.from_config(config, dtype=torch.float32, trust_remote_code=False)
        return builder._from_config(config, dtype=torch.float32)
    except Exception as error:
        raise ModelError(f"transformers cannot build '{spec}': {_reason(error)}", _newer(error)) from error


def _trained(builder: Any, config: Any, folder: Path, spec: str, allow_pickle: bool) -> tuple[Any, tuple[str, ...]]:
    """The model with the folder's weights, and what of it they did not have."""
    import torch

    file = weights_in(folder, spec, _INDEX)
    safe = file.name == _INDEX or kind_of(file) == "safetensors"
    state = None if safe else read_weights(file, allow_pickle).state
    model_class = builder if safe else _concrete(builder, config)  # the former wants a folder

    def read(**settings: bool) -> tuple[Any, list[str]]:
        module, info = model_class.from_pretrained(
            folder if safe else None,
            config=config,
            state_dict=state,
            dtype=torch.float32,
            use_safetensors=safe,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            **settings,
        )
        return module, sorted(info.get("missing_keys") or ())

    notes: tuple[str, ...] = ()
    try:
        module, missing = read()
        if missing and all(key.startswith("pooler.") for key in missing) and hasattr(module, "pooler"):
            module, missing = read(add_pooling_layer=False)
            notes = ("the weights have no pooler: the class token is the embedding",)
    except Exception as error:
        raise CheckpointError(
            f"the weights of '{spec}' do not load: {_reason(error)}", "copy or download them again; or --weights none"
        ) from error
    if not missing:
        return module, notes
    listed = first_of(missing, 3)
    parameters = {key for key, tensor in module.named_parameters() if tensor.ndim > 1}
    if parameters & set(missing):
        raise CheckpointError(
            f"the weights of '{spec}' do not have {listed}: {len(missing)} tensor(s) would stay untrained",
            "fine-tune it first, or name a repository whose weights have its head",
        )
    return module, (*notes, f"{len(missing)} tensors are not among its weights ({listed})")


def _concrete(builder: Any, config: Any) -> Any:
    """The class that an Auto class builds."""
    mapping = getattr(builder, "_model_mapping", None)
    return builder if mapping is None else mapping[type(config)]


def _reason(error: Exception) -> str:
    """The first line of a library's error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]


def _newer(error: Exception) -> str:
    """The hint for a model that transformers does not know or does not build."""
    if "timm" in str(error):
        return "pip install 'camviz[timm]'"
    if needed := re.search(r"requires the (\w+) library", str(error)):
        return f"pip install {needed[1]}"
    if "trust_remote_code" in str(error) or "custom code" in str(error):
        return "its own code is never run: build it in a file of your own, --model net.py:NAME"
    return "pip install -U transformers"


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Within the block transformers neither warns nor draws progress bars; camviz says what matters."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@LISTINGS.add("hf")
def listing() -> Iterable[Offer]:
    """The models of transformers in the hub's cache; any other of the hub can be named too."""
    for name in hub.repositories():
        config = hub.cached(name, "config.json")
        try:
            described = _describe(read_config(config, f"hf:{name}"), name) if config else None
        except RequestError:
            continue
        if described:
            files = ("model.safetensors", _INDEX, "pytorch_model.bin")
            here = any(hub.cached(name, file) for file in files)
            yield Offer(f"hf:{name}", described.task, ("default",), "default", ("default",) if here else ())
