"""The bundled model, for trying everything without a network or a download."""

from __future__ import annotations

from collections.abc import Iterable

from camviz.models.sources import LISTINGS, SOURCES, Offer, Plan, check_weights
from camviz.types import Model, ModelRequest, Preprocessing


@SOURCES.add("demo", offers="the bundled model", runs_code="no")
def demo(name: str, request: ModelRequest) -> Plan:
    """A small EfficientNet that tells drawn shapes apart."""
    from camviz.demo import model as bundled
    from camviz.demo.model import KINDS

    check_weights(request, "demo", "--weights default or --weights none; --checkpoint FILE")

    def build() -> Model:
        trained = request.weights == "default" and not request.checkpoint
        module = bundled.build() if trained else bundled.blank()
        side = bundled.INPUT_SIZE
        preprocessing = Preprocessing((side, side), side, bundled.MEAN, bundled.STD)
        return Model("demo", module, preprocessing, KINDS, "classification")

    return Plan("demo", build, KINDS, build, "classification")


@LISTINGS.add("demo")
def listing() -> Iterable[Offer]:
    """The one bundled model."""
    yield Offer("demo", "classification", ("default",), "default", ("default",))
