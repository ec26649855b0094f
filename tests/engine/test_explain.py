"""One question, many images: identities that hold whatever the model."""

import numpy as np
import pytest
import torch

import camviz
from camviz.engine.batches import by_shape
from camviz.errors import InputError, ModelError
from camviz.types import Model, Preprocessing
from tests.helpers.inputs import model, random_images
from tests.helpers.modules import MODELS, SIZE, make
from tests.helpers.state import hook_count, state_of


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_equals_single_images(name):
    images = random_images(3)
    together = camviz.explain(model(name), images, method=["gradcam", "hirescam", "layercam"])
    alone = [
        m for image in images for m in camviz.explain(model(name), image, method=["gradcam", "hirescam", "layercam"])
    ]
    for a, b in zip(together, alone, strict=True):
        assert (a.method, a.target) == (b.method, b.target)
        np.testing.assert_allclose(a.values, b.values, rtol=1e-4, atol=1e-6)


def test_in_place_equals_not_in_place():
    for layer in ("features.0", "features.3", "features.4"):
        a = camviz.explain(model("plain"), random_images(2), layer=layer, method=["gradcam", "hirescam"])
        b = camviz.explain(model("inplace"), random_images(2), layer=layer, method=["gradcam", "hirescam"])
        for one, other in zip(a, b, strict=True):
            np.testing.assert_allclose(one.values, other.values, rtol=1e-5, atol=1e-7)


def test_cam_is_gradcam_times_the_number_of_cells_on_a_gap_head():
    for target in ("top1", "2", "0 vs 3"):
        cam, gradcam = camviz.explain(model("plain"), random_images(1), method=["cam", "gradcam"], target=target)
        assert np.abs(cam.values).max() > 0
        np.testing.assert_allclose(cam.values, gradcam.values * 64, rtol=1e-4, atol=1e-5)


def test_gradcam_of_a_real_architecture_equals_a_float64_transcription():
    from torchvision.models import resnet18

    torch.manual_seed(0)
    module = resnet18().eval()
    image = random_images(1, size=(64, 64))[0]
    how = Preprocessing(crop=(64, 64), resize=64)
    [found] = camviz.explain(Model("resnet18", module, how), image, target="7")

    twin = resnet18().double().eval()
    twin.load_state_dict(module.state_dict())
    x = (torch.from_numpy(image).double().permute(2, 0, 1) / 255 - torch.tensor(how.mean)[:, None, None].double()) / (
        torch.tensor(how.std)[:, None, None].double()
    )
    stem = twin.maxpool(twin.relu(twin.bn1(twin.conv1(x[None]))))
    maps = twin.layer4(twin.layer3(twin.layer2(twin.layer1(stem)))).detach().requires_grad_()
    score = twin.fc(twin.avgpool(maps).flatten(1))[0, 7]
    (gradient,) = torch.autograd.grad(score, maps)
    expected = torch.zeros(maps.shape[2:], dtype=torch.float64)
    for k in range(maps.shape[1]):
        expected += gradient[0, k].mean() * maps[0, k].detach()
    np.testing.assert_allclose(found.values, expected.numpy(), rtol=0, atol=1e-5 * float(expected.abs().max()))
    assert found.score == pytest.approx(float(score.detach()), rel=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_the_model_comes_back_as_it_was(name):
    asked = model(name)
    asked.module.train()
    next(asked.module.parameters()).requires_grad_(False)
    before, weights = state_of(asked.module), {k: v.clone() for k, v in asked.module.state_dict().items()}
    camviz.explain(asked, random_images(2), target=["top2", "0"])
    assert state_of(asked.module) == before
    assert hook_count(asked.module) == 0
    assert all(torch.equal(weights[k], v) for k, v in asked.module.state_dict().items())


def test_the_model_comes_back_as_it_was_after_an_error():
    asked = model("plain")
    asked.module.train()
    asked.module.fc.register_forward_hook(lambda *_: 1 / 0)
    before = state_of(asked.module)
    with pytest.raises(ModelError, match="division by zero"):
        camviz.explain(asked, random_images(1))
    assert state_of(asked.module) == before
    assert hook_count(asked.module) == 1  # the caller's own


def test_order_is_images_targets_layers_methods():
    maps = camviz.explain(
        model("plain"),
        random_images(2),
        target=["0", "3"],
        layer=["features.0", "features.4"],
        method=["gradcam", "hirescam"],
    )
    seen = [(m.target, m.layer, m.method) for m in maps]
    assert len(seen) == 16
    first = [("features.0", "gradcam"), ("features.0", "hirescam"), ("features.4", "gradcam")]
    assert seen[:3] == [("class 0", *one) for one in first]
    assert seen[4][0] == "class 3"
    assert seen[:8] == seen[8:]


def test_several_targets_and_layers_equal_asking_one_by_one():
    image = random_images(1)
    together = camviz.explain(model("residual"), image, target=["1", "2"], layer=["stem", "block"])
    alone = [
        m for t in ("1", "2") for layer in ("stem", "block")
        for m in camviz.explain(model("residual"), image, target=t, layer=layer)
    ]  # fmt: skip
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a.values, b.values, rtol=1e-5, atol=1e-7)


def test_one_forward_serves_everything():
    asked = model("plain")
    calls = []
    asked.module.register_forward_hook(lambda *_: calls.append(1))
    camviz.explain(asked, random_images(2), target=["0", "1"], layer=["features.0", "features.4"], method="gradcam")
    assert len(calls) == 2  # the survey, on the meta device, and one for both images


def test_the_score_is_the_logit_or_the_probability():
    asked, image = model("plain"), random_images(1)
    with torch.no_grad():
        x = (
            torch.from_numpy(image[0]).permute(2, 0, 1)[None] / 255 - torch.tensor([0.485, 0.456, 0.406])[:, None, None]
        ) / (torch.tensor([0.229, 0.224, 0.225])[:, None, None])
        row = asked.module(x)[0]
    [logit] = camviz.explain(asked, image, target="2")
    [prob] = camviz.explain(asked, image, target="2", score="prob")
    assert logit.score == pytest.approx(float(row[2]), abs=1e-5)
    assert prob.score == pytest.approx(float(row.softmax(0)[2]), abs=1e-5)
    assert logit.probability == pytest.approx(prob.score, abs=1e-6)
    assert not np.allclose(logit.values, prob.values)


def test_a_difference_of_two_classes_is_the_difference_of_their_maps():
    asked, image = model("plain"), random_images(1)
    a, b = camviz.explain(asked, image, target=["1", "3"])
    [difference] = camviz.explain(asked, image, target="1 vs 3")
    np.testing.assert_allclose(difference.values, a.values - b.values, atol=1e-6)


def test_bf16_gives_float32_maps_close_to_fp32():
    a, b = (
        camviz.explain(model("plain"), random_images(1), precision=p, target="0")[0].values for p in ("fp32", "bf16")
    )
    assert b.dtype == np.float32
    np.testing.assert_allclose(a, b, atol=0.05 * np.abs(a).max())


def test_a_caller_without_gradients_changes_nothing():
    [plain] = camviz.explain(model("plain"), random_images(1), precision="bf16", target="0")
    with torch.no_grad():
        [quiet] = camviz.explain(model("plain"), random_images(1), precision="bf16", target="0")
    np.testing.assert_array_equal(plain.values, quiet.values)


def test_a_dead_layer_is_named_with_a_live_one():
    [dead] = camviz.explain(model("vit"), random_images(1), layer="encoder.ln")
    assert not dead.values.any()
    assert "no gradient at layer 'encoder.ln'" in dead.facts["note"]
    assert "--layer encoder.layers.encoder_layer_1.ln_1 has one" in dead.facts["note"]


def test_a_map_that_is_all_negative_says_so():
    asked = model("plain")
    with torch.no_grad():
        asked.module.fc.weight[0] = -1.0
    [found] = camviz.explain(asked, random_images(1), target="0")
    assert found.values.max() <= 0
    assert "--sign both" in found.facts["note"]


def test_nan_is_named():
    asked = model("plain")
    with torch.no_grad():
        asked.module.features[3].bias[0] = float("nan")
    [found] = camviz.explain(asked, random_images(1), target="0")
    assert "NaN" in found.facts["note"]


def test_a_layer_the_score_does_not_depend_on():
    class Forked(type(make("plain"))):
        def forward(self, x):
            self.features(x)
            return self.fc(x.mean((2, 3)).repeat(1, 3)[:, :8])

    with pytest.raises(ModelError, match=r"no gradient .* layer 'features\.4'"):
        camviz.explain(
            Model("forked", Forked().eval(), Preprocessing(crop=(SIZE, SIZE))), random_images(1), layer="features.4"
        )


@pytest.mark.parametrize(
    ("name", "reason"), [("residual", "not averaged straight"), ("smooth", "not averaged straight")]
)
def test_cam_refuses_other_heads_and_names_gradcam(name, reason):
    with pytest.raises(ModelError, match=reason) as caught:
        camviz.explain(model(name), random_images(1), method="cam")
    assert "gradcam" in caught.value.hint


def test_a_model_that_takes_one_size_only():
    image = random_images(1, size=(SIZE, 3 * SIZE))
    with pytest.raises(InputError) as caught:
        camviz.explain(model("vit"), image, fit="whole")
    assert "--fit squash" in caught.value.hint
    assert camviz.explain(model("vit"), image, fit="squash")[0].values.shape == (4, 4)


def test_an_output_that_is_no_row_of_scores():
    from torch import nn

    module = nn.Sequential(nn.Conv2d(3, 4, 3))
    conv = Model("conv", module, Preprocessing(crop=(SIZE, SIZE)), task="classification")
    with pytest.raises(ModelError, match="not one row of class scores"):
        camviz.explain(conv, random_images(1), layer="0")


def test_an_output_of_no_known_kind():
    from torch import nn

    with pytest.raises(ModelError, match="no known task: 1×4×2×222×222"):
        camviz.explain(Model("odd", nn.Sequential(nn.Conv2d(3, 8, 3), nn.Unflatten(1, (4, 2)))), random_images(1))


def test_whole_images_of_different_shapes_do_not_disturb_each_other():
    mixed = random_images(1) + random_images(2, seed=1, size=(SIZE, 2 * SIZE)) + random_images(1, seed=2)
    maps = camviz.explain(model("plain"), mixed, fit="whole", target="0")
    assert [m.values.shape for m in maps] == [(8, 8), (8, 16), (8, 16), (8, 8)]
    for image, found in zip(mixed, maps, strict=True):
        [alone] = camviz.explain(model("plain"), image, fit="whole", target="0")
        np.testing.assert_allclose(found.values, alone.values, rtol=1e-4, atol=1e-6)


def test_by_shape_groups_neighbors():
    groups = list(by_shape("aabbbba", 3, key=lambda letter: letter))
    assert ["".join(group) for group in groups] == ["aa", "bbb", "b", "a"]


def test_a_module_of_ones_own_keeps_its_place_and_needs_no_wrapper():
    module = make("plain")
    [found] = camviz.explain(module, random_images(1, size=(300, 280)))
    assert found.model == "Plain"
    assert found.view.image == (280, 300)


@pytest.mark.parametrize("wrong", [{"score": "probability"}, {"smooth": "blur"}, {"fuse": "sum"}])
def test_a_word_that_means_nothing_is_refused_from_python_too(wrong):
    [(noun, word)] = wrong.items()
    with pytest.raises(camviz.CamvizError, match=f"no {noun} '{word}'"):
        camviz.explain(model("plain"), random_images(1), layer=["features.0", "features.4"], **wrong)


def test_class_names_that_are_not_as_many_as_the_classes():
    asked = model("plain", labels=("cat", "dog"))
    with pytest.raises(camviz.CamvizError, match="2 class names for plain, which has 4 classes"):
        camviz.explain(asked, random_images(1))


@pytest.mark.parametrize("target", ["4", "top5", "1 vs 9"])
def test_a_class_beyond_those_of_a_model_without_names_is_refused_before_any_image(target):
    with pytest.raises(camviz.CamvizError, match=r"no class [49] in plain"):
        camviz.explain(model("plain"), [], target=target)
