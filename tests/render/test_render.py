"""The room loads fast, and everything registered works."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from camviz.errors import RequestError
from camviz.render import RENDERERS, check, draw, encode
from camviz.types import Image, Look, Style


def test_importing_and_checking_loads_no_heavy_library() -> None:
    code = (
        "import sys, camviz.render as r; from camviz.types import Look; r.check(Look(colormap='jet'));"
        "print([m for m in ('torch', 'torchvision', 'cv2', 'PIL', 'matplotlib', 'fontTools') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_layouts() -> None:
    assert {"overlay", "heatmap", "panel"} <= set(RENDERERS.names())
    assert all(entry.summary for entry in RENDERERS)


@pytest.mark.parametrize("layout", RENDERERS.names())
def test_every_layout_draws_a_blank_map_and_encodes(make: Any, layout: str) -> None:
    for values in ([[0.0]], [[-1.0]], [[float("nan")]]):
        for sign in ("positive", "negative", "both"):
            map = make(values, (30, 20), box=(5, 0, 25, 20))
            figure = draw(map.image, map, Look(layout=layout, sign=sign))  # type: ignore[arg-type]
            assert figure.kind == layout
            assert figure.suffix == ".png"
            assert encode(figure, Look()).startswith(b"\x89PNG")


def test_a_map_draws_itself(make: Any) -> None:
    map = make([[1.0, 2.0]], (40, 30))
    assert map.overlay(alpha=0.3, full_size=True).size == (40, 30)
    assert map._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("look", "typed"),
    [
        ({"layout": "overlap"}, "overlap"),
        ({"colormap": "jett"}, "jett"),
        ({"sign": "plus"}, "plus"),
        ({"scale": "fixed:"}, "fixed:"),
        ({"format": "pngg"}, "pngg"),
        ({"alpha": 1.5}, "1.5"),
        ({"alpha": float("nan")}, "nan"),
        ({"threshold": 1.5}, "1.5"),
        ({"contour": (0.5, 2.0)}, "2"),
        ({"style": Style(5)}, "5"),
        ({"style": Style(font="NoSuchFont")}, "NoSuchFont"),
    ],
)
def test_a_wrong_look_is_quoted_and_corrected(make: Any, look: dict[str, Any], typed: str) -> None:
    with pytest.raises(RequestError) as caught:
        check(Look(**look))
    with pytest.raises(RequestError):
        draw(make([[1.0]]).image, make([[1.0]]), Look(**look))
    assert typed in caught.value.message
    assert caught.value.hint


def test_a_map_of_another_image_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="not of"):
        draw(Image(np.zeros((3, 3, 3), np.uint8)), make([[1.0]]), Look())
