"""The registry of metrics: facts, settings, families."""

import pytest

from camviz.metrics import METRICS, choose


def test_every_metric_says_what_it_is():
    for entry in METRICS:
        assert entry.facts["better"] in ("higher", "lower")
        assert entry.facts["needs"] in ("forwards", "truth", "new maps", "nothing")
        assert entry.facts["paper"]
        assert entry.summary.endswith(".")


def test_settings_are_typed():
    [one] = choose(["pointing"], [("pointing.tolerance", "15")])
    assert one.settings == {"tolerance": 15.0}
    with pytest.raises(Exception, match="tolerance=far"):
        choose(["pointing"], [("pointing.tolerance", "far")])
    with pytest.raises(Exception, match="no setting 'tolerence'"):
        choose(["pointing"], [("pointing.tolerence", "15")])
    with pytest.raises(Exception, match="no metric 'pointin'"):
        choose(["pointin"])


def test_families_and_halves():
    assert [one.name for one in choose(["faithfulness"])] == [
        "insertion",
        "deletion",
        "average-drop",
        "increase",
        "road",
        "single-deletion",
    ]
    assert [one.name for one in choose(["road-morf"])] == ["road-morf"]
    assert [one.name for one in choose(["arcc"])] == ["arcc"]
    assert {one.family for one in choose(["all"])} == {
        "faithfulness", "localization", "sparsity", "robustness", "sanity",
    }  # fmt: skip
