"""Feature maps: what a layer holds, what its kernels look for, what it still knows.

`camviz.features(model, image, layer="features.3")` gives `FeatureMaps`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from camviz.feature_maps.maps import FeatureMaps


# "| Any": a glob gives several maps where one was expected, and whoever types none need not tell them apart
@overload
def features(model: Any, image: Any, *, layer: str = ..., target: str = ..., fit: str = ...) -> FeatureMaps | Any: ...
@overload
def features(
    model: Any, image: Any, *, layer: Sequence[str], target: str = ..., fit: str = ...
) -> list[FeatureMaps] | Any: ...
def features(
    model: Any, image: Any, *, layer: str | Sequence[str] = (), target: str = "", fit: str = "model"
) -> FeatureMaps | list[FeatureMaps]:
    """The feature maps of one image at one layer, or a list when several layers are asked for (globs count as several).

    `model` and `image` as in `camviz.explain`; without a `layer` it is the default one. `.values` is (c, h, w) float32.
    """
    from camviz.feature_maps.extract import Extractor
    from camviz.io.images import as_images
    from camviz.models.layers import find_layers
    from camviz.models.load import load
    from camviz.models.preprocess import prepare
    from camviz.types import Model

    model = model if isinstance(model, Model) else load(model)
    patterns = [layer] if isinstance(layer, str) else list(layer)
    [image] = as_images(image)
    values, view = prepare(image, model.preprocessing, fit)
    [found] = Extractor(model, find_layers(model, patterns), target)([image], [values], [view])
    single = len(found) == 1 and len(patterns) <= 1
    return found[0] if single else found
