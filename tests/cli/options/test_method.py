"""Settings of methods as they are typed."""

from __future__ import annotations

import pytest

from camviz.cli.options import MethodOptions
from camviz.errors import RequestError


def test_settings_are_split_at_the_first_equals_sign():
    typed = MethodOptions(setting=["samples = 5", "smoothgrad.rule=a=b"])
    assert typed.settings() == (("samples", "5"), ("smoothgrad.rule", "a=b"))
    assert MethodOptions().settings() == ()


@pytest.mark.parametrize("text", ["samples", "=5", " =5", "samples="])
def test_what_is_no_setting(text):
    with pytest.raises(RequestError, match="is not NAME=VALUE"):
        MethodOptions(setting=[text]).settings()
