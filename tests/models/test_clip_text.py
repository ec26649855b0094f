"""Models of images and words from a folder: tiny and untrained, with a tokenizer of a few words."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import camviz
from camviz.errors import ModelError, RequestError
from camviz.io.images import read_image
from camviz.models.layers import default_layer, grid
from camviz.models.preprocess import prepare
from camviz.models.survey import survey

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed"
)
VOCABULARY = ["<pad>", "<unk>", "<s>", "</s>", "a", "red", "blue", "car", "dog"]
PAD, START, END = 0, 2, 3
A_RED_CAR, A_BLUE_CAR = [START, 4, 5, 7, END], [START, 4, 6, 7, END]
LONGEST = 12
_LAYERS = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
_TEXT = {
    **_LAYERS,
    "vocab_size": len(VOCABULARY),
    "max_position_embeddings": LONGEST,
    "bos_token_id": START,
    "eos_token_id": END,
    "pad_token_id": PAD,
}
_VISION = {**_LAYERS, "image_size": 64, "patch_size": 8}


def write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, "<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", START), ("</s>", END)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)


def save(folder: Path, kind: str) -> Path:
    import torch
    import transformers

    torch.manual_seed(3)
    settings = {"text_config": _TEXT, "vision_config": _VISION}
    settings |= {"projection_dim": 16} if kind == "CLIP" else {}
    module = getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**settings))
    for parameter in module.parameters():  # what an untrained model gives is much alike for any image or text
        torch.nn.init.normal_(parameter, std=0.2)
    module.save_pretrained(folder)
    sizes = {"CLIP": {"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}}
    processor = getattr(transformers, f"{kind}ImageProcessor")
    processor(**sizes.get(kind, {"size": {"height": 64, "width": 64}})).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    return {kind: save(tmp_path_factory.mktemp("words") / kind.lower(), kind) for kind in ("CLIP", "Siglip")}


def features(folder: Path, kind: str, path: Path, ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """What transformers itself makes of an image and of a text's tokens."""
    import torch
    import transformers

    module = getattr(transformers, f"{kind}Model").from_pretrained(folder).eval()
    values, _ = prepare(read_image(path), camviz.load(f"hf:{folder}").preprocessing)
    if kind == "Siglip":
        ids = ids + [PAD] * (LONGEST - len(ids))
    with torch.no_grad():
        seen = module.get_image_features(pixel_values=torch.from_numpy(values[None])).pooler_output[0]
        read = module.get_text_features(input_ids=torch.tensor([ids])).pooler_output[0]
    return seen.numpy().astype(np.float64), read.numpy().astype(np.float64)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


@pytest.mark.parametrize("kind", ["CLIP", "Siglip"])
def test_the_score_is_the_cosine_of_image_and_text(folders, kind, write_image, tmp_path):
    path = write_image(tmp_path / "a.png", 80, 64)
    red, blue = (cosine(*features(folders[kind], kind, path, ids)) for ids in (A_RED_CAR, A_BLUE_CAR))
    assert abs(red - blue) > 1e-3
    targets = ["text:a red car", "text:a blue car", "text:a red car vs a blue car", "text:a blue car vs text:a red car"]
    found = camviz.explain(camviz.load(f"hf:{folders[kind]}"), path, target=targets)
    assert [one.score for one in found] == pytest.approx([red, blue, red - blue, blue - red], abs=1e-5)
    assert found[2].target == "similarity to “a red car” vs “a blue car”"
    np.testing.assert_allclose(found[2].values, -found[3].values, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "path"),
    [("CLIP", "vision_model.encoder.layers.2.layer_norm1"), ("Siglip", "vision_model.post_layernorm")],
)
def test_the_default_layer_has_a_gradient(folders, kind, path, write_image, tmp_path):
    """Behind CLIP's last attention only the class token counts; SigLIP pools all tokens."""
    model = camviz.load(f"hf:{folders[kind]}")
    seen = survey(model.module, model.preprocessing.crop)
    layer = default_layer(model, seen)
    assert (layer.path, grid(layer, (64, 64)), layer.prefix) == (path, (8, 8), int(kind == "CLIP"))
    [one] = camviz.explain(model, write_image(tmp_path / "a.png"), target="text:dog", layer=layer.path)
    assert one.values.shape == (8, 8)
    assert np.abs(one.values).max() > 0
    assert "note" not in one.facts


def test_the_command(folders, run, write_image, tmp_path, written):
    made = run(
        *("heatmap", write_image(tmp_path / "a.png"), "-m", f"hf:{folders['CLIP']}", "-t", "text:a red car vs a dog"),
        *("-t", f"similar:{write_image(tmp_path / 'b.png', seed=2)}", "-o", tmp_path / "out", "--json"),
    )
    assert made.exit_code == 0, made.stderr
    words, like = (json.loads(line) for line in made.stdout.splitlines())
    assert (words["target"], like["target"]) == ("similarity to “a red car” vs “a dog”", "similarity to b.png")
    assert written() == ["a_gradcam_similar-b.png", "a_gradcam_text-a-red-car-vs-text-a-dog.png"]


def test_it_needs_to_be_told_like_what(folders, run, refused, write_image, tmp_path):
    at = (write_image(tmp_path / "a.png"), "-m", f"hf:{folders['CLIP']}", "-o", tmp_path / "out")
    assert "'text:a " in refused(run("heatmap", *at), "--target")
    refused(run("heatmap", *at, "-t", "car"), "no target 'car'")
    refused(run("heatmap", *at, "-t", "text:a red car vs "), "no target 'text:'")
    refused(run("heatmap", *at, "-t", "text:" + "a " * 20), "22 tokens", f" is {LONGEST}")


def test_without_a_tokenizer_it_knows_no_words(tmp_path, write_image):
    folder = save(tmp_path / "clip", "CLIP")
    for file in folder.glob("token*"):
        file.unlink()
    model = camviz.load(f"hf:{folder}")
    path = write_image(tmp_path / "a.png")
    assert camviz.explain(model, path, target=f"similar:{path}")[0].score == pytest.approx(1, abs=1e-5)
    with pytest.raises(ModelError, match="no tokenizer in the folder of 'hf:") as caught:
        camviz.explain(model, path, target="text:dog")
    assert caught.value.hint.count("tokenizer.json")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"the tokenizer of 'hf:.*' does not load"):
        camviz.explain(camviz.load(f"hf:{folder}"), path, target="text:dog")


def test_a_processor_saved_as_one_file(tmp_path, folders):
    """Newer versions of transformers write the image processor into processor_config.json."""
    folder = save(tmp_path / "clip", "CLIP")
    own = folder / "preprocessor_config.json"
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": json.loads(own.read_text())}))
    own.unlink()
    model = camviz.load(f"hf:{folder}")
    assert model.notes == ()
    assert model.preprocessing == camviz.load(f"hf:{folders['CLIP']}").preprocessing
    (folder / "processor_config.json").write_text("{}")
    assert "is assumed" in camviz.load(f"hf:{folder}").notes[0]


def test_a_checkpoint_of_somebodys_own_changes_the_words_too(folders, tmp_path, write_image):
    import torch

    path = write_image(tmp_path / "a.png")
    state = {
        key: value.flip(0) if "text_projection" in key else value
        for key, value in camviz.load(f"hf:{folders['CLIP']}").module.state_dict().items()
    }
    torch.save(state, tmp_path / "mine.pth")
    model = camviz.load(f"hf:{folders['CLIP']}", checkpoint=tmp_path / "mine.pth")
    seen, read = features(folders["CLIP"], "CLIP", path, A_RED_CAR)
    [found] = camviz.explain(model, path, target="text:a red car")
    assert found.score == pytest.approx(cosine(seen, read[::-1]), abs=1e-5)


def test_words_of_a_contrast_of_images_need_files(folders, tmp_path, write_image):
    model = camviz.load(f"hf:{folders['CLIP']}")
    one, other = write_image(tmp_path / "one vs two.png"), write_image(tmp_path / "b.png", seed=4)
    [alone, rest] = camviz.explain(model, one, target=[f"similar:{one}", f"similar:{other}"])
    [versus] = camviz.explain(model, one, target=f"similar:{one} vs similar:{other}")
    assert versus.score == pytest.approx(alone.score - rest.score, abs=1e-5)
    with pytest.raises(RequestError, match="no reference image"):
        camviz.explain(model, one, target=f"similar:{other} vs {one}")
