"""Feature maps, kernels, receptive fields and feature visualization.

`camviz.features(model, image, layer="features.3")` returns `FeatureMaps`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from camviz.feature_maps.maps import FeatureMaps


# "| Any": a glob returns a list even as one string, and callers without a glob need no isinstance
@overload
def features(model: Any, image: Any, *, layer: str = ..., target: str = ..., fit: str = ...) -> FeatureMaps | Any: ...
@overload
def features(
    model: Any, image: Any, *, layer: Sequence[str], target: str = ..., fit: str = ...
) -> list[FeatureMaps] | Any: ...
def features(
    model: Any, image: Any, *, layer: str | Sequence[str] = (), target: str = "", fit: str = "model"
) -> FeatureMaps | list[FeatureMaps]:
    """Return the feature maps of one image at one layer, or a list for several layers or a glob.

    `model` and `image` as in `camviz.explain`; the default `layer` is the default target layer. `.values` is
    (c, h, w) float32. With a `target` the channels know their contribution to its score.
    """
    from camviz.feature_maps.extract import Extractor
    from camviz.io.notebook import as_images
    from camviz.models.layers import find_layers
    from camviz.models.load import load
    from camviz.models.preprocess import prepare
    from camviz.types import Model

    model = model if isinstance(model, Model) else load(model)
    patterns = [layer] if isinstance(layer, str) else list(layer)
    [image] = as_images(image)
    values, view = prepare(image, model.preprocessing, fit)
    [layers] = Extractor(model, find_layers(model, patterns), target, fit=fit)([image], [values], [view])
    single = len(layers) == 1 and len(patterns) <= 1
    return layers[0] if single else layers
