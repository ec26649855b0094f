"""Re-scoring gives the same scores whatever the layout that it is done in."""

import pytest
import torch
from torch import nn

from camviz.engine.explain import Explainer
from camviz.engine.forward import rescore
from camviz.errors import CamvizError
from camviz.types import Request, Target
from tests.helpers.inputs import model
from tests.helpers.modules import make

SECOND = Target("second", lambda rows: rows[..., 1], index=1)


class Viewing(nn.Module):
    """Flattens by `view`, which channels last do not allow."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=4, padding=1)
        self.fc = nn.Linear(4 * 64, 4)

    def forward(self, x):
        return self.fc(torch.relu(self.conv(x)).view(len(x), -1))


@pytest.mark.parametrize("module", [make("plain"), make("residual"), make("vit"), Viewing().eval()])
def test_scores_are_those_of_a_plain_forward(module):
    inputs = torch.randn(11, 3, 32, 32)
    asked = model("plain")
    ask = Explainer(type(asked)("net", module, asked.preprocessing), Request()).ask
    with torch.inference_mode():
        expected = module(inputs)[:, 1]
    for _ in range(2):
        torch.testing.assert_close(rescore(ask, SECOND, 11, lambda start, stop: inputs[start:stop]), expected)
    chances = rescore(ask, SECOND, 11, lambda start, stop: inputs[start:stop], "prob")
    torch.testing.assert_close(chances, module(inputs).softmax(1)[:, 1].detach())
    viewing = isinstance(module, Viewing)
    assert ask.chunks.layout == (torch.contiguous_format if viewing else torch.channels_last)


def test_what_fails_in_any_layout_is_told_in_words():
    ask = Explainer(model("plain"), Request()).ask
    with pytest.raises(CamvizError, match="does not accept an input of 32×32"):
        rescore(ask, SECOND, 1, lambda *_: torch.randn(1, 5, 32, 32))
