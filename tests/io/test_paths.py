"""Paths and URLs: read, written, listed, and a whole run in a store."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from camviz.errors import RequestError
from camviz.io import paths
from camviz.io.inputs import list_inputs
from camviz.io.paths import Sizes, absolute, is_remote, matching, names_beginning, place, read_bytes, stamp, write_bytes
from tests.helpers.runs import known, results

COUNT = 5


@pytest.fixture
def bucket(store, write_image, tmp_path) -> str:
    """Five images, some below a sub-folder, and what is none."""
    for number in range(COUNT):
        file = write_image(tmp_path / "pics" / ("deep" if number % 2 else ".") / f"{number}.png", seed=number)
        store.pipe_file(f"/pics/{file.relative_to(tmp_path / 'pics')}", file.read_bytes())
    store.pipe_file("/pics/words.txt", b"words")
    store.pipe_file("/pics/.hidden.png", b"")
    return "memory://pics"


@pytest.mark.parametrize("text", ["s3a", "a/b.png", "/a/b.png", "c:/x", "a b/://x", ""])
def test_a_path_stays_a_path(text):
    assert place(text) == Path(text)
    assert type(place(text)) is type(Path())


def test_a_file_url_is_a_path():
    assert place("file:///a/b%20c.png") == Path("/a/b c.png")
    assert place("file://localhost/a") == Path("/a")


def test_a_url_is_a_path_of_its_store():
    url = place("memory://box/a b/图.png")
    assert is_remote(url)
    assert not is_remote(Path("box"))
    assert (str(url), absolute(url)) == ("memory://box/a b/图.png",) * 2
    assert (url.name, str(url.parent), str(url.parent / "c")) == ("图.png", "memory://box/a b", "memory://box/a b/c")
    assert str(url.relative_to(place("memory://box"))) == "a b/图.png"
    assert pickle.loads(pickle.dumps(url)) == url
    assert str(place("memory://box/")) == "memory://box"


def test_a_scheme_nobody_knows():
    with pytest.raises(RequestError) as caught:
        place("foo://x/y")
    assert "'foo://x/y'" in caught.value.message


def test_a_scheme_whose_package_is_missing(monkeypatch):
    def missing(_scheme: str) -> None:
        raise ImportError

    monkeypatch.setattr("fsspec.get_filesystem_class", missing)
    with pytest.raises(RequestError) as caught:
        place("s3://x/y")
    assert caught.value.hint == "pip install 'camviz[s3]'"


def test_bytes_come_and_go(store):
    url = place("memory://box/a.bin")
    assert not url.exists()
    assert stamp(url) is None
    write_bytes(url, b"123")
    assert (read_bytes(url), url.exists(), url.is_file(), url.parent.is_dir()) == (b"123", True, True, True)
    assert stamp(url)[0] == 3
    assert stamp(url)[1] > 10**18
    url.unlink()
    with pytest.raises(FileNotFoundError) as caught:
        read_bytes(url)
    assert caught.value.strerror


def test_names_that_begin_so_are_objects_of_the_folder_itself(store, tmp_path, monkeypatch):
    for name in ("shard-1", "shard-2", "other", "shard-deep/a"):
        store.pipe_file(f"/box/{name}", b"")
    assert names_beginning(place("memory://box"), "shard-") == ["shard-1", "shard-2"]
    monkeypatch.setitem(paths._EXTRAS, "memory", "a store that lists by the beginning of a name")
    monkeypatch.setattr(type(store), "ls", lambda *_, **__: pytest.fail("listed all of it"))
    found = ["/box/shard-1", "/box/shard-2", "/box/shard-deep/a"]
    monkeypatch.setattr(type(store), "find", lambda _self, path, prefix: found if prefix == "shard-" else [])
    assert names_beginning(place("memory://box"), "shard-") == ["shard-1", "shard-2"]


def test_a_pattern_means_objects(store):
    for name in ("a.png", "b.png", "c.txt", "deep.png/d"):
        store.pipe_file(f"/box/{name}", b"12")
    assert [(str(url), size) for url, (size, _) in matching(place("memory://box/*.png"))] == [
        ("memory://box/a.png", 2),
        ("memory://box/b.png", 2),
    ]


def test_what_a_store_raises_is_an_oserror_with_a_reason(store, monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("no  keys\nhere")

    monkeypatch.setattr(type(store), "cat_file", broken)
    with pytest.raises(OSError) as caught:
        read_bytes(place("memory://box/a.bin"))
    assert caught.value.strerror == "no keys here"


def test_sizes_of_a_folder_and_of_a_store(store, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_bytes(b"12")
    store.pipe_file("/box/sub/a", b"12")
    for sizes in (Sizes(tmp_path), Sizes(place("memory://box"))):
        assert [sizes(name) for name in ("sub/a", "sub/b", "other/a", "a", "sub/a")] == [2, -1, -1, -1, 2]


def test_images_of_a_store_are_listed_as_those_of_a_folder(bucket, tmp_path):
    there, here = list(list_inputs([bucket])), list(list_inputs([str(tmp_path / "pics")]))
    assert [one.name for one in there] == [one.name for one in here]
    assert [str(one.path) for one in there] == [f"memory://pics/{one.name}" for one in here]
    assert [one.stamp[0] for one in there] == [stamp(one.path)[0] for one in here]
    assert [one.name for one in list_inputs([f"{bucket}/*.png"])] == ["0.png", "2.png", "4.png"]
    assert [one.name for one in list_inputs([f"{bucket}/deep", f"{bucket}/2.png"])] == [
        "deep/1.png",
        "deep/3.png",
        "2.png",
    ]
    assert [one.name for one in list_inputs([f"{bucket}/2.png"])] == ["2.png"]


def test_a_run_in_a_store_is_a_run(bucket, heatmap, run, store, tmp_path):
    heatmap("--save-raw", tmp_path / "pics")
    asked = ["heatmap", bucket, "--model", f"{tmp_path}/net.py:Net", "--input-size", 32, "--save-raw"]
    first = run(*asked, "-o", "memory://out")
    assert first.exit_code == 0, first.stderr
    names = list(results(tmp_path / "out"))
    assert sorted(first.stdout.splitlines()) == sorted(f"memory://out/{name}" for name in names)
    for name, data in results(tmp_path / "out").items():
        assert store.cat_file(f"/out/{name}") == data
    assert sorted(store.find("/out")) == sorted(f"/out/{name}" for name in [*names, "camviz.sqlite"])
    assert "5 done before" in run(*asked, "-o", "memory://out").stderr
    store.rm_file("/out/deep/1_gradcam.png")
    assert run(*asked, "-o", "memory://out").stdout.splitlines()[:1] == ["memory://out/deep/1_gradcam.png"]
    assert "5 map(s), bit for bit" in run("replay", "memory://out", *asked[2:4], "--allow-urls").stderr
    assert run("export", "memory://out").stdout == "memory://out/maps.csv\n"
    assert run("report", "memory://out").exit_code == 0
    assert len(run("restyle", "memory://out", "--colormap", "jet", "--allow-urls").stdout.splitlines()) == 2 * COUNT
    assert not [name for name in os.listdir() if ":" in name]


def test_shards_in_a_store(bucket, net_file, run, store):
    asked = ["heatmap", bucket, "--model", f"{net_file}:Net", "--input-size", 32, "-o", "memory://out"]
    for number in (1, 2, 3):
        assert run(*asked, "--shard", f"{number}/3").exit_code == 0
    merged = run("merge", "memory://out")
    assert (merged.exit_code, merged.stdout) == (0, "memory://out/camviz.sqlite\n"), merged.stderr
    assert "5 done before" in run(*asked).stderr
    assert [name for name in store.find("/out") if "shard" in name] == []


def test_what_a_store_does_not_have(bucket, heatmap, refused):
    result = heatmap(f"{bucket}/9.png", f"{bucket}/0.png", "-q")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == "error: no file 'memory://pics/9.png'"
    refused(heatmap("foo://x", "-q"), "foo://x")


def test_help_does_not_import_it():
    code = "import sys; from camviz.cli.app import app; sys.exit('fsspec' in sys.modules or 'upath' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture(scope="session")
def s3():
    """An S3 server on this machine, and the environment that leads to it."""
    pytest.importorskip("s3fs", reason="pip install 'camviz[s3]'")
    moto = pytest.importorskip("moto.server", reason="pip install 'camviz[cluster]'")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    yield {**os.environ, **keys, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    server.stop()


@pytest.mark.slow
def test_an_object_store_for_real(s3, bucket, heatmap, fresh, net_file, tmp_path, monkeypatch):
    import s3fs

    heatmap(tmp_path / "pics")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.setenv(name, s3[name])
    there = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    there.mkdir("bucket")
    there.put(str(tmp_path / "pics"), "bucket/", recursive=True)
    asked = ["heatmap", "s3://bucket/pics", "--model", f"{net_file}:Net", "--input-size", 32, "-o", "s3://bucket/out"]
    first = fresh(*asked, env=s3)
    assert first.returncode == 0, first.stderr
    found = {name.removeprefix("bucket/out/"): there.cat_file(name) for name in there.find("bucket/out")}
    database = found.pop("camviz.sqlite")
    assert found == results(tmp_path / "out")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "camviz.sqlite").write_bytes(database)
    here, remote = known(tmp_path / "out"), known(tmp_path / "copy")
    assert here.keys() == remote.keys()
    assert all(here[key][1][0][:2] == remote[key][1][0][:2] for key in here if " " in key)
    assert "5 done before" in fresh(*asked, env=s3).stderr
    assert "5 map(s), bit for bit" in fresh("replay", "s3://bucket/out", *asked[2:4], env=s3).stderr
    gone = fresh("heatmap", "s3://bucket/pics", "-m", "demo", "-o", "s3://nobody/out", "-q", env=s3)
    assert (gone.returncode, gone.stdout) == (2, "")
    assert [line.partition(":")[0] for line in gone.stderr.splitlines()] == ["error", "hint"], gone.stderr
    blind = {name: value for name, value in s3.items() if not name.startswith("AWS_") or "ENDPOINT" in name}
    refused = fresh(
        "heatmap", "s3://bucket/pics", "-m", "demo", "-q", env={**blind, "AWS_EC2_METADATA_DISABLED": "true"}
    )
    assert refused.returncode == 2
    assert "cannot read 's3://bucket/pics'" in refused.stderr
