"""The bundled model, loaded once for the checks of a file."""

from __future__ import annotations

import pytest

import camviz
from camviz.types import Model


@pytest.fixture(scope="module")
def demo() -> Model:
    return camviz.load("demo")
