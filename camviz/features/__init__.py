"""Feature maps: what a layer holds, what its kernels look for, what it still knows.

The module can be called: `camviz.features(model, image, layer="features.3")` gives `FeatureMaps`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from camviz.features.maps import FeatureMaps


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
    from camviz.features.extract import Extractor
    from camviz.models.layers import find_layers
    from camviz.models.load import load
    from camviz.models.preprocess import prepare
    from camviz.pictures import as_pictures
    from camviz.types import Model

    model = model if isinstance(model, Model) else load(model)
    patterns = [layer] if isinstance(layer, str) else list(layer)
    [picture] = as_pictures(image)
    values, view = prepare(picture, model.preprocessing, fit)
    [found] = Extractor(model, find_layers(model, patterns), target)([picture], [values], [view])
    single = len(found) == 1 and len(patterns) <= 1
    return found[0] if single else found


class _Callable(ModuleType):
    # `camviz.features` is this package as soon as anything in it is imported, and the function before that
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return features(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
