"""The attention family against hand-computed cases and a literal transcription in float64."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import camviz
from camviz.engine.attention_structure import Structure
from camviz.io.notebook import as_images
from camviz.methods import METHODS
from camviz.models.preprocess import prepare
from camviz.types import Layer, Model, Preprocessing
from tests.helpers.modules import Transformer

FAMILY = ["rollout", "grad-rollout", "chefer", "legrad"]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


# by hand


def probe(attentions, gradients, reads, prefix=1, pool=False):
    """A probe of one image with these (heads, q, k) attentions and gradients, the pooling one last."""
    tokens = len(reads)
    layer = Layer("blocks", "tokens", prefix, (8, 8))
    paths = tuple(f"blocks.{i}" for i in range(len(attentions) - pool))
    how = Structure(paths, paths, "pool" if pool else "", 1, torch.tensor(reads), layer, (1, tokens - prefix))

    def matrices(reduce, gradients_=False, **more):
        wanted = gradients_ or more.get("gradients", False)
        return [reduce(a[None], *([g[None]] if wanted else [])) for a, g in zip(attentions, gradients, strict=True)]

    def formation(reduce, last=0):
        return [reduce(g[None]) for g in gradients[-last:]]

    return SimpleNamespace(attention=SimpleNamespace(structure=how, matrices=matrices, formation=formation))


def call(name, *given, **settings):
    return METHODS.find(name).call(probe(*given, **settings))[0].flatten().tolist()


A = torch.tensor([[[0.6, 0.4], [0.2, 0.8]]])  # one head, class token and one patch
CLASS = [1.0, 0.0]


def test_rollout_of_two_tokens_by_hand():
    # ½A + ½I = [[.8, .2], [.1, .9]]; its square has .8·.2 + .2·.9 at the patch in the class token's row
    assert call("rollout", [A, A], [A, A], CLASS) == pytest.approx([0.34])


def test_rollout_of_two_layers_takes_the_first_first():
    other = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])  # ½A + ½I = [[1, 0], [.5, .5]]
    # the patch reaches the class token in the first layer only: .2 of it, which the second leaves alone
    assert call("rollout", [A, other], [A, A], CLASS) == pytest.approx([0.2])
    # in the first layer the patch gives up half of itself: .2 · .5 arrives
    assert call("rollout", [other, A], [A, A], CLASS) == pytest.approx([0.1])


def test_heads_are_brought_together_as_asked():
    two = torch.stack([A[0], torch.tensor([[0.2, 0.8], [0.2, 0.8]])])
    picked = {
        how: METHODS.find("rollout").call(probe([two], [two], CLASS), heads=how).item()
        for how in ("mean", "max", "min")
    }
    # the class token's row of attention: mean [.4, .6], max [.6, .8], min [.2, .4]; rows are brought to 1 after + ½I
    assert picked == pytest.approx({"mean": 0.3, "max": 0.4 / 1.2, "min": 0.2 / 0.8})
    with pytest.raises(camviz.CamvizError, match="no heads 'most'"):
        METHODS.find("rollout").call(probe([two], [two], CLASS), heads="most")


def test_grad_rollout_of_two_tokens_by_hand():
    gradient = torch.tensor([[[-1.0, 2.0], [0.0, 1.0]]])
    # relu(A ⊙ G) = [[0, .8], [0, .8]]; + I, rows to 1: [[1/1.8, .8/1.8], [0, 1]]
    assert call("grad-rollout", [A], [gradient], CLASS) == pytest.approx([0.8 / 1.8])
    still = torch.zeros(1, 2, 2)  # a layer whose attention does not matter: it leaves all where it is
    assert call("grad-rollout", [A, A], [gradient, still], CLASS) == pytest.approx([0.8 / 1.8])
    assert call("grad-rollout", [A, A], [still, gradient], CLASS) == pytest.approx([0.8 / 1.8])


def test_grad_rollout_leaves_out_what_patches_keep_of_themselves():
    gradient = torch.tensor([[[0.0, 1.0], [0.0, 0.0]]])
    # patches 0 and 1, both read: relu(A ⊙ G) + I, rows to 1: [[1/1.4, .4/1.4], [0, 1]]; off the diagonal, halved
    assert call("grad-rollout", [A], [gradient], [0.5, 0.5], prefix=0) == pytest.approx([0, 0.2 / 1.4])


def test_chefer_of_two_tokens_by_hand():
    first = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]])  # Ā = [[0, .4], [0, .8]]
    second = torch.tensor([[[1.0, -1.0], [0.0, 5.0]]])  # Ā = [[.6, 0], [0, 4]]
    # (I + Ā₂)(I + Ā₁): class token's row [1.6, 0] · [[1, .4], [0, 1.8]]
    assert call("chefer", [A, A], [first, second], CLASS) == pytest.approx([0.64])


def test_chefer_adds_up_heads_after_their_negative_parts_are_gone():
    two, signs = torch.stack([A[0], A[0]]), torch.stack([torch.ones(2, 2), -torch.ones(2, 2)])
    assert call("chefer", [two], [signs], CLASS) == pytest.approx([0.2])
    # grad-rollout takes the mean first: nothing is left, and the identity has nothing of the patch
    assert call("grad-rollout", [two], [signs], CLASS) == pytest.approx([0.0])


def test_pooling_by_attention_by_hand():
    pool = torch.tensor([[[0.25, 0.75]]])
    ones = torch.ones_like(A)
    start = ([A, pool], [ones, torch.ones_like(pool)], [0.5, 0.5])
    # rollout: [.25, .75] · [[.8, .2], [.1, .9]]
    assert call("rollout", *start, prefix=0, pool=True) == pytest.approx([0.275, 0.725])
    # chefer, eq. 8 to 10: R - I = 3A, its rows brought to 1 are A, so [.25, .75] · (A + I)
    start = ([A, pool], [3 * ones, torch.ones_like(pool)], [0.5, 0.5])
    assert call("chefer", *start, prefix=0, pool=True) == pytest.approx([0.25 + 0.3, 0.75 + 0.7])


def test_legrad_by_hand():
    gradients = [torch.tensor([[[1.0, -3.0], [2.0, 4.0]]]), torch.tensor([[[0.0, 1.0], [0.0, 1.0]]])]
    # of the patch's column, mean over queries of the positive part: (0 + 4) / 2 and (1 + 1) / 2
    assert call("legrad", [A, A], gradients, CLASS) == pytest.approx([1.5])
    assert METHODS.find("legrad").call(probe([A, A], gradients, CLASS), blocks=1).item() == pytest.approx(1.0)


# a literal transcription, in float64, by loops


def layers_of(module: nn.Module, x: Tensor):
    """Each block's attention (heads, N, N) as a leaf of the graph, the tokens after each block, and the logits."""
    tokens = module.patch_embed(x).flatten(2).transpose(1, 2) + module.position
    tokens = torch.cat([module.prefix, tokens], 1)[0]
    attentions, after = [], []
    for block in module.blocks:
        q, k, v = block.attn.qkv(3 * block.norm1(tokens)).reshape(len(tokens), 3, 2, 6).unbind(1)
        heads = []
        for head in range(2):
            scores = q[:, head] @ k[:, head].T / 6**0.5
            heads.append(torch.stack([row.exp() / row.exp().sum() for row in scores]))
        attention = torch.stack(heads)
        if not attention.requires_grad:
            attention.requires_grad_()
        attentions.append(attention)
        mixed = torch.cat([attention[head] @ v[:, head] for head in range(2)], 1)
        tokens = tokens + block.attn.proj(mixed)
        tokens = tokens + block.mlp(block.norm2(tokens))
        after.append(tokens)
    return attentions, after, head_of(module, tokens)


def head_of(module, tokens):
    tokens = module.norm(tokens)
    if module.pool:
        return pooled(module, tokens)[1]
    parts = [tokens[own] for own in module.read]
    parts += [tokens[module.prefix.shape[1] :].mean(0)] if module.mean else []
    return module.head(torch.stack(parts).mean(0))


def pooled(module, tokens):
    """(the pooling's attention (heads, 1, N), a leaf or part of the graph; the logits) by its own weights."""
    pool = module.pool
    queries, keys, values = (
        one @ weight.T + bias
        for one, weight, bias in zip(
            (module.query[0], tokens, tokens), pool.in_proj_weight.chunk(3), pool.in_proj_bias.chunk(3), strict=True
        )
    )
    heads = []
    for head in range(2):
        own = slice(6 * head, 6 * head + 6)
        heads.append((queries[:, own] @ keys[:, own].T / 6**0.5).softmax(-1))
    attention = torch.stack(heads)
    mixed = torch.cat([attention[head] @ values[:, 6 * head : 6 * head + 6] for head in range(2)], 1)
    return attention, module.head(mixed @ pool.out_proj.weight.T + pool.out_proj.bias)[0]


def product(a, b):
    size = len(a)
    return [[sum(a[i][k] * b[k][j] for k in range(size)) for j in range(size)] for i in range(size)]


def transcribed(name, module, x, target):
    """The whole (N, N) matrix that a method makes, or LeGrad's row (N,): numbers and loops, the first layer first."""
    attentions, after, logits = layers_of(module, x)
    grads = torch.autograd.grad(logits[target], attentions, retain_graph=True)
    tokens = len(after[0])
    if name == "legrad":
        total = np.zeros(tokens)
        for attention, own in zip(attentions, after, strict=True):
            read = own.clone()
            for token in module.read:
                read[token] = own.mean(0)
            (grad,) = torch.autograd.grad(head_of(module, read)[target], attention, retain_graph=True)
            for head in range(2):
                for query in range(tokens):
                    for key in range(tokens):
                        total[key] += max(0.0, float(grad[head, query, key])) / (2 * tokens * len(attentions))
        return total
    whole = [[float(i == j) for j in range(tokens)] for i in range(tokens)]
    for attention, grad in zip(attentions, grads, strict=True):
        layer = [[0.0] * tokens for _ in range(tokens)]
        for i in range(tokens):
            for j in range(tokens):
                a, g = attention[:, i, j].tolist(), grad[:, i, j].tolist()
                weighed = [x * y for x, y in zip(a, g, strict=True)]
                layer[i][j] = {
                    "rollout": sum(a) / 2,
                    "grad-rollout": max(0.0, sum(weighed) / 2),
                    "chefer": sum(max(0.0, x) for x in weighed) / 2,
                }[name] + float(i == j)
            if name != "chefer":
                total = sum(layer[i])
                layer[i] = [value / total for value in layer[i]]
        whole = product(layer, whole)
    return np.array(whole)


def explained(module, name, size=(32, 32), **more):
    """(the map, the model's input) of a random image, target class 1."""
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    model = Model("net", module.eval(), Preprocessing(crop=size, resize=None))
    [found] = camviz.explain(model, pixels, method=name, target="1", **more)
    [image] = as_images(pixels)
    return found.values, torch.from_numpy(prepare(image, model.preprocessing, "model")[0])[None].double()


SHAPES = [
    ({"prefix": 1}, (32, 32)),
    ({"prefix": 2, "read": (0, 1), "fused": False}, (32, 32)),
    ({"prefix": 5, "depth": 3}, (16, 40)),
    ({"prefix": 0, "read": ()}, (40, 16)),
]


@pytest.mark.parametrize(("how", "size"), SHAPES, ids=["class token", "distilled", "registers", "mean"])
@pytest.mark.parametrize("name", FAMILY)
def test_against_a_literal_transcription(name, how, size):
    torch.manual_seed(3)
    grid = (size[0] // 8, size[1] // 8)
    module = Transformer(**how, grid=grid)
    values, x = explained(module, name, size)
    right = transcribed(name, copy.deepcopy(module).double(), x, 1)
    if right.ndim == 2:
        prefix = how["prefix"]
        if name == "chefer" or (name == "grad-rollout" and not prefix):
            right = right - (np.diag(np.diag(right)) if name == "grad-rollout" else np.eye(len(right)))
        rows = list(how.get("read", (0,))) or range(prefix, len(right))
        right = np.mean([right[row] for row in rows], 0)
    right = right[how["prefix"] :].reshape(grid)
    assert np.abs(right).max() > 1e-5
    np.testing.assert_allclose(values, right, rtol=2e-4, atol=1e-6 * np.abs(right).max())


def test_rollout_shares_sum_to_one_with_the_prefix():
    module = Transformer(prefix=0, read=())
    assert explained(module, "rollout")[0].sum() == pytest.approx(1, abs=1e-5)
    assert 0 < explained(Transformer(prefix=5), "rollout")[0].sum() < 1


def test_pooling_by_attention_against_its_own_weights():
    torch.manual_seed(3)
    module = Transformer(prefix=0, read=(), pool=True)
    found, x = explained(module, "rollout")
    double = copy.deepcopy(module).double()
    attentions, after, _ = layers_of(double, x)
    own, _ = pooled(double, double.norm(after[-1]))
    row = own.mean(0)[0]
    for attention in reversed(attentions):
        row = row @ (attention.mean(0) / 2 + torch.eye(16) / 2)
    np.testing.assert_allclose(found.ravel(), row.detach().numpy(), rtol=1e-4)
    # LeGrad reads the pooling's attention: the query's row, for the tokens of every block
    rows = []
    for tokens in after:
        own, logits = pooled(double, double.norm(tokens))
        (grad,) = torch.autograd.grad(logits[1], own, retain_graph=True)
        rows.append(grad.clamp(min=0).mean((0, 1)))
    right = torch.stack(rows).mean(0).numpy()
    np.testing.assert_allclose(explained(module, "legrad")[0].ravel(), right, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", FAMILY)
def test_fused_or_written_out_is_the_same(name):
    torch.manual_seed(5)
    fused = Transformer(prefix=2, read=(0, 1))
    plain = Transformer(prefix=2, read=(0, 1), fused=False)
    plain.load_state_dict(fused.state_dict())
    a, b = explained(fused, name)[0], explained(plain, name)[0]
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7 * np.abs(b).max())


def test_legrad_of_the_last_blocks_is_theirs_alone():
    torch.manual_seed(3)
    module = Transformer(prefix=1, depth=3)
    whole = explained(module, "legrad")[0]
    last = [explained(module, "legrad", settings={"blocks": n})[0] * n for n in (1, 2, 3)]
    np.testing.assert_allclose(last[2] / 3, whole, rtol=1e-5)
    assert (last[0] <= last[1] + 1e-9).all()
    assert (last[1] <= last[2] + 1e-9).all()


@pytest.mark.parametrize("name", ["grad-rollout", "chefer", "legrad"])
def test_a_class_has_its_own_map_and_rollout_has_not(name):
    torch.manual_seed(3)
    module = Transformer(prefix=1)
    model = Model("net", module.eval(), Preprocessing(crop=(32, 32), resize=None))
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    a, b = (camviz.explain(model, pixels, method=name, target=target)[0].values for target in ("0", "1"))
    assert np.abs(a - b).max() > 0.01 * np.abs(a).max()
    a, b = (camviz.explain(model, pixels, method="rollout", target=target)[0].values for target in ("0", "1"))
    assert np.array_equal(a, b)
