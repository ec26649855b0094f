"""What lies beside the tensors of a checkpoint, and what is no model at all."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest
import torch
from torch import nn
from torchvision import models

import camviz
from camviz.errors import CheckpointError
from camviz.models.checkpoint import check_file, fit, read_weights

# several sets of weights


def test_of_teacher_and_student_the_teacher_is_taken_and_the_other_can_be(net, save):
    teacher, student = (net(seed=seed).state_dict() for seed in (1, 2))
    path = save({"student": student, "teacher": teacher, "epoch": 3})
    weights = read_weights(path)
    assert torch.equal(weights.state["fc.weight"], teacher["fc.weight"])
    assert weights.notes == ["taken from 'teacher', not from 'student' (--checkpoint-key student)"]
    assert torch.equal(read_weights(path, key="student").state["fc.weight"], student["fc.weight"])
    with pytest.raises(CheckpointError, match="no weights under 'ema'") as caught:
        read_weights(path, key="ema")
    assert "--checkpoint-key" in caught.value.hint


def test_the_key_reaches_the_file_from_the_command_line(net, net_file, save, run, write_image, tmp_path):
    path = save({"student": net(seed=1).state_dict(), "teacher": net(seed=2).state_dict()})
    write_image(tmp_path / "a.png", 40, 40)
    words = ["-m", f"{net_file}:Net", "-c", path, "--input-size", 32, "-o", tmp_path / "out"]
    result = run("heatmap", tmp_path / "a.png", *words, "--checkpoint-key", "student")
    assert result.exit_code == 0, result.stderr
    assert "taken from 'student', not from 'teacher'" in result.stderr


# dialects that need the model


def test_pruned_weights_are_the_product(net):
    from torch.nn.utils import prune

    trained = net(seed=5)
    for part in (trained.features[0], trained.fc):
        prune.l1_unstructured(part, "weight", amount=0.5)
    module = net()
    result, notes = fit(module, trained.state_dict(), "a", "net")
    assert result.summary() == "6 of 6 tensors fit"
    assert "pruned" in notes[0]
    assert torch.equal(module.fc.weight, trained.fc.weight)
    assert (module.fc.weight == 0).sum() == module.fc.weight.numel() // 2


def test_names_of_old_densenets(tmp_path):
    trained = models.densenet121(num_classes=2).eval()
    names = {key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): key for key in trained.state_dict()}
    torch.save({old: trained.state_dict()[key] for old, key in names.items()}, tmp_path / "a.pth")
    model = camviz.load("densenet121", checkpoint=tmp_path / "a.pth")
    image = torch.rand(1, 3, 64, 64)
    assert torch.allclose(model.module(image), trained(image), atol=1e-5)


@pytest.mark.parametrize("mlp", [False, True])
def test_moco_has_no_classifier(save, mlp):
    body = models.resnet18(num_classes=128).state_dict()
    if mlp:
        body["fc.0.weight"], body["fc.2.weight"] = torch.ones(512, 512), body.pop("fc.weight")
        body["fc.0.bias"], body["fc.2.bias"] = torch.ones(512), body.pop("fc.bias")
    state = {f"module.{part}.{key}": value for part in ("encoder_q", "encoder_k") for key, value in body.items()}
    path = save({"state_dict": {**state, "module.queue": torch.ones(128, 10)}, "arch": "resnet18"})
    with pytest.raises(CheckpointError, match=r"fc\.weight.*untrained"):
        camviz.load("resnet18", checkpoint=path)
    with pytest.raises(CheckpointError, match="body of resnet18"):
        camviz.load(path)


def test_a_file_alone_with_another_head(save):
    trained = models.resnet18()
    trained.fc = nn.Sequential(nn.Dropout(), nn.Linear(512, 3))
    model = camviz.load(save(trained.eval().state_dict()))
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(model.module(image), trained(image))


# settings and class names


# objects beside the tensors


def test_unknown_classes_beside_the_tensors_are_left_out(net, tmp_path, save, monkeypatch):
    module = types.ModuleType("their_project.config")
    code = "class Config:\n    def __init__(self):\n        self.lr = 1\nclass Meter(Config):\n    pass\n"
    exec(code, module.__dict__)
    monkeypatch.setitem(sys.modules, "their_project", types.ModuleType("their_project"))
    monkeypatch.setitem(sys.modules, "their_project.config", module)
    content = {"state_dict": net(seed=5).state_dict(), "config": module.Config(), "meters": [module.Meter()]}
    paths = [save(content), tmp_path / "old.pth"]
    torch.save(content, paths[1], _use_new_zipfile_serialization=False)
    monkeypatch.undo()
    for path in paths:
        weights = read_weights(path)
        assert set(weights.state) == set(net().state_dict())
        assert any("their_project.config.Config" in note for note in weights.notes)


def test_a_whole_model_of_main_with_its_class_given(net_file, tmp_path):
    (tmp_path / "save.py").write_text(
        f"{net_file.read_text()}\ntorch.manual_seed(7)\ntorch.save(Net(seed=5), 'a.pth')\n"
    )
    subprocess.run([sys.executable, "save.py"], cwd=tmp_path, check=True)
    with pytest.raises(CheckpointError, match="runs code"):
        camviz.load(f"{net_file}:Net", checkpoint=tmp_path / "a.pth")
    model = camviz.load(f"{net_file}:Net", checkpoint=tmp_path / "a.pth", allow_pickle=True)
    assert any("whole pickled model" in note for note in model.notes)
    with pytest.raises(CheckpointError, match="whose code is not here") as caught:
        camviz.load(tmp_path / "a.pth", allow_pickle=True)
    assert "net.py:NAME" in caught.value.hint


# no models in floating point


def test_quantized_weights_are_named(save):
    module = nn.Sequential(nn.Linear(8, 4), nn.ReLU())
    state = {
        "0.weight": torch.quantize_per_tensor(module[0].weight.detach(), 0.1, 0, torch.qint8),
        "0.bias": torch.ones(4),
    }
    for content in (state, {"fc.SCB": torch.ones(3), "fc.weight": torch.ones(3, 3)}, {"fc.zero_point": torch.ones(1)}):
        with pytest.raises(CheckpointError, match="quantized"):
            read_weights(save(content))


def test_adapters_are_named(save):
    state = {"base_model.model.blocks.0.attn.qkv.lora_A.weight": torch.ones(4, 8)}
    with pytest.raises(CheckpointError, match="LoRA") as caught:
        read_weights(save(state))
    assert "merge_and_unload" in caught.value.hint


def test_a_device_or_a_pipe_is_no_checkpoint(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe.pth")
    for path in (tmp_path / "pipe.pth", type(tmp_path)("/dev/zero")):
        with pytest.raises(CheckpointError, match="not a file"):
            check_file(path)


# libraries by their names
