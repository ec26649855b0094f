"""Layout, prefix and grid, found from the model: small models in all their ways, then whole families."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from torch import nn

import camviz
from camviz.engine.forward import ForwardRequest, run_forward
from camviz.errors import ModelError
from camviz.hooks.capture import first_tensor
from camviz.models.layers import find_layers, grid, list_layers
from camviz.models.survey import survey
from camviz.types import Layer, Model, Preprocessing
from tests.helpers.modules import Block, Transformer


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def model_of(module: nn.Module, size: tuple[int, int] = (32, 32)) -> Model:
    return Model("net", module.eval(), Preprocessing(crop=size))


def listed(module: nn.Module, size: tuple[int, int] = (32, 32)) -> dict[str, Layer | None]:
    model = model_of(module, size)
    return {one.path: layer for one, layer in list_layers(model, survey(model.module, size))}


@pytest.mark.parametrize("prefix", [0, 1, 2, 5, 16])
@pytest.mark.parametrize(("size", "cells"), [((32, 32), (4, 4)), ((64, 24), (8, 3)), ((40, 96), (5, 12))])
def test_any_prefix_on_any_grid(prefix, size, cells):
    if prefix >= cells[0] * cells[1]:
        pytest.skip("more tokens than patches are no prefix")
    layer = listed(Transformer(prefix=prefix, read=(0,) if prefix else (), grid=cells), size)["blocks.1"]
    assert (layer.layout, layer.prefix, layer.cells(layer.shape[0], size)) == ("tokens", prefix, cells)


class Staged(nn.Module):
    """Tokens that are merged two by two, as in Swin of transformers; windows and a table of positions on the way."""

    def __init__(self, size=(4, 6)):
        super().__init__()
        self.size = size
        self.embed = nn.Conv2d(3, 12, 8, stride=8)
        self.bias = nn.Linear(2, 2)
        self.window = nn.Linear(12, 12)
        self.first, self.second = Block(True), Block(True)
        self.merge = nn.Linear(48, 12)
        self.norm = nn.LayerNorm(12)
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        h, w = self.size
        x = self.first(self.embed(x).flatten(2).transpose(1, 2))
        self.bias(torch.zeros(1, h, w, 2, device=x.device))
        self.window(x.reshape(-1, 4, 12))
        n = len(x)
        x = x.reshape(n, h // 2, 2, w // 2, 2, 12).transpose(2, 3).reshape(n, -1, 48)
        return self.head(self.norm(self.second(self.merge(x))).mean(1))


def test_every_stage_of_merged_tokens_has_its_grid():
    found = listed(Staged(), (32, 48))
    assert found["first"].cells(24, (32, 48)) == (4, 6)
    assert found["merge"].cells(6, (32, 48)) == (2, 3)
    assert found["second"].patch == (16, 16)
    assert found["bias"] is None, "a table of positions is not one map per image"
    assert found["window"] is None, "windows are not images"
    [layer] = find_layers(model_of(Staged(), (32, 48)), [])
    assert layer.path == "norm"


class Weights(Transformer):
    """Gives its attention weights as a layer's output."""

    def __init__(self):
        super().__init__(prefix=1)
        self.drop = nn.Dropout(0.0)

    def forward(self, x):
        self.drop(torch.zeros(len(x), 2, 17, 17, device=x.device))
        return super().forward(x)


def test_attention_weights_are_no_map():
    assert listed(Weights())["drop"] is None


class Overlapping(Transformer):
    def __init__(self):
        super().__init__(prefix=0, read=(), grid=(7, 7))
        self.patch_embed = nn.Conv2d(3, 12, 8, stride=4)


def test_patches_that_overlap():
    layer = listed(Overlapping())["blocks.0"]
    assert layer.cells(49, (32, 32)) == (7, 7)
    assert layer.to_maps(torch.zeros(2, 49, 12), (32, 32)).shape == (2, 12, 7, 7)


class Apart(Transformer):
    """The class token leaves the patches before they are given back as maps, as in PiT: the maps are dead."""

    def __init__(self):
        super().__init__(prefix=1)
        self.maps = nn.Sequential(nn.Conv2d(12, 12, 1), nn.BatchNorm2d(12))

    def forward(self, x):
        x = self.patch_embed(x).flatten(2).transpose(1, 2) + self.position
        x = torch.cat([self.prefix.expand(len(x), -1, -1), x], 1)
        for block in self.blocks:
            x = block(x)
        self.maps(x[:, 1:].transpose(1, 2).reshape(len(x), 12, 4, 4))
        return self.head(self.norm(x[:, 0]))


class ByKeyword(Transformer):
    """Attention that is given its tokens by keyword, so that no hook sees them."""

    def __init__(self):
        super().__init__(prefix=1)
        for block in self.blocks:
            block.forward = self.through(block)

    @staticmethod
    def through(block):
        def forward(x):
            x = x + block.attn(x=block.norm1(x))
            return x + block.mlp(block.norm2(x))

        return forward


@pytest.mark.parametrize("module", [Apart, ByKeyword, Transformer])
def test_the_default_layer_is_alive_where_a_class_token_is_read(module):
    model = model_of(module())
    [layer] = find_layers(model, [])
    assert (layer.path, layer.prefix) == ("blocks.1.norm1", 1)
    assert alive(model, layer) == 1


@pytest.mark.parametrize(("prefix", "read"), [(1, (0,)), (2, (0, 1)), (5, (0,))])
def test_a_dead_layer_that_was_asked_for_is_told_with_the_live_one(prefix, read):
    model = model_of(Transformer(prefix=prefix, read=read))
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    [found] = camviz.explain(model, pixels, layer="blocks.1")
    assert not found.values.any()
    assert "no gradient at layer 'blocks.1'" in found.facts["note"]
    assert "--layer blocks.1.norm1 has one" in found.facts["note"]


def test_the_last_norm_is_the_default_where_patches_are_read():
    [layer] = find_layers(model_of(Transformer(prefix=0, read=(), pool=True)), [])
    assert layer.path == "norm"


def test_patches_cut_without_a_convolution():
    class Cut(Transformer):
        def __init__(self):
            super().__init__(prefix=1)
            self.patch_embed = nn.Linear(3 * 64, 12)

        def forward(self, x):
            x = nn.functional.unfold(x, 8, stride=8).transpose(1, 2)
            x = torch.cat([self.prefix.expand(len(x), -1, -1), self.patch_embed(x) + self.position], 1)
            return self.head(self.blocks[1](self.blocks[0](x))[:, 0])

    layer = listed(Cut())["blocks.0"]
    assert (layer.prefix, layer.cells(17, (32, 32))) == (1, (4, 4))


def test_modules_that_are_shared_come_back_from_the_survey():
    class Sharing(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 3, 3)
            self.b = nn.Sequential(self.a, nn.Conv2d(3, 4, 3))
            self.c = nn.Sequential(self.b, self.a)

        def forward(self, x):
            return self.b(x).mean((2, 3))

    module = Sharing()
    survey(module, (32, 32))
    assert not any(p.is_meta for part in module.modules() for p in part.parameters())
    assert module.a is module.b[0] is module.c[1]


def test_pixels_folded_into_channels_before_the_first_convolution():
    module = nn.Sequential(nn.PixelUnshuffle(4), nn.Conv2d(48, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert survey(module, (32, 32)).find("1").shape == (8, 6, 6)


def test_features_of_a_linear_layer_lie_on_the_last_axis():
    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.mix, self.head = nn.Conv2d(3, 8, 4, stride=4), nn.Linear(8, 8), nn.Linear(8, 4)

        def forward(self, x):
            return self.head(self.mix(self.embed(x).permute(0, 2, 3, 1)).mean((1, 2)))

    found = listed(Turned())  # (8, 8, 8) either way
    assert (found["embed"].layout, found["mix"].layout) == ("plain", "channels_last")


def test_tokens_of_another_input_keep_their_prefix():
    layer = Layer("blocks.1", "tokens", 5, (16, 16))
    assert layer.cells(5 + 10 * 16, (160, 256)) == (10, 16)
    assert layer.cells(5 + 11 * 16, (170, 256)) == (11, 16)  # padded to whole patches
    assert layer.cells(5 + 13 * 15, (216, 232)) == (13, 15)
    with pytest.raises(ModelError, match=r"'blocks\.1' has 200 tokens for an input of 256×160: not 5 prefix"):
        layer.cells(200, (160, 256))


# whole families


def alive(model: Model, layer: Layer) -> float:
    """The share of the layer's cells where the scores have a gradient."""
    size = model.preprocessing.crop
    torch.manual_seed(3)
    passed = run_forward(ForwardRequest(model, (layer,)), torch.randn(1, 3, *size))
    output = first_tensor(passed.output)
    (gradient,) = torch.autograd.grad(output[:, :3].sum(), [passed.captured[layer.path]])
    return float((layer.to_maps(gradient, size).abs().amax(1) > 0).float().mean())


def hottest(model: Model, layer: Layer) -> tuple[float, float]:
    """Where the layer changes most, as shares of (height, width), when a square at (0.22, 0.75) gets brighter."""
    height, width = model.preprocessing.crop
    torch.manual_seed(3)
    inputs = torch.randn(1, 3, height, width).expand(2, -1, -1, -1).clone()
    inputs[1, :, int(height * 0.15) : int(height * 0.3), int(width * 0.65) : int(width * 0.85)] += 3
    maps = layer.to_maps(
        run_forward(ForwardRequest(model, (layer,), gradients=False), inputs).captured[layer.path], (height, width)
    )
    change = (maps[1] - maps[0]).square().sum(0)
    place = int(change.argmax())
    return (place // change.shape[1] + 0.5) / change.shape[0], (place % change.shape[1] + 0.5) / change.shape[1]


def trained(module: nn.Module) -> nn.Module:
    """An untrained model whose heads, layer scales and tokens are not zero, as if it were trained."""
    torch.manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.Linear) and not part.weight.any():
            nn.init.normal_(part.weight, std=0.02)
    for name, parameter in module.named_parameters():
        last = name.rpartition(".")[2]
        if last.startswith(("gamma", "lambda", "layer_scale")) and parameter.abs().max() <= 1e-4:
            nn.init.constant_(parameter, 0.3)
        elif "token" in last and not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    return module


def check(module: nn.Module, size: tuple[int, int], prefix: int, cells: tuple[int, int], local: bool = True) -> None:
    model = model_of(trained(module), size)
    [layer] = find_layers(model, [])
    assert (layer.prefix, grid(layer, size)) == (prefix, cells), layer
    assert alive(model, layer) > 0.9, layer
    if local:
        down, across = hottest(model, layer)
        assert abs(down - 0.22) < 0.09 + 0.6 / cells[0]
        assert abs(across - 0.75) < 0.11 + 0.6 / cells[1]
    gc.collect()


TIMM = {
    "vit_tiny_patch16_224": (1, 14), "deit_tiny_distilled_patch16_224": (2, 14), "vit_small_patch14_dinov2": (1, 37),
    "vit_small_patch14_reg4_dinov2": (5, 37), "vit_small_patch16_dinov3": (5, 16), "deit3_small_patch16_224": (1, 14),
    "vit_base_patch16_siglip_224": (0, 14), "eva02_tiny_patch14_224": (1, 16), "beit_base_patch16_224": (1, 14),
    "swin_tiny_patch4_window7_224": (0, 7), "swinv2_tiny_window8_256": (0, 8), "swinv2_cr_tiny_224": (0, 7),
    "maxvit_tiny_tf_224": (0, 7), "mobilevit_s": (0, 8), "mobilevitv2_050": (0, 8), "pvt_v2_b0": (0, 7),
    "convnext_tiny": (0, 7), "convnextv2_atto": (0, 7), "cait_xxs24_224": (0, 14), "xcit_nano_12_p16_224": (1, 14),
    "mixer_s32_224": (0, 7), "crossvit_tiny_240": (1, 20), "coat_lite_tiny": (1, 7), "volo_d1_224": (1, 14),
    "twins_svt_small": (0, 7), "levit_128s": (0, 4), "efficientformer_l1": (0, 7), "tiny_vit_5m_224": (0, 7),
    "hiera_tiny_224": (0, 7), "davit_tiny": (0, 7), "gcvit_xxtiny": (0, 7), "poolformer_s12": (0, 7),
    "caformer_s18": (0, 7), "focalnet_tiny_srf": (0, 7), "edgenext_xx_small": (0, 8), "nest_tiny": (0, 14),
    "visformer_tiny": (0, 7), "tnt_s_patch16_224": (1, 14), "pit_ti_224": (1, 7), "pit_ti_distilled_224": (2, 7),
    "vit_relpos_small_patch16_224": (0, 14), "vit_srelpos_small_patch16_224": (0, 14), "flexivit_small": (1, 15),
    "vit_medium_patch16_gap_240": (0, 15), "samvit_base_patch16_224": (0, 14), "convit_tiny": (1, 14),
    "coatnet_nano_rw_224": (0, 7), "mvitv2_tiny": (0, 7), "vit_small_r26_s32_224": (1, 7), "vitamin_small_224": (0, 14),
    "vit_so150m_patch16_reg4_gap_256": (4, 16), "vit_pe_core_tiny_patch16_384": (1, 24), "coat_tiny": (1, 7),
    "sequencer2d_s": (0, 16), "resmlp_12_224": (0, 14), "gmlp_ti16_224": (0, 14), "convmixer_768_32": (0, 32),
}  # fmt: skip
HANDFUL = ("vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "xcit_nano_12_p16_224", "pit_ti_distilled_224")
SPREAD = ("levit_128s", "efficientformer_l1", "tiny_vit_5m_224", "mvitv2_tiny", "convmixer_768_32", "coat_tiny")


@pytest.mark.parametrize(
    "name", [name if name in HANDFUL else pytest.param(name, marks=pytest.mark.slow) for name in TIMM]
)
def test_families_of_timm(name):
    timm = pytest.importorskip("timm", reason="pip install 'camviz[timm]'")
    torch.manual_seed(0)
    module = timm.create_model(name)
    prefix, cells = TIMM[name]
    size = module.pretrained_cfg["input_size"][1:]
    check(module, size, prefix, (cells, cells), local=name not in SPREAD)  # these mix the whole image, or are random


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "prefix", "cells"),
    [
        ("vit_tiny_patch16_224", (160, 256), 1, (10, 16)),
        ("vit_small_patch16_dinov3", (256, 160), 5, (16, 10)),
        ("swin_tiny_patch4_window7_224", (224, 448), 0, (7, 14)),
        ("pvt_v2_b0", (224, 352), 0, (7, 11)),
    ],
)
def test_families_of_timm_on_inputs_that_are_not_square(name, size, prefix, cells):
    timm = pytest.importorskip("timm", reason="pip install 'camviz[timm]'")
    how = {"img_size": size} if "vit" in name or "swin" in name else {}
    check(timm.create_model(name, **how), size, prefix, cells)


@pytest.mark.slow
def test_a_model_that_takes_any_size_at_a_size_it_was_not_surveyed_at():
    timm = pytest.importorskip("timm", reason="pip install 'camviz[timm]'")
    module = timm.create_model("vit_tiny_patch16_224", dynamic_img_size=True).eval()
    [layer] = find_layers(model_of(module, (224, 224)), [])
    with torch.no_grad():
        tokens = module.forward_features(torch.rand(1, 3, 160, 272))
    assert layer.to_maps(tokens, (160, 272)).shape == (1, 192, 10, 17)


SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64, "patch_size": 8}
STAGES = {"patch_size": 2, "embed_dim": 16, "depths": [1, 2, 2], "num_heads": [1, 2, 4], "window_size": 4}
FOUR = {"hidden_sizes": [16, 32, 64, 64], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 4, 4]}
HUGGING = {
    "ViT": (SMALL, 1, 8), "DeiT": (SMALL, 2, 8), "Beit": ({**SMALL, "use_relative_position_bias": True}, 1, 8),
    "Dinov2": (SMALL, 1, 8), "Dinov2WithRegisters": ({**SMALL, "num_register_tokens": 4}, 5, 8),
    "ViTMSN": (SMALL, 1, 8), "Data2VecVision": (SMALL, 1, 8), "IJepa": (SMALL, 0, 8),
    "Swin": (STAGES, 0, 8), "Swinv2": (STAGES, 0, 8), "Pvt": (FOUR, 1, 2), "Segformer": (FOUR, 0, 2),
    "Cvt": ({"embed_dim": [16, 32, 64], "num_heads": [1, 2, 4], "depth": [1, 2, 3]}, 1, 4),
    "Hiera": ({"embed_dim": 16, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 4, 8]}, 0, 2),
    "FocalNet": ({"embed_dim": 16, "patch_size": 4, "depths": [1, 1, 2, 1]}, 0, 2),
    "ConvNext": ({"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}, 0, 2),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", HUGGING)
@pytest.mark.parametrize("size", [(64, 64), (64, 96)], ids=["square", "not square"])
def test_families_of_transformers(name, size):
    transformers = pytest.importorskip("transformers", reason="pip install 'camviz[hf]'")
    how, prefix, cells = HUGGING[name]
    sized = {} if name in ("Cvt", "ConvNext", "Segformer") else {"image_size": size if size[0] != size[1] else size[0]}
    if name in ("Pvt", "FocalNet") and size[0] != size[1]:
        pytest.skip("takes one number for its image size")
    if name == "Hiera":
        sized = {"image_size": list(size)}
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(num_labels=5, **how, **sized)
    module = getattr(transformers, f"{name}ForImageClassification")(config)
    check(module, size, prefix, (cells, cells * size[1] // size[0]))


@pytest.mark.parametrize("size", [(200, 320), (320, 200)])
def test_a_grid_that_strides_round_up_is_one(size, pixels):
    """Give or take a cell it has the proportions of the input, also of one that is not square."""
    module = nn.Sequential(nn.Conv2d(3, 8, 3, 32, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    model = camviz.load(module, input_size=size)
    [found] = camviz.explain(model, pixels(*size), layer="0")
    assert found.values.shape == tuple(-(-side // 32) for side in reversed(size))
