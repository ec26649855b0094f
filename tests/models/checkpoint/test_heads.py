"""Heads that a checkpoint has instead of the model's own: rebuilt with the same scores, or refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision import models

import camviz
from camviz.errors import CheckpointError
from camviz.models.checkpoint import fit


def small(head: nn.Module | None = None) -> nn.Module:
    """A body of one convolution whose head is `fc`."""

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU())
            self.more = nn.Sequential(nn.Conv2d(16, 16, 3), nn.BatchNorm2d(16), nn.ReLU())
            self.fc = nn.Linear(16, 10) if head is None else head

        def forward(self, x):
            return self.fc(self.more(self.features(x)).mean((2, 3)))

    return Small().eval()


HEADS = {
    "in a Sequential": lambda: nn.Sequential(nn.Linear(16, 10)),
    "after dropout": lambda: nn.Sequential(nn.Dropout(), nn.Linear(16, 3)),
    "two layers": lambda: nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)),
    "two layers, dropout": lambda: nn.Sequential(
        nn.Dropout(), nn.Linear(16, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3)
    ),
    "with batch norm": lambda: nn.Sequential(
        nn.BatchNorm1d(16), nn.Linear(16, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 3)
    ),
    "with layer norm": lambda: nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 3)),
    "no bias": lambda: nn.Linear(16, 3, bias=False),
    "other classes": lambda: nn.Linear(16, 3),
    "no activation": lambda: nn.Sequential(nn.Linear(16, 8), nn.Linear(8, 3)),
}


@pytest.mark.parametrize("head", HEADS)
def test_a_head_is_rebuilt_with_the_same_scores(head):
    torch.manual_seed(0)
    trained = small(HEADS[head]())
    module = small()
    result, notes = fit(module, trained.state_dict(), "a.pth", "small")
    image = torch.rand(2, 3, 16, 16)
    assert torch.equal(module.eval()(image), trained(image))
    assert (*result.missing, *result.unexpected, *result.reshaped) == ()
    assert len([note for note in notes if "'fc'" in note]) == 1
    assert ("assumed" in notes[0]) == ("two layers" in head or head == "with batch norm")


@pytest.mark.parametrize("place", ["classifier", "head", "last_linear"])
def test_a_head_under_another_usual_name(place):
    trained = small()
    state = {key.replace("fc.", f"{place}."): value for key, value in trained.state_dict().items()}
    module = small()
    fit(module, state, "a.pth", "small")
    image = torch.rand(2, 3, 16, 16)
    assert torch.equal(module.eval()(image), trained(image))


@pytest.mark.parametrize(
    "head",
    [
        nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Conv1d(8, 3, 1)),
        nn.ModuleDict({"hidden": nn.Linear(16, 8), "out": nn.Linear(8, 3)}),
        nn.Linear(17, 3),
        nn.Identity(),
    ],
)
def test_a_head_that_cannot_be_rebuilt_is_refused(head):
    with pytest.raises(CheckpointError, match=r"fc\.weight.*untrained"):
        fit(small(), small(head).state_dict(), "a.pth", "small")


def test_a_projection_is_no_head():
    state = small().state_dict()
    state |= {"projector.weight": state.pop("fc.weight"), "projector.bias": state.pop("fc.bias")}
    with pytest.raises(CheckpointError, match=r"fc\.weight.*untrained"):
        fit(small(), state, "a.pth", "small")


@pytest.mark.parametrize(
    ("head", "last"),
    [
        (lambda: nn.Linear(1280, 3), "classifier.1"),
        (lambda: nn.Sequential(nn.Linear(1280, 32), nn.ReLU(), nn.Linear(32, 3)), "classifier.1.2"),
        (lambda: nn.Sequential(nn.Dropout(), nn.Linear(1280, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 3)), ""),
    ],
)
def test_the_classifier_of_torchvision_replaced_as_a_whole(tmp_path, head, last):
    torch.manual_seed(0)
    trained = models.mobilenet_v2()
    trained.classifier = head()
    torch.save(trained.eval().state_dict(), tmp_path / "a.pth")
    model = camviz.load("mobilenet_v2", checkpoint=tmp_path / "a.pth")
    image = torch.rand(1, 3, 64, 64)
    assert torch.allclose(model.module(image), trained(image), atol=1e-5)
    assert model.labels == ()
    assert not last or model.module.get_submodule(last).out_features == 3


def test_a_body_and_a_classifier_side_by_side(tmp_path):
    torch.manual_seed(0)
    trained = models.resnet18(num_classes=3).eval()
    state = trained.state_dict()
    body = {key: value for key, value in state.items() if not key.startswith("fc.")}
    parts = {"backbone": body, "classifier": {"weight": state["fc.weight"], "bias": state["fc.bias"]}, "epoch": 3}
    image = torch.rand(1, 3, 64, 64)
    for content in (
        parts,
        {f"{part}.{key}": value for part in ("backbone", "classifier") for key, value in parts[part].items()},
    ):
        torch.save(content, tmp_path / "a.pth")
        model = camviz.load("resnet18", checkpoint=tmp_path / "a.pth")
        assert torch.equal(model.module(image), trained(image))


def test_numbers_for_children(tmp_path):
    torch.manual_seed(0)
    trained = models.resnet18(num_classes=3).eval()
    body = nn.Sequential(*list(trained.children())[:-1])
    image = torch.rand(1, 3, 64, 64)
    for state in (
        nn.Sequential(*trained.children()).state_dict(),
        {f"backbone.{key}": value for key, value in body.state_dict().items()}
        | {f"fc.{key}": value for key, value in trained.fc.state_dict().items()},
    ):
        torch.save(state, tmp_path / "a.pth")
        model = camviz.load("resnet18", checkpoint=tmp_path / "a.pth")
        assert torch.equal(model.module(image), trained(image))
    torch.save(body.state_dict(), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"fc\.weight"):
        camviz.load("resnet18", checkpoint=tmp_path / "a.pth")
