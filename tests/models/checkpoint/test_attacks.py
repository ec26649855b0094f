"""TorchScript and torch.export archives made to write a file, the canary: none does, and none is a crash."""

from __future__ import annotations

import json
import zipfile

import pytest
import torch
import torchvision  # noqa: F401  # registers image::write_file
from torch import nn

import camviz
from camviz.errors import CheckpointError
from tests.helpers.archives import change_program, exported, record, rezip

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


def attempt(path, net_file, canary) -> None:
    """Load the file as a model and as a checkpoint: refused, or read without running what was planted."""
    for arguments in ({"spec": path}, {"spec": f"{net_file}:Net", "checkpoint": path}):
        try:
            model = camviz.load(**arguments, input_size=(32, 32))
            model.module(torch.rand(1, 3, 32, 32))
        except (camviz.errors.CamvizError, RuntimeError):  # the latter: a harmless program on another size
            pass
        assert not canary.exists()


# TorchScript


class Saves(nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.conv, self.path = nn.Conv2d(3, 4, 3), path
        self.register_buffer("code", torch.tensor(list(b"x"), dtype=torch.uint8))

    def forward(self, x):
        torch.save(self.code, self.path)
        return self.conv(x).mean((2, 3))


class Maps(Saves):
    def forward(self, x):
        return self.conv(x).mean((2, 3)) + torch.from_file(self.path, True, 4, dtype=torch.float32)


class Prints(Saves):
    def forward(self, x):
        print("/etc/a path that a script reads")
        return self.conv(x).mean((2, 3))


class Restores(nn.Module):
    """Loading it runs `__setstate__`."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path, self.training, self.code = path, False, torch.ones(1)

    @torch.jit.export
    def __getstate__(self):
        return (self.path, self.training, self.code)

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool, torch.Tensor]):
        self.path = state[0]
        self.training = state[1]
        self.code = state[2]
        torch.save(self.code, self.path)

    def forward(self, x):
        return x.mean((2, 3)) * self.code


TEXTS = {
    "as it is": lambda text: text,
    "spaces": lambda text: text.replace("torch.save(", "torch . save ("),
    "tabs": lambda text: text.replace("torch.save(", "torch\t.\tsave\t("),
    "line break": lambda text: text.replace("torch.save(", "(torch.\n    save)(").replace(")(code", "(code"),
    "line break in a call": lambda text: text.replace("torch.save(", "torch.save(\n      "),
    "method of a tensor": lambda text: text.replace("torch.save(code, ", "(code).save("),
    "method with spaces": lambda text: text.replace("torch.save(code, ", "(code) . save ("),
    "getattr": lambda text: text.replace("torch.save(code, ", 'getattr(code, "save")('),
    "escaped getattr": lambda text: text.replace("torch.save(code, ", 'getattr(code, "sa\\x76e")('),
    "ops in parentheses": lambda text: text.replace("torch.save(", "(ops).aten.save("),
    "between strings": lambda text: text.replace("torch.save(code, path)", '("\'", torch . save(code, path), "\'")'),
    "ops": lambda text: text.replace("torch.save(", "ops.aten.save("),
    "ops with spaces": lambda text: text.replace("torch.save(", "ops . aten\n    . save ("),
    "comment": lambda text: text.replace("torch.save(", "torch.save#\n   ("),
    "image": lambda text: text.replace("torch.save(code, path)", "ops.image.write_file(path, code)"),
    "image, no parentheses beside": lambda text: text.replace(
        "torch.save(code, path)", "ops.image . write_file\n(path, code)"
    ),
    "backslash": lambda text: text.replace("torch.save(", "torch.\\\n   save("),
}


def script(path, canary, kind=Saves, edit=lambda text: text, rename=str) -> None:
    torch.jit.script(kind(str(canary)).eval()).save(str(path))
    with zipfile.ZipFile(path) as archive:
        code = {name: archive.read(name).decode() for name in archive.namelist() if name.endswith(".py")}
    rezip(path, {name: edit(text).encode() for name, text in code.items()}, rename)


@pytest.mark.parametrize("text", TEXTS)
def test_no_spelling_of_an_operator_that_writes(tmp_path, net_file, text):
    script(tmp_path / "m.pt", tmp_path / "canary", edit=TEXTS[text])
    attempt(tmp_path / "m.pt", net_file, tmp_path / "canary")
    with pytest.raises(CheckpointError, match=r"m\.pt"):
        camviz.load(tmp_path / "m.pt")


@pytest.mark.parametrize("kind", [Maps, Prints, Restores])
def test_no_other_operator_of_torchscript(tmp_path, net_file, kind):
    script(tmp_path / "m.pt", tmp_path / "canary", kind)
    (tmp_path / "canary").unlink(missing_ok=True)  # saving a module calls its __getstate__
    attempt(tmp_path / "m.pt", net_file, tmp_path / "canary")
    with pytest.raises(CheckpointError, match="TorchScript that uses") as caught:
        camviz.load(tmp_path / "m.pt")
    assert caught.value.hint.startswith("--allow-pickle")


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name[:-3] + ".PY" if name.endswith(".py") else name,
        lambda name: name.replace("/code/", "/CODE/"),
        lambda name: name.replace("/code/__torch__", "/Code/__TORCH__"),
    ],
)
def test_no_other_case_of_the_name_of_a_code_entry(tmp_path, net_file, rename):
    script(tmp_path / "m.pt", tmp_path / "canary", rename=rename)
    attempt(tmp_path / "m.pt", net_file, tmp_path / "canary")


def test_no_second_entry_of_the_same_name(tmp_path, net_file):
    script(tmp_path / "m.pt", tmp_path / "canary")
    with zipfile.ZipFile(tmp_path / "m.pt", "a") as archive:
        name = next(name for name in archive.namelist() if name.endswith(".py"))
        archive.writestr(name.upper(), archive.read(name).replace(b"torch.save(code, path)", b"pass"))
    attempt(tmp_path / "m.pt", net_file, tmp_path / "canary")


def test_they_do_write_where_that_is_allowed(tmp_path):
    script(tmp_path / "m.pt", tmp_path / "canary")
    camviz.load(tmp_path / "m.pt", allow_pickle=True, input_size=(32, 32))
    assert (tmp_path / "canary").exists()


# torch.export


def nodes(program):
    return program["graph_module"]["graph"]["nodes"]


def call(canary) -> str:
    return f"__import__('pathlib').Path({str(canary)!r}).touch()"


def guards(program, canary):
    program["guards_code"] = [f"{call(canary)} is None"]


def target(name):
    def change(program, canary):
        node = nodes(program)[0]
        node["target"] = name.replace("CANARY", str(canary))
        node["inputs"] = [
            {"name": "filename", "arg": {"as_string": str(canary)}, "kind": 1},
            {"name": "shared", "arg": {"as_bool": True}, "kind": 1},
            {"name": "size", "arg": {"as_int": 4}, "kind": 1},
        ]

    return change


def node_name(program, canary):
    text = json.dumps(program).replace('"conv2d"', json.dumps(f"conv2d = {call(canary)};x"))
    program.clear()
    program.update(json.loads(text))


def parameter_name(program, canary):
    text = json.dumps(program).replace('"0.weight"', json.dumps(f'w"+str({call(canary)})+"'))
    program.clear()
    program.update(json.loads(text))


def expression(program, canary):
    sizes = next(iter(program["graph_module"]["graph"]["tensor_values"].values()))["sizes"]
    sizes[0] = {"as_expr": {"expr_str": call(canary), "hint": None}}


def keyword(program, canary):
    nodes(program)[0]["inputs"][0]["name"] = f"input={call(canary)},x"


def stack(program, canary):
    nodes(program)[0]["metadata"]["nn_module_stack"] = f"L__self__,,{call(canary)}"


def source(program, canary):
    nodes(program)[0]["metadata"]["source_fn_stack"] = "conv2d,torch.hub.load"


def arguments(program, canary):
    signature = program["graph_module"]["module_call_graph"][0]["signature"]
    signature["forward_arg_names"] = [f"x={call(canary)}"]


def tree(program, canary):
    signature = program["graph_module"]["module_call_graph"][0]["signature"]
    signature["in_spec"] = json.dumps([1, {"type": call(canary), "context": "null", "children_spec": []}])


PROGRAMS = {
    "guards": guards,
    "from_file": target("torch.ops.aten.from_file.default"),
    "python function": target("torch.hub.load_state_dict_from_url"),
    "python attribute": target("torch.serialization.os.mkdir"),
    "operator module": target("_operator.attrgetter"),
    "extension": target("#pickle:CANARY"),
    "overload": target("torch.ops.aten.add.__class__"),
    "node name": node_name,
    "parameter name": parameter_name,
    "expression": expression,
    "keyword": keyword,
    "module stack": stack,
    "source": source,
    "argument names": arguments,
    "tree": tree,
}


@pytest.fixture(scope="module")
def harmless(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "m.pt2"
    exported(path)
    return path


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_program_runs_python(tmp_path, net_file, harmless, name):
    path, canary = tmp_path / "m.pt2", tmp_path / "canary"
    path.write_bytes(harmless.read_bytes())
    change_program(path, lambda program: PROGRAMS[name](program, canary))
    attempt(path, net_file, canary)


def test_a_harmless_program_is_read(harmless):
    module = camviz.load(harmless).module
    assert module(torch.rand(1, 3, 8, 8)).shape == (1, 4, 6, 6)


def test_torch_itself_runs_guards(tmp_path, harmless):
    path, canary = tmp_path / "m.pt2", tmp_path / "canary"
    path.write_bytes(harmless.read_bytes())
    change_program(path, lambda program: guards(program, canary))
    program = torch.export.load(str(path))
    program.module()(torch.rand(1, 3, 8, 8))
    assert canary.exists()


def test_a_weight_that_claims_more_than_its_record(tmp_path, harmless):
    path = tmp_path / "m.pt2"
    path.write_bytes(harmless.read_bytes())
    config = json.loads(record(path, "model_weights_config.json"))
    config["config"]["0.weight"]["tensor_meta"]["sizes"] = [{"as_int": 10**6}] * 4
    rezip(path, {"model_weights_config.json": json.dumps(config).encode()})
    with pytest.raises(CheckpointError, match="damaged"):
        camviz.load(path)
