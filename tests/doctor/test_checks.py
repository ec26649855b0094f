"""A sick model for every finding, and healthy ones without any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import camviz
from camviz.demo import sample_folder
from camviz.doctor import CHECKS, Diagnosis, diagnose
from camviz.models.catalog import imagenet_labels
from camviz.types import Image, Model, Preprocessing
from tests.helpers.modules import make
from tests.helpers.state import hook_count, state_of

SAMPLES = sorted(sample_folder().glob("*.jpg"))[:4]


@pytest.fixture(scope="module")
def demo() -> Model:
    return camviz.load("demo")


class Small(nn.Module):
    """A classifier whose weights look trained: small noise around a pattern, uneven biases."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=4, padding=1)
        self.fc = nn.Linear(8, classes)
        rng = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=rng))

    def forward(self, x):
        return self.fc(torch.relu(self.conv(x)).mean((2, 3)))


def small(module: nn.Module, **more) -> Model:
    return camviz.load(module.eval(), input_size=(64, 64), mean=(0.5,) * 3, std=(0.5,) * 3, **more)


def names(found: Diagnosis) -> list[str]:
    return [one.name for one in found.findings if one.grade != "note"]


def examine(module: nn.Module, **asked) -> Diagnosis:
    return diagnose(small(module), SAMPLES, **asked)


# healthy


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


# weights and numbers


def test_untrained_by_its_batch_normalizations():
    found = diagnose(camviz.load("demo", weights="none"), SAMPLES)
    assert "untrained" in names(found)
    [one] = [one for one in found.findings if one.name == "untrained"]
    assert "20 of 20 BatchNorm layers" in one.evidence
    assert "--weights default" in one.command


def test_what_mends_it_can_be_typed(run, net_file, tmp_path):
    """The model as it was typed, and no weights asked for that are there already."""
    (tmp_path / "my names.txt").write_text("a\nb\nc\nd\n")
    spec, labels = f"{net_file}:Net", tmp_path / "my names.txt"
    told = run("doctor", "-m", spec, "--input-size", 32, "--labels", labels).stdout
    assert f"camviz heatmap IMAGES -m {spec} --labels '{labels}' --input-size 32x32 --checkpoint FILE" in told
    told = run("doctor", "--weights", "none").stdout
    assert "camviz heatmap IMAGES --weights default, or --checkpoint FILE" in told


def test_untrained_by_its_other_normalizations():
    module = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.GroupNorm(2, 8), nn.ReLU(), nn.Flatten(), nn.Linear(512, 5))
    assert "untrained" in names(examine(module))
    with torch.no_grad():
        module[1].weight[3] = 1.25
        for parameter in module[4].parameters():
            parameter.normal_()
    assert "untrained" not in names(examine(module))


def test_untrained_by_the_spread_of_its_weights():
    module = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.ReLU(), nn.Flatten(), nn.Linear(512, 5))
    found = examine(module)
    assert "untrained" in names(found)
    assert "2 of 2 layers" in str(found)


def test_a_head_that_was_never_trained():
    module = Small(classes=40)
    module.fc = nn.Linear(8, 40)
    found = examine(module)
    assert "untrained" in names(found)
    assert "'fc' (8 to 40)" in str(found)


def test_a_checkpoint_that_hardly_fits():
    model = small(Small())
    half = Model(
        model.name, model.module, model.preprocessing, notes=("2 of 4 tensors fit; 2 missing (fc)",), fitted=(2, 4)
    )
    [one] = [one for one in diagnose(half, SAMPLES).findings if one.name == "misfit"]
    assert (one.grade, one.seen) == ("serious", "2 of 4 tensors did not come from the checkpoint")


class Overflowing(Small):
    def forward(self, x):
        return self.fc((torch.relu(self.conv(x)) * 1e38 * 1e38).mean((2, 3)))


def test_nan_and_the_layer_where_it_begins():
    found = examine(Overflowing())
    assert "nan" in names(found)
    assert "'fc' (Linear)" in str(found)
    module = Small()
    with torch.no_grad():
        module.conv.weight[0, 0, 0, 0] = float("nan")
    found = examine(module)
    assert "'conv' (Conv2d)" in str(found)
    assert "its own weights are not finite" in str(found)


class Dropping(Small):
    def forward(self, x):
        return self.fc(F.dropout(torch.relu(self.conv(x)).mean((2, 3)), 0.5, training=True))


def test_an_answer_that_changes_each_time():
    found = examine(Dropping())
    assert "random" in names(found)
    assert "training=self.training" in str(found)


def test_a_model_in_training_mode():
    module = nn.Sequential(Small(), nn.Dropout())
    model = small(module)
    assert "training" not in names(diagnose(model, SAMPLES))
    module.train()
    found = diagnose(model, SAMPLES)
    assert "training" in names(found)
    assert "model.eval()" in str(found)
    assert module.training


def test_a_normalization_by_the_batch():
    module = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), Small())
    assert "training" in names(examine(module))


class Deaf(Small):
    def forward(self, x):
        return super().forward(x * 0)


def test_the_same_answer_for_every_image():
    assert "constant" in names(examine(Deaf()))


def test_frozen_and_in_place_is_only_a_note():
    module = nn.Sequential(nn.ReLU(inplace=True), Small()).requires_grad_(False)
    found = examine(module)
    assert [one.grade for one in found.findings if one.name == "frozen"] == ["note"]
    assert "4 of 4 parameters are frozen, 1 layers work in place" in str(found)
    assert "work in place" not in str(examine(nn.Sequential(nn.ReLU(inplace=True), Small())))


# inputs and names


def test_an_input_that_is_not_normalized():
    model = camviz.load(Small(), input_size=(64, 64), mean=(0.0,) * 3, std=(1 / 255,) * 3)
    found = diagnose(model, SAMPLES)
    assert "normalization" in names(found)
    assert "values reach 2" in str(found)


class Colors(nn.Module):
    """Sure of class 0 when it sees reddish images whose darkness is that of ImageNet's normalization."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(3)[:, :, None, None])

    def forward(self, x):
        red, green, blue = self.conv(x).mean((2, 3)).unbind(1)
        sure = 4 * (red - blue).clamp(min=0) * torch.exp(-4 * green**2)
        return torch.stack([sure, torch.zeros_like(sure)], 1)


RAMP = np.linspace(-20, 20, 64)[:, None, None]  # flat images would be a finding of their own


def shade(level: int) -> np.ndarray:
    """A gray image of almost one level: the mean is right, and it has a gradient."""
    return np.uint8(np.clip(level + RAMP / 4 + np.zeros((64, 64, 3)), 0, 255))


REDDISH = [np.uint8(np.array([200, 116, 30 + 5 * i]) + RAMP + np.zeros((64, 64, 3))) for i in range(8)]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ({}, None),
        ({"order": "bgr"}, "--channel-order rgb"),
        ({"mean": (0.0,) * 3, "std": (1.0,) * 3}, "--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225"),
    ],
)
def test_images_shown_otherwise_than_in_training(shown, expected):
    how = Preprocessing((64, 64), 64, **shown)
    found = diagnose(Model("colors", Colors(), how), REDDISH, method="gradient")
    assert ("normalization" in names(found)) == bool(expected), str(found)
    assert (expected or "") in str(found)


def test_names_in_another_order():
    known = imagenet_labels()
    model = Model("net", Small(1000), Preprocessing((64, 64), 64), known[1:] + known[:1], "classification")
    found = diagnose(model, SAMPLES)
    assert "labels" in names(found)
    assert "1000 of them out of place" in str(found)
    assert "labels" not in names(diagnose(Model("net", Small(1000), Preprocessing((64, 64), 64), known), SAMPLES))


class Sure(nn.Module):
    """Reads the class off the brightness, a tenth of white for each, and is sure of it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 8, 8)
        nn.init.normal_(self.conv.weight)  # not as PyTorch makes it
        self.register_buffer("levels", torch.arange(10) / 10)

    def forward(self, x):
        return -2000 * (x.mean((1, 2, 3))[:, None] - self.levels) ** 2 + 0 * self.conv(x).mean()


def test_names_against_what_the_images_are_called(tmp_path: Path):
    called = [f"thing {letter}" for letter in "abcdefghij"]
    shown = [
        Image(shade(round(25.5 * i)), tmp_path / f"{name.replace(' ', '_')}_001.jpg") for i, name in enumerate(called)
    ]
    how = Preprocessing((64, 64), 64, (0.0,) * 3, (1.0,) * 3)
    right = Model("net", Sure(), how, tuple(called))
    assert "labels" not in names(diagnose(right, shown, method="gradient"))
    wrong = Model("net", Sure(), how, tuple(called[5:] + called[:5]))  # each is outside the likeliest five, or nearly
    found = diagnose(wrong, shown, method="gradient")
    assert "labels" in names(found), str(found)
    assert "10 images have a class name in their path" in str(found)


def test_of_a_model_that_learned_nothing_no_more_is_concluded(tmp_path: Path):
    """It is sure of something by chance: neither of its inputs nor of its classes can that say anything."""
    fresh = nn.BatchNorm2d(3)
    for reddish in (Colors(), nn.Sequential(fresh, Colors())):
        found = diagnose(Model("net", reddish, Preprocessing((64, 64), 64, order="bgr")), REDDISH, method="gradient")
        learned_nothing = fresh in reddish.modules()
        assert ("untrained" in names(found)) == learned_nothing
        assert ("normalization" in names(found)) != learned_nothing, str(found)
    called = tuple(f"thing {letter}" for letter in "fghijabcde")
    shown = [Image(shade(25 * i), tmp_path / f"thing {'abcdefghij'[i]}.jpg") for i in range(10)]
    how = Preprocessing((64, 64), 64, (0.0,) * 3, (1.0,) * 3)
    found = diagnose(Model("net", nn.Sequential(fresh, Sure()), how, called), shown, method="gradient")
    assert "untrained" in names(found)
    assert "labels" not in names(found)


def test_a_class_that_the_model_does_not_see(demo):
    found = diagnose(demo, SAMPLES[:1], target=demo.labels[_last(demo)])
    assert "target" in names(found)
    assert "its best rank" in str(found)


def _last(demo: Model) -> int:
    """The least likely class of the first sample."""
    from camviz.io.images import read_image
    from camviz.models.preprocess import prepare

    values, _ = prepare(read_image(SAMPLES[0]), demo.preprocessing)
    with torch.no_grad():
        return int(demo.module(torch.from_numpy(values[None])).argmin())


# layers and maps


class Blocked(Small):
    def forward(self, x):
        return self.fc(self.conv(x).relu().detach().mean((2, 3)))


def test_a_score_that_does_not_depend_on_the_layer():
    found = examine(Blocked(), layer="conv")
    assert "gradient" in names(found), str(found)


def test_patch_tokens_that_nothing_reads_any_more():
    model = camviz.load(make("vit"), input_size=(32, 32))
    found = diagnose(model, SAMPLES, layer="encoder.layers.encoder_layer_1")
    assert "gradient" in names(found), str(found)
    [one] = [one for one in found.findings if one.name == "gradient"]
    assert "'encoder.layers.encoder_layer_1'" in one.seen
    assert "only its 1 prefix token" in one.evidence
    assert one.command.endswith("--layer encoder.layers.encoder_layer_1.ln_1")
    assert "gradient" not in names(diagnose(model, SAMPLES, layer="encoder.layers.encoder_layer_1.ln_1"))


def test_maps_without_a_positive_value():
    module = Small()
    with torch.no_grad():
        module.fc.weight.fill_(-1)
    found = examine(module, layer="conv", target="0", method="gradcam")
    if "negative" not in names(found):  # the convolution's own values may be negative; behind the ReLU none is
        module = nn.Sequential(module.conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), module.fc)
        found = examine(module, layer="1", target="0")
    assert "negative" in names(found)
    assert "--sign both" in str(found)


def test_maps_no_stronger_than_noise():
    """A layer that says the same everywhere: its maps vary by nothing, as any noise does at least."""
    module = Small()
    nn.init.zeros_(module.conv.weight)
    nn.init.ones_(module.conv.bias)
    assert "weak" in names(examine(module))


def test_a_saturated_softmax():
    module = Small()
    with torch.no_grad():
        module.fc.bias[2] = 1e4
    assert "saturated" in names(examine(module, score="prob"))
    assert "saturated" not in names(examine(module))


def test_guided_backpropagation_without_a_relu():
    module = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.SiLU(), nn.Flatten(), nn.Linear(512, 5))
    assert "guided" in names(examine(module, method="guided-backprop"))
    assert "guided" not in names(examine(Small(), method="guided-backprop"))


def test_a_layer_too_coarse_and_a_layer_too_early(demo):
    coarse = nn.Sequential(nn.Conv2d(3, 8, 32, 32), nn.ReLU(), nn.Flatten(), nn.Linear(32, 5))
    assert "resolution" in names(examine(coarse))
    found = diagnose(demo, SAMPLES, layer="features.0")
    assert "resolution" in names(found)
    assert "is early" in str(found)


# the whole


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
