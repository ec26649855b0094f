"""Settings of feature figures that exclude each other."""

from __future__ import annotations

import pytest

from camviz.errors import RequestError, UnknownName
from camviz.feature_maps.figures import FeatureStyle
from camviz.feature_maps.request import FeatureRequest


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (FeatureRequest(attention=True, layout="strip"), "--attention"),
        (FeatureRequest(style=FeatureStyle(rank="peak"), attention=True), "--rank peak"),
    ],
)
def test_what_does_not_go_together(job, message):
    with pytest.raises(RequestError, match=message):
        job.check()


def test_heads_that_are_not_there():
    with pytest.raises(RequestError, match=r"more than the 4 heads of 'blocks\.1'"):
        FeatureRequest(style=FeatureStyle(top=5), attention=True).check_heads(4, "blocks.1")
    with pytest.raises(UnknownName, match="no head '9'"):
        FeatureRequest(style=FeatureStyle(channels=("9",)), attention=True).check_heads(4, "blocks.1")
