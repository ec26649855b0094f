"""torchvision's detectors and segmenters; and the weights of anything of torchvision's."""

from __future__ import annotations

import sys
from typing import Any

from camviz.errors import UnknownName, WeightsError
from camviz.models.catalogue import Listing, detectors, labels_of, segmenters, weights_file
from camviz.models.sources import Plan
from camviz.types import Model, ModelRequest, Preprocessing

_LONGEST = 4  # times the short side: a longer picture is shown smaller


def dense_plan(name: str, request: ModelRequest) -> Plan:
    """A detector or a segmenter of torchvision. A detector's preprocessing is read from the network itself."""
    task = "detection" if name in detectors() else "segmentation"
    chosen = choose_weights((detectors() | segmenters())[name], request)
    labels = labels_of(21 if task == "segmentation" else 2 if name.startswith("keypoint") else 91)

    def build(weights: str = chosen) -> Model:
        from torchvision import models

        from camviz.models.survey import without_initialisation

        enum = models.get_model_weights(name)
        described = enum[weights] if weights else next(iter(enum))
        if weights:
            with without_initialisation():
                network = download(name, described)
        else:
            network = models.get_model(name, weights=None, weights_backbone=None, **_arguments(name, described))
        how = _preprocessing(described) if task == "segmentation" else Preprocessing()
        return Model(name, network, how, tuple(described.meta["categories"]), task)

    return Plan(name, build, labels, lambda: build(""), task)


def _arguments(name: str, described: Any) -> dict[str, Any]:
    """What a builder needs without weights, to make the same network as with them."""
    arguments: dict[str, Any] = {"num_classes": len(described.meta["categories"])}
    if name.startswith(("fcn", "deeplab")):
        arguments["aux_loss"] = True
    return arguments


def _preprocessing(described: Any) -> Preprocessing:
    transform = described.transforms()
    [side] = transform.resize_size
    return Preprocessing(
        crop=(side, side),
        resize=side,
        mean=tuple(transform.mean),
        std=tuple(transform.std),
        interpolation=transform.interpolation.value,
        longest=_LONGEST * side,
    )


def choose_weights(listing: Listing, request: ModelRequest) -> str:
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


def download(name: str, described: Any) -> Any:
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
