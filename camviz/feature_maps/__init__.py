"""Feature maps, kernels, receptive fields and feature visualization.

`camviz.features(model, image, layer="features.3")` returns `FeatureMaps`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from camviz.feature_maps.maps import FeatureMaps
    from camviz.types import Precision


# "| Any": a glob or several images return a list, and callers without need no isinstance
@overload
def features(
    model: Any,
    image: Any,
    *,
    layer: str = ...,
    target: str | int = ...,
    fit: str = ...,
    normalized: bool = ...,
    precision: Precision = ...,
) -> FeatureMaps | Any: ...
@overload
def features(
    model: Any,
    image: Any,
    *,
    layer: Sequence[str],
    target: str | int = ...,
    fit: str = ...,
    normalized: bool = ...,
    precision: Precision = ...,
) -> list[FeatureMaps] | Any: ...
def features(
    model: Any,
    image: Any,
    *,
    layer: Any = (),
    target: str | int = "",
    fit: str = "model",
    normalized: bool = False,
    precision: Precision = "fp32",
) -> Any:
    """Return the feature maps of one image at one layer, or a list for several layers or a glob.

    `model` and `image` as in `camviz.explain`; of several images, a list with one of these each. The default `layer`
    is the default target layer. `.values` is (c, h, w) float32. With a `target` the channels know their contribution
    to its score.
    """
    from camviz.engine.arguments import layer_names, prepared_images
    from camviz.feature_maps.extract import Extractor
    from camviz.models.layers import find_layers
    from camviz.models.load import load
    from camviz.types import Model

    model = model if isinstance(model, Model) else load(model)
    patterns = layer_names(layer, model)
    extractor = Extractor(model, find_layers(model, patterns), str(target), precision, fit=fit)
    results: list[Any] = []
    for shown, values, view in prepared_images(image, model.preprocessing, fit, normalized):
        [layers] = extractor([shown], [values], [view])
        results.append(layers[0] if len(layers) == 1 and len(patterns) <= 1 else layers)
    return results[0] if len(results) == 1 else results
