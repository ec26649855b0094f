"""Columns of raw maps and of the views they lie in."""

from __future__ import annotations

from camviz.run.database.records import SavedMap
from camviz.run.database.tables import columns, saved
from camviz.types import View
from tests.helpers.stored_maps import saliency


def test_where_cells_lie_comes_back():
    view = View((40, 30), (1.5, 0.0, 38.25, 30.0), (32, 32), (0.125, 0.25, 0.75, 0.5))
    row = columns(SavedMap.of(saliency(view=view)))
    assert saved(row).view == view


def test_a_view_of_a_run_of_the_first_release_comes_back():
    row = [*columns(SavedMap.of(saliency()))]
    place = next(i for i, value in enumerate(row) if isinstance(value, str) and '"box"' in value)
    row[place] = '{"picture": [40, 30], "box": [1.5, 0.0, 38.25, 30.0], "size": [32, 32]}'
    assert saved(tuple(row)).view == View((40, 30), (1.5, 0.0, 38.25, 30.0), (32, 32))
