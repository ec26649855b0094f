"""torchvision's image classifiers (detectors and segmenters are beside), with or without their pretrained weights."""

from __future__ import annotations

from typing import Any

from camviz.errors import unknown
from camviz.models.catalogue import classifiers, detectors, imagenet_labels, segmenters
from camviz.models.sources import SOURCES, Plan
from camviz.models.sources.dense import choose_weights, dense_plan, download
from camviz.types import Model, ModelRequest, Preprocessing


@SOURCES.add("torchvision", offers="image classifiers, detectors, segmenters")
def torchvision(name: str, request: ModelRequest) -> Plan:
    """Every image classifier, detector and segmenter of torchvision, by its name."""
    known = classifiers()
    if name in detectors() or name in segmenters():
        return dense_plan(name, request)
    if name not in known:
        raise unknown("model", name, ["demo", *known, *detectors(), *segmenters()], listing="'camviz models'")
    listing = known[name]
    chosen = choose_weights(listing, request)

    def build(meta: bool = False) -> Model:
        from torchvision import models

        from camviz.models.survey import parameters_on_meta, without_initialisation

        enum = models.get_model_weights(name)
        described = enum[chosen] if chosen else next(iter(enum))
        arguments = _arguments(name, described) if meta or not chosen else {}
        if meta:
            with parameters_on_meta():
                network = models.get_model(name, weights=None, **arguments)
        elif chosen:
            with without_initialisation():
                network = download(name, described)
        else:
            network = models.get_model(name, weights=None, **arguments)
        return Model(name, network, _preprocessing(described), tuple(described.meta["categories"]), "classification")

    return Plan(name, build, imagenet_labels(), lambda: build(meta=True), "classification")


def _arguments(name: str, described: Any) -> dict[str, Any]:
    """What a builder needs without weights, to make the same network as with them."""
    arguments: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        arguments = {"init_weights": False, "aux_logits": True, "transform_input": True}
    if name.startswith("vit_"):
        arguments["image_size"] = described.transforms().crop_size[0]
    return arguments


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
