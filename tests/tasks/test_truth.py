"""A detector and a segmenter trained here on drawn scenes, whose truth is known: their maps lie on what they found."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator

import camviz
from camviz.demo import model as demo
from camviz.errors import InputError
from camviz.tasks.boxes import iou
from tools.demo.scenes import KINDS, Scene, draw_scene

pytestmark = pytest.mark.slow
SIDE, CHANNELS = 128, 32


def scenes(seed: int, count: int) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [draw_scene(rng, SIDE, SIDE, shapes=(2, 4), difficulty=0.3) for _ in range(count)]


def tensor(scene: Scene) -> Tensor:
    return torch.from_numpy(scene.image).permute(2, 0, 1).float() / 255


class Backbone(nn.Module):
    """The bundled model's layers, which stay as they are, and a convolution to two levels."""

    out_channels = CHANNELS

    def __init__(self) -> None:
        super().__init__()
        self.features = demo.build().features.requires_grad_(False)
        self.narrow = nn.Conv2d(192, CHANNELS, 1)
        self.coarser = nn.Conv2d(CHANNELS, CHANNELS, 3, 2, 1)

    def train(self, mode: bool = True) -> Backbone:
        super().train(mode)
        self.features.eval()
        return self

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        fine = self.narrow(self.features(x))
        return OrderedDict([("0", fine), ("1", self.coarser(fine.relu()))])


class Segmenter(nn.Module):
    """The bundled model's layers, two convolutions that look around, and scores for every kind and the background."""

    def __init__(self) -> None:
        super().__init__()
        self.features = demo.build().features.requires_grad_(False)
        self.around = nn.Sequential(nn.Conv2d(192, 32, 3, padding=2, dilation=2), nn.ReLU(inplace=True))
        self.scores = nn.Conv2d(32, len(KINDS) + 1, 3, padding=1)

    def train(self, mode: bool = True) -> Segmenter:
        super().train(mode)
        self.features.eval()
        return self

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        scores = self.scores(self.around(self.features(x)))
        return OrderedDict(out=F.interpolate(scores, x.shape[2:], mode="bilinear", align_corners=False))


def truth_of(scene: Scene) -> dict[str, Tensor]:
    boxes = torch.tensor([shape.box for shape in scene.shapes], dtype=torch.float32)
    return {"boxes": boxes, "labels": torch.tensor([KINDS.index(shape.kind) + 1 for shape in scene.shapes])}


def classes_of(scene: Scene) -> Tensor:
    classes = torch.zeros(SIDE, SIDE, dtype=torch.long)
    for shape in scene.shapes:
        classes[torch.from_numpy(shape.mask)] = KINDS.index(shape.kind) + 1
    return classes


def train(module: nn.Module, loss_of, steps: int, batch: int = 8, rate: float = 2e-3) -> nn.Module:
    module.train()
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps)
    drawn = scenes(1, steps * batch // 4)  # each is seen four times
    rng = np.random.default_rng(2)
    for _ in range(steps):
        loss = loss_of(module, [drawn[i] for i in rng.integers(len(drawn), size=batch)])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return module.eval()


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    anchors = AnchorGenerator(((16,), (32,)), ((1.0,),) * 2)
    module = FCOS(
        Backbone(), len(KINDS) + 1, min_size=SIDE, max_size=SIDE, anchor_generator=anchors,
        image_mean=list(demo.MEAN), image_std=list(demo.STD),
    )  # fmt: skip

    def loss_of(module, chosen):
        losses = module([tensor(scene) for scene in chosen], [truth_of(scene) for scene in chosen])
        return sum(losses.values())

    return camviz.types.Model("detector", train(module, loss_of, 300), labels=("background", *KINDS), task="detection")


@pytest.fixture(scope="module")
def segmenter():
    torch.manual_seed(0)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (demo.MEAN, demo.STD))

    def loss_of(module, chosen):
        inputs = torch.stack([(tensor(scene) - mean) / std for scene in chosen])
        return F.cross_entropy(module(inputs)["out"], torch.stack([classes_of(scene) for scene in chosen]))

    module = train(Segmenter(), loss_of, 200)
    how = camviz.types.Preprocessing((SIDE, SIDE), SIDE, demo.MEAN, demo.STD)
    return camviz.types.Model("segmenter", module, how, ("background", *KINDS), "segmentation")


def energy(found, mask: np.ndarray) -> float:
    """The share of a map's positive part inside a mask."""
    values = np.clip(found.view.place(found.values), 0, None)
    return float(values[mask].sum() / max(values.sum(), 1e-12))


def inside(box) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    left, top, right, bottom = box
    mask[top:bottom, left:right] = True
    return mask


def right_ones(detector, methods, count: int = 25, **settings):
    """(map, mask of the true box) for every detection that is right, of images it was not trained on."""
    loaded = camviz.load(detector.module, labels=None)
    loaded = camviz.types.Model("detector", detector.module, loaded.preprocessing, detector.labels, "detection")
    for scene in scenes(99, count):
        truth = truth_of(scene)
        try:
            maps = camviz.explain(loaded, scene.image, method=methods, target="all", settings=settings)
        except InputError:
            continue
        for found in maps:
            overlap = iou(truth["boxes"], torch.tensor(found.facts["bounding_box"]))
            best = int(overlap.argmax())
            if overlap[best] > 0.5 and int(truth["labels"][best]) == found.index:
                yield found, inside(scene.shapes[best].box)


def test_the_map_of_a_box_lies_in_the_true_box(detector):
    shares, energies = {}, {}
    for found, mask in right_ones(detector, ["hirescam", "layercam", "gradcam"]):
        shares.setdefault(found.method, []).append(mask.mean())
        energies.setdefault(found.method, []).append(energy(found, mask))
    means = {method: round(float(np.mean(values)), 3) for method, values in energies.items()}
    print(len(shares["hirescam"]), "right, share", np.mean(shares["hirescam"]), "energy", means)
    assert len(shares["hirescam"]) > 25
    assert means["hirescam"] > 4 * np.mean(shares["hirescam"])
    assert means["layercam"] > 4 * np.mean(shares["layercam"])


def test_drise_finds_the_box_without_a_gradient(detector):
    pairs = list(right_ones(detector, ["drise"], 3, samples=500, cells=8))
    share = np.mean([mask.mean() for _, mask in pairs])
    found = np.mean([energy(one, mask) for one, mask in pairs])
    hits = np.mean([mask.flat[one.view.place(one.values).argmax()] for one, mask in pairs])
    print(len(pairs), "right, share", share, "energy", found, "hits", hits)
    assert found > 2.5 * share
    assert hits > 0.6


def test_the_map_of_a_class_lies_in_its_region(segmenter):
    shares, energies = [], {}
    for scene in scenes(99, 25):
        for found in camviz.explain(segmenter, scene.image, method=["hirescam", "layercam", "gradcam"]):
            mask = (classes_of(scene) == found.index).numpy()
            if not mask.any():
                continue
            shares.append(mask.mean())
            energies.setdefault(found.method, []).append(energy(found, mask))
    means = {method: round(float(np.mean(values)), 3) for method, values in energies.items()}
    print(len(shares) // 3, "right, share", np.mean(shares), "energy", means)
    assert len(energies["hirescam"]) > 18
    assert means["hirescam"] > 4 * np.mean(shares)
