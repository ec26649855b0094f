"""`camviz features` as a person types it."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def features(run, net_file, tmp_path):
    def invoke(*arguments: object):
        fixed = ["--model", f"{net_file}:Net", "--input-size", 32, "--output", tmp_path / "out"]
        return run("features", *fixed, *arguments)

    return invoke


def lines(result):
    assert result.exit_code == 0, result.stderr
    return result.stdout.splitlines()


def test_without_images_the_samples_and_the_demo_model(run, tmp_path):
    result = run("features", "--layer", "features.3", "-o", tmp_path / "out")
    assert len(lines(result)) == 10
    assert "the bundled samples" in result.stderr


def test_one_file_per_layer_named_by_it(features, write_image, tmp_path):
    names = [
        line.rpartition("/")[2] for line in lines(features(write_image(tmp_path / "a.png"), "--layer", "features.*"))
    ]
    assert names == [f"a_features_features.{i}.png" for i in range(4)]
    [alone] = lines(features(write_image(tmp_path / "a.png"), "--layer", "features.0"))
    assert alone.endswith("/a_features.png")


def test_json_says_what_is_drawn(features, write_image, tmp_path):
    [line] = lines(features(write_image(tmp_path / "a.png"), "-l", "features.1", "--top", 3, "--json"))
    facts = json.loads(line)
    assert facts["kind"] == "features"
    assert facts["layer"] == "features.1"
    assert facts["shape"] == [8, 16, 16]
    assert len(facts["channels"]) == 3
    assert 0 < facts["sparsity"] < 1


@pytest.mark.parametrize("how", ["mean", "sum", "max", "l2", "pca", "cluster"])
def test_every_reduction(features, write_image, tmp_path, how):
    [line] = lines(features(write_image(tmp_path / "a.png"), "--reduce", how, "--json"))
    facts = json.loads(line)
    assert facts["kind"] == f"features-{how}"
    assert Image.open(facts["path"]).size[0] > 100


def test_save_raw_keeps_the_activations(features, write_image, tmp_path):
    out = lines(features(write_image(tmp_path / "a.png"), "-l", "features.3", "--save-raw"))
    values = np.load(next(line for line in out if line.endswith(".npy")))
    assert values.shape == (16, 8, 8)
    assert values.dtype == np.float32


def test_contribution_depends_on_the_target(features, write_image, tmp_path):
    orders = []
    for target in ("0", "1"):
        [line] = lines(
            features(
                write_image(tmp_path / "a.png"), "-l", "features.3", "--rank", "contribution", "-t", target, "--json"
            )
        )
        orders.append(json.loads(line)["channels"])
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


@pytest.mark.parametrize("layout", ["grid", "strip"])
@pytest.mark.parametrize(("name", "kind"), [("webp", "WEBP"), ("jpg", "JPEG")])
def test_the_format_is_that_asked_for(features, write_image, tmp_path, layout, name, kind):
    [path] = lines(features(write_image(tmp_path / "a.png"), "--layout", layout, "--format", name))
    assert path.endswith(f"/a_{'strip' if layout == 'strip' else 'features'}.{name}")
    assert Image.open(path).format == kind


def test_a_strip_and_its_films(features, write_image, tmp_path):
    file = write_image(tmp_path / "a.png")
    [strip] = lines(features(file, "--layout", "strip"))
    assert Image.open(strip).size[0] > 500
    [gif] = lines(features(file, "--layout", "strip", "--format", "gif", "-l", "features.*"))
    assert Image.open(gif).n_frames == 5
    [mp4] = lines(features(file, "--layout", "strip", "--format", "mp4"))
    import cv2

    film = cv2.VideoCapture(mp4)
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) >= 16


def test_one_scale_for_the_run_compares_images(features, tmp_path):
    for name, level in (("dark.png", 20), ("light.png", 250)):
        Image.fromarray(np.full((32, 32, 3), level, np.uint8)).save(tmp_path / name)
    files = [tmp_path / "dark.png", tmp_path / "light.png"]

    def pages(*options):
        return [np.asarray(Image.open(line)) for line in lines(features(*files, "-l", "features.0", *options))]

    alone, run_wide = pages(), pages("--scale", "run")
    assert not np.array_equal(alone[0], run_wide[0]) or not np.array_equal(alone[1], run_wide[1])


def test_one_bad_image_does_not_stop_the_others(features, write_image, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no")
    result = features(tmp_path / "bad.png", write_image(tmp_path / "a.png"), "--reduce", "pca")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1
    assert result.stderr.count("error: ") == 1  # told once, though the images are read twice


@pytest.mark.parametrize(
    ("options", "quoted"),
    [
        (["--layer", "fc"], "layer 'fc' of net:Net"),
        (["--layer", "features.3", "--channel", "16"], "no channel '16' in layer 'features.3'"),
        (["--layer", "features.3", "--top", "17"], "more than the 16 channels"),
        (["--channel", "x"], "'x'"),
        (["--format", "gif"], "--format gif"),
        (["--format", "bmp"], "no format 'bmp'"),
        (["--overlay"], "--overlay"),
        (["--layout", "strip", "--reduce", "cluster"], "one map per layer"),
        (["--rank", "loud"], "loud"),
        (["--colormap", "infrno"], "no color map 'infrno'"),
        (["--rank", "contribution", "-t", "7"], "no class 7"),
        (["--rank", "contribution", "-t", "0", "-t", "1"], "2 targets"),
        (["-t", "0"], "--rank energy"),
        (["--attention"], "net:Net has no attention"),
        (["--attention", "--layout", "strip"], "--attention"),
        (["--attention", "--rank", "peak"], "--rank peak"),
    ],
)
def test_wrong_requests_are_two_lines_and_write_nothing(
    features, write_image, refused, written, tmp_path, options, quoted
):
    refused(features(write_image(tmp_path / "a.png"), *options), quoted)
    assert written() == []


def test_nan_in_the_activations_is_named(run, write_image, tmp_path):
    (tmp_path / "sick.py").write_text(
        "import torch\nfrom torch import nn\ndef build():\n    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())\n"
        "    net[0].bias.data[1] = float('nan')\n    return net\n"
    )
    result = run(
        "features", write_image(tmp_path / "a.png"), "-m", f"{tmp_path}/sick.py:build", "--input-size", 16, "-l", "1",
        "-o", tmp_path / "out",
    )  # fmt: skip
    assert len(lines(result)) == 1
    assert "NaN or infinite values at layer '1'" in result.stderr


def test_a_typo_imports_no_torch(fresh):
    import subprocess
    import sys

    code = (
        "import sys; sys.argv = ['camviz', 'features', 'a.png', '--model', 'resnt18']\n"
        "from camviz.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 2\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'torchvision')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert io.BytesIO(done.stderr).getvalue().startswith(b"error: no model 'resnt18'")


def test_the_heads_of_a_transformer(run, write_image, tmp_path):
    net = tmp_path / "tiny.py"
    net.write_text(
        "from torchvision.models import VisionTransformer\n"
        "def build():\n    return VisionTransformer(32, 8, 3, 4, 16, 16, num_classes=4)\n"
    )
    fixed = ["-m", f"{net}:build", "--input-size", 32, "--attention", "-o", tmp_path / "out"]
    image = write_image(tmp_path / "a.png")
    [alone] = lines(run("features", image, *fixed, "--json"))
    assert json.loads(alone)["heads"] == [0, 1, 2, 3]
    assert json.loads(alone)["layer"] == "encoder.layers.encoder_layer_2.self_attention"
    paths = lines(run("features", image, *fixed, "--layer", "encoder.layers.*", "--channel", "1,3", "--save-raw"))
    assert [path.endswith(".npy") for path in paths] == [False, True] * 3
    raw = np.load(paths[1])
    assert raw.shape == (4, 4, 4)
    assert (raw > 0).all()
    assert (raw.sum((1, 2)) < 1).all()
    [reduced] = lines(run("features", image, *fixed, "--reduce", "mean", "--overlay"))
    assert Image.open(reduced).size[0] > 100
    result = run("features", image, *fixed, "--top", 5)
    assert result.exit_code == 2
    assert "more than the 4 heads" in result.stderr


def facts_of(result):
    return [json.loads(line) for line in lines(result)]


def test_similarity_to_points_has_one_scale_over_the_run(features, write_image, tmp_path):
    paths = [write_image(tmp_path / f"{seed}.png", 64, 64, seed) for seed in range(3)]
    likes = ("--like", f"{paths[0]}:20,30", "--like", f"{paths[1]}:50,10")
    rows = facts_of(features(*paths, "-l", "features.3", *likes, "--json"))
    assert len({row["low"] for row in rows}) == 1
    highest = [[like["highest"] for like in row["like"]] for row in rows]
    assert highest[0][0] == pytest.approx(1)
    assert highest[1][1] == pytest.approx(1)
    assert max(highest[2]) < 1


def test_matches_with_the_same_image_are_the_patches_themselves(features, write_image, tmp_path):
    path = write_image(tmp_path / "a.png", 64, 64)
    [row] = facts_of(features(path, "-l", "features.3", "--correspond", path, "--json"))
    assert row["path"].endswith("a_correspond.png")
    assert len(row["matches"]) > 3
    assert all(match["from"] == match["to"] for match in row["matches"])


@pytest.mark.parametrize(
    ("words", "quoted"),
    [
        (["--like", "{0}:5"], "{0}:5"),
        (["--like", "{0}:900,5"], "900,5"),
        (["--like", "{0}:5,5", "--reduce", "pca"], "--reduce pca"),
        (["--correspond", "none.png"], "none.png"),
        (["--foreground"], "--foreground"),
    ],
)
def test_patches_that_cannot_be_compared_are_refused(words, quoted, features, write_image, tmp_path):
    path = write_image(tmp_path / "a.png")
    result = features(path, *(word.format(path) for word in words))
    assert result.exit_code == 2
    assert quoted.format(path) in result.stderr


def test_a_basis_of_the_run_takes_one_forward_per_image(features, write_image, tmp_path, monkeypatch):
    from camviz.feature_maps import extract

    images: list[int] = []
    forward = extract.run_forward
    monkeypatch.setattr(extract, "run_forward", lambda ask, inputs: images.append(len(inputs)) or forward(ask, inputs))
    paths = [write_image(tmp_path / f"{seed}.png", 64, 64, seed) for seed in range(4)]
    rows = facts_of(features(*paths, "--reduce", "pca", "--foreground", "--batch-size", 2, "--json"))
    assert len(rows) == sum(images) == 4
    assert not list((tmp_path / "out").glob("tmp*"))


def test_another_image_to_compare_with_is_another_job(features, write_image, tmp_path):
    image, other = (
        write_image(tmp_path / "p" / name, 32, 32, seed=seed) for name, seed in (("a.png", 1), ("b.png", 2))
    )
    before = Path(features(image, "--correspond", other).stdout.strip()).read_bytes()
    write_image(other, 32, 32, seed=3)
    assert Path(features(image, "--correspond", other).stdout.strip()).read_bytes() != before


def test_the_mark_does_not_depend_on_how_the_path_is_spelled(features, write_image, tmp_path, monkeypatch):
    write_image(tmp_path / "p" / "a.png", 32, 32, seed=1)
    monkeypatch.chdir(tmp_path)
    drawn = []
    for path in ("p/a.png", "./p/a.png", str(tmp_path / "p" / "a.png")):
        result = features("p/a.png", "--like", f"{path}:10,10", "--overwrite")
        drawn.append(Path(result.stdout.strip()).read_bytes())
    assert drawn[0] == drawn[1] == drawn[2]


def test_a_basis_of_a_run_in_a_store(run, net_file, write_image, tmp_path):
    fsspec = pytest.importorskip("fsspec")
    image = write_image(tmp_path / "a.png", 32, 32)
    words = ("--model", f"{net_file}:Net", "--input-size", 32, "--reduce", "pca", "-o", "memory://spooled")
    try:
        assert run("features", image, *words).exit_code == 0
    finally:
        fsspec.filesystem("memory").rm("/spooled", recursive=True)
