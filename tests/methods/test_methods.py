"""What holds for every registered method, on every kind of small model, by being registered."""

import inspect
from contextlib import nullcontext

import numpy as np
import pytest
import torch

import camviz
from camviz.errors import ModelError
from camviz.methods import GROUPS, METHODS, choose
from tests.helpers.inputs import model, random_images
from tests.helpers.modules import MODELS
from tests.helpers.state import hook_count, state_of

QUICK = {
    "rise": {"samples": 8}, "sscam": {"samples": 2}, "iscam": {"samples": 2}, "smoothgrad": {"samples": 3},
    "vargrad": {"samples": 3}, "smoothgradcam++": {"samples": 2}, "integrated-gradients": {"steps": 4},
    "dff": {"steps": 20}, "occlusion": {"patch": 12, "stride": 10},
    "drise": {"samples": 8},
}  # fmt: skip
RELUS = {"guided-backprop", "deconvnet", "guided-gradcam"}
ATTENTION = {entry.name for entry in METHODS if "attention" in entry.facts["needs"]}
UNFIT = {
    "plain": ATTENTION, "inplace": ATTENTION, "residual": {"cam", *ATTENTION}, "smooth": {"cam", *RELUS, *ATTENTION},
    "channels-last": {*RELUS, *ATTENTION}, "vit": {"cam", "fullgrad", *RELUS}, "registers": {"cam", "fullgrad", *RELUS},
}  # fmt: skip
UNFIT = {net: {"drise", *UNFIT.get(net, ())} for net in MODELS}  # which explains detections
PAIRS = [(net, entry.name) for net in MODELS for entry in METHODS if entry.name not in UNFIT.get(net, set())]


def ask(net, method, images, **more):
    return camviz.explain(model(net), images, method=method, target="1", settings=QUICK.get(method), **more)


@pytest.mark.parametrize(("net", "method"), PAIRS)
def test_finite_the_same_in_a_batch_and_the_model_untouched(net, method):
    asked = model(net)
    asked.module.train()
    before, weights = state_of(asked.module), {k: v.clone() for k, v in asked.module.state_dict().items()}
    images = random_images(2)
    both = camviz.explain(asked, images, method=method, target="1", settings=QUICK.get(method))
    assert all(np.isfinite(m.values).all() and m.values.dtype == np.float32 for m in both)
    alone = [m for image in images for m in ask(net, method, image)]
    for a, b in zip(both, alone, strict=True):
        np.testing.assert_allclose(a.values, b.values, rtol=2e-3, atol=2e-5 * max(1e-3, np.abs(b.values).max()))
    assert state_of(asked.module) == before
    assert hook_count(asked.module) == 0
    assert all("forward" not in part.__dict__ for part in asked.module.modules())
    assert all(torch.equal(weights[k], v) for k, v in asked.module.state_dict().items())


@pytest.mark.parametrize(("net", "method"), [(n, m) for n, unfit in UNFIT.items() for m in sorted(unfit)])
def test_a_method_that_cannot_work_says_why_and_names_one_that_can(net, method):
    with pytest.raises(camviz.CamvizError) as caught:
        ask(net, method, random_images(1))
    assert net in caught.value.message
    named = caught.value.hint.partition("--method ")[2].split()[0].rstrip(",")
    ask(net, named, random_images(1))


@pytest.mark.parametrize("method", [name for name in METHODS.names() if name != "drise"])
def test_nothing_is_left_on_a_model_that_fails(method):
    attentive = method in ATTENTION
    asked = model("vit" if attentive else "inplace")
    calls = []

    def fail_late(*_):
        calls.append(1)
        if len(calls) > 2:  # the survey's, the first pass, and then one more
            raise ValueError("enough")

    asked.module.get_submodule("heads" if attentive else "fc").register_forward_hook(fail_late)
    before = state_of(asked.module)
    needs = METHODS.find(method).facts["needs"]
    many = attentive or "forwards" in needs or "input" in needs or "samples" in QUICK.get(method, {})
    with pytest.raises(camviz.CamvizError, match="enough") if many else nullcontext():
        camviz.explain(asked, random_images(1), method=method, settings=QUICK.get(method), batch_size=1)
    assert state_of(asked.module) == before
    assert hook_count(asked.module) == 1
    assert all("forward" not in part.__dict__ for part in asked.module.modules())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("net", "method"), PAIRS)
def test_the_gpu_gives_what_the_cpu_gives(net, method):
    asked = model(net)
    asked.module.cuda()
    here = ask(net, method, random_images(2))
    there = camviz.explain(asked, random_images(2), method=method, target="1", settings=QUICK.get(method))
    for a, b in zip(here, there, strict=True):
        np.testing.assert_allclose(a.values, b.values, rtol=1e-2, atol=1e-3 * max(1e-3, np.abs(a.values).max()))


@pytest.mark.parametrize("entry", list(METHODS), ids=METHODS.names())
def test_every_method_says_what_it_is(entry):
    assert set(entry.facts) >= {"family", "paper", "needs", "cost"}
    doc = inspect.getdoc(entry.call)
    assert doc
    assert len(doc.splitlines()) <= 6
    assert all(isinstance(default, (int, float, str)) for default in entry.settings.values())


@pytest.mark.parametrize("method", [name for name in METHODS.names() if name != "drise"])
def test_a_method_gives_what_it_says(method):
    from camviz.engine.explain import Explainer
    from camviz.engine.forward import run_forward
    from camviz.engine.probe import Probe, Reading
    from camviz.tasks.classification import choose as choose_target
    from camviz.types import Request

    explainer = Explainer(model("vit" if method in ATTENTION else "plain"), Request(methods=(method,)))
    passed = run_forward(explainer.ask, torch.rand(2, 3, 32, 32))
    targets = [choose_target(explainer.wanted[0], row, ()) for row in passed.rows]
    found = METHODS.find(method).call(Probe(Reading(passed, targets), explainer.layers[0]), **QUICK.get(method, {}))
    facts = METHODS.find(method).facts
    assert isinstance(found, list) == ("parts" in facts)
    if not isinstance(found, list):
        assert (found.ndim == 4) == (facts.get("gives") == "channels")


def test_one_forward_and_one_backward_serve_all_gradient_methods():
    asked = model("plain")
    names = [c.name for c in choose(["gradients"])]
    assert len(names) >= 8
    forwards, backwards = [], []
    asked.module.register_forward_hook(lambda _module, _inputs, output: forwards.append(output.device.type))
    original = torch.autograd.grad

    def counting(*args, **kwargs):
        backwards.append(1)
        return original(*args, **kwargs)

    torch.autograd.grad = counting
    try:
        maps = camviz.explain(asked, random_images(2), method="gradients", layer=["features.0", "features.4"])
    finally:
        torch.autograd.grad = original
    assert len(maps) == 2 * 2 * len(names)
    assert [device for device in forwards if device != "meta"] == ["cpu"]  # layers are surveyed on the meta device
    assert len(backwards) == 1


def test_groups_pass_over_what_cannot_work():
    maps = camviz.explain(model("smooth"), random_images(1), method="pixels", settings={
        "smoothgrad.samples": 2, "vargrad.samples": 2, "integrated-gradients.steps": 2})  # fmt: skip
    found = {m.method for m in maps}
    assert found == {c.name for c in choose(["pixels"])} - RELUS
    assert set(GROUPS) == {"all", "gradients", "masking", "pixels", "attention"}
    with pytest.raises(ModelError, match="plain has no attention"):  # nothing of it works
        camviz.explain(model("plain"), random_images(1), method="attention")


@pytest.mark.parametrize(
    ("names", "settings", "message"),
    [
        (["gradcom"], [], "no method 'gradcom'"),
        (["smoothgrad"], [("sample", "5")], "no setting 'sample' in method 'smoothgrad'"),
        (["smoothgrad", "rise"], [("samples", "5")], "2 methods"),
        (["smoothgrad"], [("rise.samples", "5")], "'rise'"),
        (["smoothgrad"], [("samples", "many")], "samples=many"),
        (["smoothgrad"], [("noise", "much")], "noise=much"),
    ],
)
def test_settings_that_are_wrong(names, settings, message):
    with pytest.raises(camviz.CamvizError) as caught:
        choose(names, settings)
    assert message in caught.value.message
    assert caught.value.hint


def test_settings_take_the_type_of_their_default():
    a, b = choose(
        ["smoothgrad", "rise"], [("smoothgrad.samples", "5"), ("smoothgrad.noise", "1"), ("rise.score", "logit")]
    )
    assert a.settings == {"samples": 5, "noise": 1.0}
    assert isinstance(a.settings["noise"], float)
    assert b.settings == {"score": "logit"}
