"""Models of a torch.hub repository in a folder: the functions of its hubconf.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from camviz.errors import RequestError
from camviz.models.sources import SOURCES, Plan
from camviz.models.sources.python_file import parameters_of, python_file
from camviz.types import ModelRequest


@SOURCES.add("torchhub", offers="FOLDER:NAME, a function of a torch.hub repository; runs its code")
def torchhub(name: str, request: ModelRequest) -> Plan:
    """FOLDER:NAME, a function of FOLDER/hubconf.py, called with --model-args; --weights none is pretrained=False."""
    text, _, function = name.rpartition(":") if ":" in name else (name, "", "")
    path = Path(text).expanduser() / "hubconf.py"
    if not path.is_file():
        owner_and_name = text.count("/") == 1 and not text.startswith((".", "/", "~"))
        clone = f"git clone https://github.com/{text}, read its code, then " if owner_and_name else ""
        raise RequestError(f"no file '{path}'", f"{clone}--model torchhub:FOLDER:NAME, a folder with hubconf.py")
    if not function:
        raise RequestError(f"'torchhub:{name}' names no function", f"--model torchhub:{name}:NAME")
    spec = f"{path}:{function}"
    if request.weights == "none" and "pretrained" in parameters_of(spec):
        request = replace(request, arguments=(*request.arguments, ("pretrained", "False")))
    return replace(python_file(spec, request), name=f"torchhub:{name}")
