"""camviz: see what a vision model looks at.

    import camviz
    model = camviz.load("resnet50")
    [m] = camviz.explain(model, "cat.jpg", method="gradcam", target="tabby")
    m.values      # (h, w) float32, raw
    m.overlay()   # a PIL image

Importing this package imports neither torch nor OpenCV: what needs them does, when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from camviz.comparison.compare import compare
    from camviz.doctor import diagnose
    from camviz.engine.explain import explain
    from camviz.errors import CamvizError
    from camviz.feature_maps import features
    from camviz.metrics.evaluate import evaluate
    from camviz.models.load import load
    from camviz.types import Image, Model, SaliencyMap

__version__ = "0.1.0"
__all__ = [
    "CamvizError",
    "Image",
    "Model",
    "SaliencyMap",
    "compare",
    "diagnose",
    "evaluate",
    "explain",
    "features",
    "load",
]

_HOMES = {
    "CamvizError": "camviz.errors",
    "compare": "camviz.comparison.compare",
    "Model": "camviz.types",
    "Image": "camviz.types",
    "SaliencyMap": "camviz.types",
    "diagnose": "camviz.doctor",
    "evaluate": "camviz.metrics.evaluate",
    "explain": "camviz.engine.explain",
    "features": "camviz.feature_maps",
    "load": "camviz.models.load",
}


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'camviz' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
