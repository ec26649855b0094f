"""torchvision's image classifiers, with or without their pretrained weights."""

from __future__ import annotations

import ast
import sys
from typing import Any

from camviz.errors import UnknownName, WeightsError, unknown
from camviz.models.catalogue import Listing, classifiers, imagenet_labels, weights_file
from camviz.models.sources import SOURCES, Plan
from camviz.types import Model, ModelRequest, Preprocessing


@SOURCES.add("torchvision", offers="image classifiers")
def torchvision(name: str, request: ModelRequest) -> Plan:
    """Every image classifier of torchvision, by its name."""
    known = classifiers()
    if name not in known:
        raise unknown("model", name, ["demo", *known], listing="'camviz models'")
    listing = known[name]
    chosen = _choose_weights(listing, request)

    def build(meta: bool = False) -> Model:
        from torchvision import models

        from camviz.models.survey import parameters_on_meta, without_initialisation

        enum = models.get_model_weights(name)
        described = enum[chosen] if chosen else next(iter(enum))
        arguments = _arguments(name, described) if meta or not chosen else {}
        arguments |= {key: ast.literal_eval(text) for key, text in request.arguments}
        if meta:
            with parameters_on_meta():
                network = models.get_model(name, weights=None, **arguments)
        elif chosen:
            with without_initialisation():
                network = _download(name, described)
        else:
            network = models.get_model(name, weights=None, **arguments)
        return Model(name, network, _preprocessing(described), tuple(described.meta["categories"]), "classification")

    return Plan(name, build, imagenet_labels(), lambda: build(meta=True), "classification")


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


def _arguments(name: str, described: Any) -> dict[str, Any]:
    """What a builder needs without weights, to make the same network as with them."""
    arguments: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        arguments = {"init_weights": False, "aux_logits": True, "transform_input": True}
    if name.startswith("vit_"):
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


def _preprocessing(described: Any) -> Preprocessing:
    transform = described.transforms()
    side = transform.crop_size[0]
    return Preprocessing(
        crop=(side, side),
        resize=transform.resize_size[0],
        mean=tuple(transform.mean),
        std=tuple(transform.std),
        interpolation=transform.interpolation.value,
    )
