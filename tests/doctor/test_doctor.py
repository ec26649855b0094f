"""Healthy models, every check, and how a diagnosis prints."""

from __future__ import annotations

from pathlib import Path

import camviz
from camviz.doctor import CHECKS, diagnose
from tests.helpers.sick_models import SAMPLES, Small, examine, names
from tests.helpers.state import hook_count, state_of


def test_the_bundled_model_is_healthy(demo):
    found = diagnose(demo)
    assert found.healthy, str(found)
    assert "healthy" in str(found)
    assert {one.name for one in found.findings} <= {"frozen"}


def test_a_small_model_is_healthy_and_left_as_it_was():
    module = Small().eval()
    before = state_of(module)
    found = examine(module)
    assert names(found) == ["weak"], f"its weights are random numbers, and nothing else is wrong: {found}"
    assert hook_count(module) == 0
    assert state_of(module) == before


def test_every_check_has_a_sick_model_above():
    text = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    for entry in CHECKS:
        assert f'"{entry.name}"' in text or f'"{entry.name}" in' in text or entry.name == "memory", entry.name


def test_findings_come_in_order_of_weight_and_print_well():
    found = diagnose(camviz.load("demo", weights="none"), SAMPLES, layer="features.0")
    grades = [one.grade for one in found.findings]
    assert grades == sorted(grades, key=("serious", "warning", "note").index)
    assert "<code>" in found._repr_html_()
    assert found.to_dict()["healthy"] is False
