"""torchvision's models for one image, with or without their pretrained weights."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from camviz.errors import ModelError, UnknownName, WeightsError, match, unknown
from camviz.models.catalog import Listing, class_names, listings, weights_file
from camviz.models.sources import LISTINGS, SOURCES, Offer, Plan, installed
from camviz.models.timm_names import architectures
from camviz.types import Model, ModelRequest, Preprocessing

_LONGEST = 4  # times the short side: a longer image is shown smaller to a segmenter


@SOURCES.add(
    "torchvision", offers="classifiers of images and videos, segmenters and detectors, by name", runs_code="no"
)
def torchvision(name: str, request: ModelRequest) -> Plan:
    """Every model of torchvision that takes one image, by its name."""
    known = listings()
    name = match("model", name, known) or name
    if name not in known:
        raise _unknown(name, list(known))
    listing = known[name]
    _check_task(listing)
    chosen = _choose_weights(listing, request)
    task = listing.task.removeprefix("video ")

    def build(meta: bool = False) -> Model:
        from torchvision import models

        from camviz.models.cheap_init import parameters_on_meta, without_initialization

        enum = models.get_model_weights(name)
        described = enum[chosen] if chosen else next(iter(enum))
        arguments = _arguments(listing, described, same=meta or not chosen)
        arguments |= {key: ast.literal_eval(text) for key, text in request.arguments}
        if meta and listing.task != "detection":  # detectors pick boxes by their values
            with parameters_on_meta():
                module = models.get_model(name, weights=None, **arguments)
        elif chosen and not meta:
            with without_initialization():
                module = _download(name, described)
        else:
            module = models.get_model(name, weights=None, **arguments)
        preprocessing = _preprocessing(listing, described)
        if preprocessing.frames > 1:
            from camviz.models.video_models import stacked

            module = stacked(module, preprocessing.frames)
        labels = tuple(described.meta["categories"])
        known = arguments.get("num_classes", len(labels)) == len(labels)  # the names of other classes would be wrong
        return Model(name, module, preprocessing, labels if known else (), task)

    return Plan(name, build, class_names(listing.categories), lambda: build(meta=True), task)


_FOLDERS = "--model hf:FOLDER or timm:FOLDER as the library saved it, or FOLDER/my.pth"


def _unknown(name: str, known: list[str]) -> UnknownName:
    """The error for a name that torchvision does not have, but perhaps timm, or a saved folder, or a repository."""
    config = Path(name).expanduser() / "config.json"
    if config.is_file():
        source = "hf" if '"model_type"' in config.read_text("utf-8", "replace") else "timm"
        return UnknownName(f"no model '{name}' in torchvision, it is a folder", f"did you mean '{source}:{name}'?")
    if Path(name).expanduser().is_dir():
        return UnknownName(f"no model '{name}' in torchvision, it is a folder without config.json", _FOLDERS)
    if re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w.-]+)?", name) and not Path(name).parent.is_dir():
        return UnknownName(f"no model '{name}' in torchvision", f"did you mean 'hf:{name}' or 'timm:{name}'?")
    if installed("timm") and name.partition(".")[0] in architectures():
        return UnknownName(f"no model '{name}' in torchvision", f"did you mean 'timm:{name}'?")
    return unknown("model", name, ["demo", *known], listing="'camviz models'")


def _check_task(listing: Listing) -> None:
    """Refuse what neither one image nor one clip can be given to, or what has no gradient."""
    hint = "'camviz models' tells the task of each"
    if listing.task == "optical flow":
        raise ModelError(f"'{listing.name}' takes two images and gives what moved between them", hint)
    if listing.task == "quantized classification":
        plain = listing.name.removeprefix("quantized_")
        raise ModelError(
            f"'{listing.name}' computes in integers, which have no gradients",
            f"--model {plain} is the same model in floating point",
        )


def _choose_weights(listing: Listing, request: ModelRequest) -> str:
    """The name of the weights asked for, "" for none."""
    if request.checkpoint or request.weights == "none":
        return ""
    if request.weights == "default":
        return listing.default
    if request.weights not in listing.weights:
        choices = ", ".join(["default", "none", *listing.weights])
        raise UnknownName(
            f"no weights '{request.weights}' for {listing.name}", f"{listing.name} has {choices}; or a FILE that exists"
        )
    return request.weights


def _arguments(listing: Listing, described: Any, same: bool) -> dict[str, Any]:
    """What a builder needs: no download for its backbone; with `same`, for the model that the weights are for."""
    name = listing.name
    arguments: dict[str, Any] = {}
    if listing.task in ("segmentation", "detection"):
        arguments["weights_backbone"] = None
        if name.startswith(("fcn_", "deeplabv3_")):
            arguments["aux_loss"] = True
    if same and name in ("googlenet", "inception_v3"):
        arguments = {"init_weights": False, "aux_logits": True, "transform_input": True}
    if same and name.startswith("vit_"):
        arguments["image_size"] = described.transforms().crop_size[0]
    return arguments


def _download(name: str, described: Any) -> Any:
    from torchvision import models

    try:
        return models.get_model(name, weights=described, progress=sys.stderr.isatty())
    except (OSError, RuntimeError) as error:  # URLError and HTTPError are OSErrors; a broken file a RuntimeError
        file = weights_file(described.url)
        reason = str(getattr(error, "reason", error)).partition("\n")[0]
        raise WeightsError(
            f"cannot get the weights of {name} from {described.url} ({reason})",
            f"put that file at {file}; or --weights none, or --model demo, work offline",
        ) from error


def _preprocessing(listing: Listing, described: Any) -> Preprocessing:
    """The weights' own transform; that of a detector is in the model, and read from there later."""
    if listing.task == "detection":
        return Preprocessing()
    transform = described.transforms()
    mean, std = tuple(transform.mean), tuple(transform.std)
    if listing.task == "segmentation":  # no crop: the whole image, its short side resized
        side = transform.resize_size[0]
        return Preprocessing((side, side), side, mean, std, transform.interpolation.value, longest=_LONGEST * side)
    side = transform.crop_size[0]
    if listing.task == "video classification":
        return _of_clips(listing.name, transform)
    return Preprocessing((side, side), transform.resize_size[0], mean, std, transform.interpolation.value)


def _of_clips(name: str, transform: Any) -> Preprocessing:
    """The transform of a video classifier, for each frame of a clip as long as in training."""
    from camviz.models.video_models import LENGTHS, USUAL_LENGTH

    frames = LENGTHS.get(name, USUAL_LENGTH)
    height, width = transform.crop_size
    size = transform.resize_size
    resize = (size[0], size[1]) if len(size) == 2 else size[0]
    mean, std = tuple(transform.mean), tuple(transform.std)
    return Preprocessing((frames * height, width), resize, mean, std, transform.interpolation.value, frames=frames)


@LISTINGS.add("torchvision")
def listing() -> Iterable[Offer]:
    """Every model of torchvision, also those that are no networks for one image."""
    for entry in listings().values():
        cached = tuple(name for name, url in entry.weights.items() if weights_file(url).exists())
        yield Offer(entry.name, entry.task, tuple(entry.weights), entry.default, cached)
