"""Files that hold a model with its code: TorchScript archives and exported programs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models

import camviz
from camviz.engine.explain import Explainer
from camviz.errors import CheckpointError, ModelError
from camviz.models.checkpoint import read_weights
from camviz.models.checkpoint.script import Sealed, takes_several
from camviz.models.survey import differentiable
from camviz.types import Request
from tests.helpers.modules import make

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
SIZE = 32
FORMS = {
    "traced": lambda module: torch.jit.trace(module, torch.rand(1, 3, SIZE, SIZE), check_trace=False),
    "scripted": torch.jit.script,
}


@pytest.fixture
def image():
    return torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


# the walk through the graph


# through load


def saved(tmp_path, module, form="traced", name="net.pt"):
    FORMS[form](module).save(str(tmp_path / name))
    return tmp_path / name


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["plain", "residual", "vit"])
def test_grad_cam_of_a_torchscript_file_is_that_of_the_model(tmp_path, pixels, name, form):
    module = make(name)
    model = camviz.load(saved(tmp_path, module, form), input_size=(SIZE, SIZE))
    image = pixels(SIZE, SIZE)
    layer = {"plain": "features.3", "residual": "block", "vit": "conv_proj"}[name]
    own = camviz.load(module, input_size=(SIZE, SIZE))
    for method in ("gradcam", "layercam", "ablationcam"):
        [found] = camviz.explain(model, image, layer=layer, method=method)
        [expected] = camviz.explain(own, image, layer=layer, method=method)
        assert np.allclose(found.values, expected.values, rtol=1e-3, atol=1e-6)


def test_torchscript_of_a_known_architecture_is_rebuilt(tmp_path):
    torch.manual_seed(0)
    module = models.squeezenet1_1(num_classes=6).eval()
    model = camviz.load(saved(tmp_path, module, "scripted"))
    assert type(model.module) is type(module)
    assert model.notes[:2] == ("TorchScript, rebuilt with the same scores", "recognized: squeezenet1_1")
    image = torch.rand(1, 3, 64, 64)
    assert torch.allclose(model.module(image), module(image), atol=1e-5)


def test_the_same_tensors_in_another_model_are_not_rebuilt(tmp_path):
    torch.manual_seed(0)
    module = models.squeezenet1_1(num_classes=6)
    module.features[2] = nn.AvgPool2d(3, 2, ceil_mode=True)
    model = camviz.load(saved(tmp_path, module.eval(), "scripted"))
    assert type(model.module).__module__ != "torchvision.models.squeezenet"
    image = torch.rand(1, 3, 224, 224)
    assert torch.allclose(model.module(image), module(image), atol=1e-5)


def test_the_tensors_of_torchscript_go_into_a_model_from_python(tmp_path, net, net_file):
    module = net(seed=5).eval()
    FORMS["traced"](module).save(str(tmp_path / "a.pt"))
    model = camviz.load(f"{net_file}:Net", checkpoint=tmp_path / "a.pt")
    assert torch.equal(model.module.fc.weight, module.fc.weight)
    assert set(read_weights(tmp_path / "a.pt").state) == set(module.state_dict())


def test_the_input_is_found_by_trying(tmp_path):
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 26 * 26, 10)).eval()
    torch.jit.script(module).save(str(tmp_path / "a.pt"))
    model = camviz.load(tmp_path / "a.pt")
    assert model.preprocessing.crop == (28, 28)
    assert model.preprocessing.mean == (0.0,)
    assert "input 1×28×28, found by trying (--input-size sets another)" in model.notes[0]
    with pytest.raises(ModelError, match="takes none of the inputs tried \\(3×40×40, 1×40×40\\)") as caught:
        camviz.load(tmp_path / "a.pt", input_size=(40, 40))
    assert "--input-size" in caught.value.hint


# layers out of reach


@pytest.fixture
def frozen(tmp_path):
    """A TorchScript file of one module: its weights are constants of the graph."""
    module = torch.jit.freeze(torch.jit.script(make("plain")))
    module.save(str(tmp_path / "frozen.pt"))
    return tmp_path / "frozen.pt"


class Deaf(nn.Module):
    """Scores that gradients cannot follow."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x.detach().mean((1, 2, 3)), (x > 0).float().mean((1, 2, 3))], 1)


@pytest.fixture
def deaf(tmp_path):
    torch.jit.script(Deaf()).save(str(tmp_path / "deaf.pt"))
    return tmp_path / "deaf.pt"


def load(path):
    return camviz.load(path, input_size=(SIZE, SIZE))


def test_where_hooks_do_not_reach_a_method_without_layers_is_chosen(frozen, pixels):
    model = load(frozen)
    assert isinstance(model.module, Sealed)
    explainer = Explainer(model, Request())
    assert [chosen.name for chosen in explainer.methods] == ["occlusion"]
    [note] = [note for note in explainer.notes if "no hook reaches" in note]
    assert "the layers of TorchScript file 'frozen.pt'" in note
    assert "--method occlusion, rise, smoothgrad or integrated-gradients works" in note
    [found] = camviz.explain(model, pixels(SIZE, SIZE))
    [own] = camviz.explain(camviz.load(make("plain"), input_size=(SIZE, SIZE)), pixels(SIZE, SIZE), method="occlusion")
    assert (found.method, found.layer) == ("occlusion", "input")
    assert np.allclose(found.values, own.values, atol=1e-6)


def test_gradients_to_the_input_are_those_of_the_model(frozen, pixels):
    [found] = camviz.explain(load(frozen), pixels(SIZE, SIZE), method="gradient")
    own = camviz.load(make("plain"), input_size=(SIZE, SIZE))
    [expected] = camviz.explain(own, pixels(SIZE, SIZE), method="gradient")
    assert np.allclose(found.values, expected.values, atol=1e-6)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"method": "gradcam"}, "method 'gradcam' needs a layer: no hook reaches"),
        ({"method": "eigencam"}, "method 'eigencam' needs a layer: no hook reaches"),
        ({"layer": "features.3"}, "no hook reaches the layers of TorchScript file 'frozen.pt'"),
        ({"layer": "features.3", "method": "rise"}, "no hook reaches the layers"),
        ({"method": ["rise", "gradcam"]}, "method 'gradcam' needs a layer"),
        ({"method": "gradients"}, "needs a layer: no hook reaches"),
    ],
)
def test_what_needs_a_layer_names_what_does_not(frozen, pixels, asked, says):
    with pytest.raises(ModelError) as caught:
        camviz.explain(load(frozen), pixels(SIZE, SIZE), **asked)
    assert says in caught.value.message
    assert caught.value.hint == "--method occlusion, rise, smoothgrad or integrated-gradients works"


def test_of_a_group_what_can_work_does(frozen):
    explainer = Explainer(load(frozen), Request(methods=("masking",)))
    assert {"scorecam", "ablationcam"} <= set(explainer.skipped)
    assert not {"occlusion", "rise"} & set(explainer.skipped)


def test_where_gradients_do_not_reach_either(deaf, pixels):
    [found] = camviz.explain(load(deaf), pixels(SIZE, SIZE))
    assert found.method == "occlusion"
    for method in ("gradient", "smoothgrad"):
        with pytest.raises(ModelError, match="none reach the input of deaf") as caught:
            camviz.explain(load(deaf), pixels(SIZE, SIZE), method=method)
        assert caught.value.hint == "--method occlusion or rise works"


def test_differentiable():
    assert differentiable(make("plain"), (1, 3, SIZE, SIZE))
    assert not differentiable(Deaf(), (1, 3, SIZE, SIZE))


def test_a_model_for_one_image_at_a_time_gets_them_so(tmp_path, pixels):
    class One(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.reshape(1, 3 * 1024)[:, :5]

    script = torch.jit.freeze(torch.jit.script(One().eval()))
    script.save(str(tmp_path / "one.pt"))
    assert not takes_several(script, (3, SIZE, SIZE))
    model = load(tmp_path / "one.pt")
    image = torch.rand(3, 3, SIZE, SIZE)
    assert torch.equal(model.module(image), image.flatten(1)[:, :5])
    maps = camviz.explain(model, [pixels(SIZE, SIZE, seed) for seed in range(3)], batch_size=3)
    assert len(maps) == 3


def test_the_command_says_what_it_chose(run, frozen, write_image, tmp_path):
    write_image(tmp_path / "a.png", SIZE, SIZE)
    result = run("heatmap", tmp_path / "a.png", "--model", frozen, "--input-size", SIZE, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert (
        "note: method: occlusion, because no hook reaches the layers of TorchScript file 'frozen.pt'" in result.stderr
    )
    assert result.stdout.strip() == str(tmp_path / "out" / "a_occlusion.png")


def test_a_model_that_a_program_scripted_in_its_own_file(tmp_path, monkeypatch):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            return self.conv(x).mean((2, 3))

    Net.__module__, Net.__qualname__ = "__main__", "Net"  # `python train.py`: its classes are of no package
    torch.jit.script(Net().eval()).save(str(tmp_path / "a.pt"))
    assert camviz.load(tmp_path / "a.pt").module(torch.rand(1, 3, SIZE, SIZE)).shape == (1, 4)


def test_damaged_torchscript(tmp_path, net):
    FORMS["traced"](net()).save(str(tmp_path / "a.pt"))
    content = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(content.replace(b"aten::", b"nope::").replace(b"torch.", b"torhc."))
    with pytest.raises(CheckpointError, match=r"damaged|operators that are not here"):
        camviz.load(tmp_path / "a.pt")


# exported programs


# whole pickled models


def test_a_whole_pickled_model_is_one_where_that_is_allowed(tmp_path, pixels):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    for content in (module, {"model": module.half(), "epoch": 3}, {"ema": module, "model": None}):
        torch.save(content, tmp_path / "a.pt")
        with pytest.raises(CheckpointError, match="runs code from the file"):
            camviz.load(tmp_path / "a.pt")
        model = camviz.load(tmp_path / "a.pt", allow_pickle=True, input_size=(SIZE, SIZE))
        assert model.notes[0].startswith("a whole pickled model")
        [found] = camviz.explain(model, pixels(SIZE, SIZE))
        assert (found.method, found.layer) == ("gradcam", "1")


@pytest.mark.parametrize("typed", [{}, {"mean": (0.5,), "std": (0.5,)}])
def test_the_preprocessing_of_a_program_is_assumed_unless_given(tmp_path, typed):
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    torch.jit.trace(net, torch.rand(2, 3, 32, 32)).save(tmp_path / "net.pt")
    torch.export.save(torch.export.export(net, (torch.rand(1, 3, 32, 32),)), tmp_path / "net.pt2")
    for name in ("net.pt", "net.pt2"):
        notes = "\n".join(camviz.load(tmp_path / name, **typed).notes)
        assert ("preprocessing assumed" in notes) == (not typed)
