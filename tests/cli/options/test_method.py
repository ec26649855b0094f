"""Settings of methods as they are typed."""

from __future__ import annotations

import pytest

from camviz.cli.options import MethodOptions
from camviz.errors import RequestError


def test_settings_are_split_at_the_first_equals_sign():
    typed = MethodOptions(setting=["samples = 5", "smoothgrad.rule=a=b", "empty="])
    assert typed.settings() == (("samples", "5"), ("smoothgrad.rule", "a=b"), ("empty", ""))
    assert MethodOptions().settings() == ()


@pytest.mark.parametrize("text", ["samples", "=5", " =5"])
def test_what_is_no_setting(text):
    with pytest.raises(RequestError, match="is not key=value"):
        MethodOptions(setting=[text]).settings()
