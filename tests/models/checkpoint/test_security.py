"""Files that were made to harm: none runs anything, none takes memory that it does not have."""

from __future__ import annotations

import io
import json
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile

import pytest
import torch
from torch import nn

import camviz
from camviz.errors import CheckpointError
from camviz.models.checkpoint import check_file, read_weights
from camviz.models.checkpoint.program import arithmetic
from camviz.models.load import plan
from camviz.types import ModelRequest
from tests.helpers.archives import exported, record, rezip, scripted

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, mark) -> None:
        self.mark = str(mark)

    def __reduce__(self):
        import os

        return os.mkdir, (self.mark,)


class Hidden(Trap):
    """The same, through a function that looks harmless."""

    def __reduce__(self):
        return eval, (f"__import__('os').mkdir({self.mark!r})",)


def torch_bytes(content) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def lightning(path, trap) -> None:
    torch.save({"state_dict": {"model.w": torch.ones(2)}, "hyper_parameters": trap}, path)


def old(path, trap) -> None:
    torch.save({"state_dict": {"w": torch.ones(2)}, "extra": trap}, path, _use_new_zipfile_serialization=False)


def pt2_weights(path, trap) -> None:
    exported(path)
    config = {
        "config": {"0.weight": {"path_name": "weight_0", "is_param": True, "use_pickle": True, "tensor_meta": None}}
    }
    rezip(path, {"model_weights_config.json": json.dumps(config).encode(), "weight_0": torch_bytes(trap)})


def pt2_inputs(path, trap) -> None:
    exported(path)
    rezip(path, {"sample_inputs/model.pt": torch_bytes(trap)})


def pt2_constant(path, trap) -> None:
    exported(path)
    config = {
        "config": {"c": {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}}
    }
    rezip(path, {"model_constants_config.json": json.dumps(config).encode()})
    rezip(path, {"data/constants/opaque_obj_0": pickle.dumps(trap)})


def pt2_expression(path, trap) -> None:
    exported(path)
    with zipfile.ZipFile(path) as archive:
        model = json.loads(archive.read(next(name for name in archive.namelist() if name.endswith("model.json"))))
    text = f"__import__('os').mkdir({trap.mark!r})"
    sizes = next(iter(model["graph_module"]["graph"]["tensor_values"].values()))["sizes"]
    sizes[0] = {"as_expr": {"expr_str": text, "hint": None}}
    rezip(path, {"models/model.json": json.dumps(model).encode()})


def pt2_library(path, trap) -> None:
    exported(path)
    rezip(path, {"data/aotinductor/model/model.so": b"\x7fELF"})


def script_data(path, trap) -> None:
    scripted(path)
    rezip(path, {"data.pkl": pickle.dumps(trap, protocol=2)})


def script_constants(path, trap) -> None:
    scripted(path)
    rezip(path, {"constants.pkl": pickle.dumps((trap,), protocol=2)})


def nested_pickle(path, trap) -> None:
    torch.save({"state_dict": {"w": torch.ones(2)}, "inner": {"deep": [trap]}}, path)


TRAPS = {
    "zip.pth": lambda path, trap: torch.save({"state_dict": {"w": torch.ones(2)}, "extra": trap}, path),
    "nested.pth": nested_pickle,
    "old.pth": old,
    "plain.pth": lambda path, trap: path.write_bytes(pickle.dumps(trap)),
    "protocol0.pkl": lambda path, trap: path.write_bytes(pickle.dumps(trap, protocol=0)),
    "lightning.ckpt": lightning,
    "hub.bin": lambda path, trap: torch.save({"w": torch.ones(2), "trap": trap}, path),
    "named.tar": lambda path, trap: torch.save({"model": {"w": torch.ones(2)}, "optimizer": trap}, path),
    "pickle.safetensors": lambda path, trap: path.write_bytes(pickle.dumps(trap)),
    "zip.safetensors": lambda path, trap: torch.save(trap, path),
    "protocol0.safetensors": lambda path, trap: path.write_bytes(pickle.dumps(trap, protocol=0)),
    "weights.pt2": pt2_weights,
    "inputs.pt2": pt2_inputs,
    "constant.pt2": pt2_constant,
    "expression.pt2": pt2_expression,
    "library.pt2": pt2_library,
    "data.pt": script_data,
    "constants.pt": script_constants,
}


@pytest.mark.parametrize("trap", [Trap, Hidden])
@pytest.mark.parametrize("name", TRAPS)
def test_nothing_runs(tmp_path, net_file, name, trap):
    TRAPS[name](tmp_path / name, trap(tmp_path / "ran"))
    for arguments in ({"spec": tmp_path / name}, {"spec": f"{net_file}:Net", "checkpoint": tmp_path / name}):
        if name.endswith(".pt2") and "checkpoint" in arguments:
            continue  # its tensors alone are read from raw records; nothing else of it is looked at
        with pytest.raises(CheckpointError) as caught:
            camviz.load(**arguments)
        assert str(tmp_path / name) in caught.value.message
        assert caught.value.hint
        assert not (tmp_path / "ran").exists()


def of_timm(place) -> str:
    pytest.importorskip("timm", reason="timm is not installed")
    (place / "config.json").write_text(json.dumps({"architecture": "resnet10t", "num_classes": 3}))
    return f"timm:{place}"


def of_transformers(place) -> str:
    pytest.importorskip("transformers", reason="transformers is not installed")
    from tests.helpers.small_transformers import configuration

    configuration("ViTForImageClassification").save_pretrained(place)
    return f"hf:{place}"


@pytest.mark.parametrize("described", [of_timm, of_transformers])
@pytest.mark.parametrize("name", [name for name in TRAPS if not name.endswith(".pt2")])
def test_nothing_runs_in_a_folder(tmp_path, name, described):
    place = tmp_path / "folder"
    place.mkdir()
    ending = name.rpartition(".")[2]
    TRAPS[name](place / ("model.safetensors" if ending == "safetensors" else "weights.bin"), Trap(tmp_path / "ran"))
    with pytest.raises(CheckpointError) as caught:
        camviz.load(described(place))
    assert str(place) in caught.value.message
    assert caught.value.hint
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("described", [of_timm, of_transformers])
@pytest.mark.parametrize("name", ["model.safetensors", "part-1.safetensors", "pytorch_model.bin"])
def test_a_folder_with_sizes_that_cannot_be_true(tmp_path, name, described):
    spec = described(tmp_path)
    bomb(tmp_path / name)
    with pytest.raises(CheckpointError, match="claims to unpack to 200 MB"):
        plan(ModelRequest(spec))
    header(tmp_path / name, 10_000_000_000)
    with pytest.raises(CheckpointError, match=r"its header claims 10\.0 GB"):
        plan(ModelRequest(spec))


@pytest.mark.parametrize("name", ["zip.pth", "old.pth", "lightning.ckpt"])
def test_the_traps_do_run_where_they_are_allowed_to(tmp_path, name):
    TRAPS[name](tmp_path / name, Trap(tmp_path / "ran"))
    read_weights(tmp_path / name, allow_pickle=True)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["weights.pt2", "inputs.pt2", "expression.pt2"])
def test_torchs_own_reader_of_exported_programs_would_run_them(tmp_path, name):
    TRAPS[name](tmp_path / name, Trap(tmp_path / "ran"))
    with pytest.raises(Exception):  # noqa: B017 the folder is made before it fails
        torch.export.load(str(tmp_path / name))
    assert (tmp_path / "ran").exists()


def test_the_tensors_of_an_exported_program_are_read_without_its_other_records(tmp_path):
    exported(tmp_path / "a.pt2")
    rezip(tmp_path / "a.pt2", {"sample_inputs/model.pt": torch_bytes(Trap(tmp_path / "ran"))})
    assert set(read_weights(tmp_path / "a.pt2").state) == {"0.weight", "0.bias"}
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("s77", True),
        ("2*s0 + FloorDiv(s1, 2) - 1", True),
        ("Symbol('s77', positive=True, integer=True)", True),
        ("Eval('1')", False),
        ("eval('s0')", False),
        ("s0.__class__", False),
        ("[s for s in s0]", False),
        ("(lambda: 1)()", False),
        ("Symbol('a b; import os')", False),
        ("__import__", False),
        ("s0[0]", False),
        ("s0**2", True),
        ("9**9**9", False),
        ("Pow(9, Pow(9, 9))", False),
        ("1 << 99999999", False),
        ("Symbol('s0')('x')", False),
        ("s0 +", False),
    ],
)
def test_only_arithmetic_is_evaluated(text, harmless):
    assert arithmetic(text) == harmless


class Writes(nn.Module):
    def forward(self, x):
        return x + torch.from_file("made", shared=True, size=4, dtype=torch.float32).sum()


def test_torchscript_that_touches_files_is_refused(tmp_path):
    torch.jit.script(Writes()).save(str(tmp_path / "a.pt"))
    with pytest.raises(CheckpointError, match="'from_file', which may touch files") as caught:
        camviz.load(tmp_path / "a.pt")
    assert caught.value.hint.startswith("--allow-pickle")


# sizes that cannot be true


def bomb(path, size: int = 200_000_000) -> None:
    """A checkpoint whose one record is zeros, compressed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("archive/data/0", "w", force_zip64=True) as record:
            for _ in range(size // 1_000_000):
                record.write(bytes(1_000_000))
        archive.writestr("archive/data.pkl", pickle.dumps({}, protocol=2))
        archive.writestr("archive/version", "3\n")


def test_a_zip_bomb_is_refused_before_torch_is_needed(tmp_path):
    bomb(tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="claims to unpack to 200 MB") as caught:
        plan(ModelRequest(str(tmp_path / "a.pth")))
    assert "get the file from somewhere else" in caught.value.hint


def test_a_directory_that_lies_about_sizes_is_refused(tmp_path):
    torch.save({"w": torch.ones(1000)}, tmp_path / "a.pth")
    content = bytearray((tmp_path / "a.pth").read_bytes())
    place = content.rindex(b"PK\x01\x02")
    content[place + 24 : place + 28] = struct.pack("<I", 4_000_000_000)  # uncompressed size of the last record
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"claims to unpack to 4\.0 GB"):
        check_file(tmp_path / "a.pth")


def test_records_that_overlap_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("archive/data.pkl", bytes(100_000))
        first = archive.infolist()[0]
        for number in range(20):  # the same bytes under many names
            other = zipfile.ZipInfo(f"archive/data/{number}")
            other.header_offset, other.CRC = first.header_offset, first.CRC
            other.file_size = other.compress_size = first.file_size
            archive.filelist.append(other)
    with pytest.raises(CheckpointError, match=r"is an archive of 10\d kB that claims to unpack to 2 MB"):
        check_file(tmp_path / "a.pth")


def header(path, claimed: int, length: int = 0) -> None:
    with path.open("wb") as file:
        file.write(struct.pack("<Q", claimed) + b'{"a":')
        if length:
            file.truncate(length)


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
@pytest.mark.parametrize("length", [0, 11_000_000_000])
def test_a_header_of_10_gb_is_refused(tmp_path, name, length):
    header(tmp_path / name, 10_000_000_000, length)
    with pytest.raises(CheckpointError, match=r"its header claims 10\.0 GB, the file has"):
        plan(ModelRequest(str(tmp_path / name)))


def claims(path, size: tuple[int, ...], stride: tuple[int, ...], elements: int, old_format: bool) -> None:
    """A checkpoint with a tensor that says it is larger than what is stored."""

    class Claim:
        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (torch.ones(elements).storage(), 0, size, stride, False, {})

    torch.save({"w": torch.ones(3), "big": Claim()}, path, _use_new_zipfile_serialization=not old_format)


@pytest.mark.parametrize("old_format", [False, True])
@pytest.mark.parametrize("stride", [(1,), (0,)])
def test_tensors_that_claim_more_than_the_file_holds_are_refused(tmp_path, stride, old_format):
    claims(tmp_path / "a.pth", (10**10,), stride, 4, old_format)
    with pytest.raises(CheckpointError, match=r"(claim|damaged)"):
        read_weights(tmp_path / "a.pth")


def test_little_memory_is_taken(tmp_path):
    files = [tmp_path / name for name in ("bomb", "header", "claim", "bytes", "old-bytes")]
    bomb(files[0])
    header(files[1], 10_000_000_000, 11_000_000_000)
    claims(files[2], (10**10,), (1,), 4, False)
    text = b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\x00\xe4\x0b\x54\x02\x85R."  # bytearray(10**10)
    with zipfile.ZipFile(files[3], "w") as archive:
        archive.writestr("archive/data.pkl", text)
        archive.writestr("archive/version", "3\n")
    files[4].write_bytes(text)
    code = (
        "import resource, sys, torch; from pathlib import Path; from camviz.errors import CheckpointError\n"
        "from camviz.models.checkpoint import read_weights\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n        read_weights(Path(path))\n"
        "    except CheckpointError:\n"
        "        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, files)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == len(files)
    assert max(map(int, done.stdout.split())) < 100_000  # kB


# archives in archives


def test_archives_in_archives_are_named_not_opened(tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "inner.pth")
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.write(tmp_path / "inner.pth", "models/inner.pth")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "inner.pth", "models/inner.pth")
    with tarfile.open(tmp_path / "b.tar", "w:gz") as tar:
        tar.add(tmp_path / "inner.pth", "models/inner.pth")
    for name, says in (("a.pth", "is a zip archive of 1 file(s)"), ("a.tar", "is a tar archive of 1 file(s)")):
        with pytest.raises(CheckpointError) as caught:
            read_weights(tmp_path / name)
        assert says in caught.value.message
        assert "--checkpoint models/inner.pth" in caught.value.hint
    with pytest.raises(CheckpointError, match="is compressed"):
        read_weights(tmp_path / "b.tar")


@pytest.mark.parametrize("stride", [b"J\xff\xff\xff\xff", b"K\xff"])
def test_tensors_of_torchscript_that_reach_beyond_their_storage_are_refused(tmp_path, stride):
    scripted(tmp_path / "a.pt")
    data = record(tmp_path / "a.pt", "data.pkl")
    assert data.count(b"K\x1bK\tK\x03K\x01") == 1  # the strides of the weight
    rezip(tmp_path / "a.pt", {"data.pkl": data.replace(b"K\x1bK\tK\x03K\x01", b"K\x1bK\tK\x03" + stride)})
    for read in (read_weights, camviz.load):
        with pytest.raises(CheckpointError, match="damaged"):
            read(tmp_path / "a.pt")


@pytest.mark.parametrize("old_format", [False, True])
@pytest.mark.parametrize(("size", "stride"), [((4,), (-1,)), ((2, 2), (3, 1)), ((4,), (2,))])
def test_tensors_that_reach_beyond_their_storage_are_refused(tmp_path, size, stride, old_format):
    claims(tmp_path / "a.pth", size, stride, 4, old_format)
    with pytest.raises(CheckpointError, match=r"(claims|damaged)"):
        read_weights(tmp_path / "a.pth")


def test_a_torchscript_tensor_with_an_empty_record_is_refused(tmp_path):
    scripted(tmp_path / "a.pt")
    rezip(tmp_path / "a.pt", {"/data/0": b""})  # torch makes a tensor at address 0 of it
    for read in (read_weights, camviz.load):
        with pytest.raises(CheckpointError, match="claims more than is stored"):
            read(tmp_path / "a.pt")
