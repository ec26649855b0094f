"""YOLO and RT-DETR of the ultralytics package: by name, or from a .pt file that it saved.

The package (AGPL-3.0) is an optional extra: it is imported only for such a model, and only called. Its files pickle
the whole model; here the tensors and the description (`yaml`) in them are read, the description is checked, and the
installed package builds the model from it. Nothing of a file runs.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from copy import deepcopy
from pathlib import Path
from typing import Any

from camviz.errors import CheckpointError, ModelError, RequestError, WeightsError, unknown
from camviz.models.checkpoint import Weights, fitted_model, read_weights
from camviz.models.checkpoint.inert import settings_of
from camviz.models.checkpoint.reading import runs_code
from camviz.models.sources import LISTINGS, SOURCES, Offer, Plan, check_weights, installed, need
from camviz.types import Model, ModelRequest

_EXTRA = "ultralytics"
_LARGEST = 100_000  # numbers in a description: channels, repeats
_ACTIVATION = re.compile(r"(?:torch\.)?nn\.(\w+)\((?:inplace=(?:True|False))?\)")
_TASKS = {"-cls": "classification"}


@SOURCES.add("ultralytics", offers="YOLO and RT-DETR of the ultralytics package (AGPL-3.0), by name")
def ultralytics(name: str, request: ModelRequest) -> Plan:
    """A name such as yolo11n, yolov8s-seg or rtdetr-l; its weights are where the package keeps or gets them."""
    spec = f"ultralytics:{name}"
    need("ultralytics", _EXTRA, spec)
    stem = name.removesuffix(".pt").removesuffix(".yaml")
    known = names()
    if stem not in known:
        raise unknown("model", stem, known, "ultralytics", "'camviz models'")
    check_weights(request, f"'{spec}'")

    def build() -> Model:
        if request.weights == "default" and not request.checkpoint:
            path = _downloaded(stem)
            return rebuilt(read_weights(path), str(path), spec)
        with _quiet() as nets:
            described = nets.yaml_model_load(f"{stem}.yaml")
            return Model(spec, _built(nets, described, _kind(described, spec), str(spec)))

    return Plan(spec, build, (), None, next((task for end, task in _TASKS.items() if stem.endswith(end)), ""))


def names() -> dict[str, Path]:
    """Return the files that describe the package's models, by the models' names; nothing is imported."""
    found: dict[str, Path] = {}
    for path in sorted(_folder().glob("cfg/models/**/*.yaml")):
        text = path.read_text("utf-8")
        sizes = re.findall(r"^ +([nslmxbctew]): ?\[", text.partition("scales:")[2], re.MULTILINE)
        scaled = [re.sub(r"^(yolo\D*?\d+)", rf"\g<1>{size}", path.stem, count=1) for size in sizes]
        found.update(dict.fromkeys(scaled or [path.stem], path))
    return found


def _folder() -> Path:
    """The folder of the installed package."""
    spec = importlib.util.find_spec("ultralytics")
    return Path(next(iter((spec and spec.submodule_search_locations) or ("",))))


def rebuilt(weights: Weights, source: str, name: str = "") -> Model:
    """Return the model whose tensors and description were read from a file of the package."""
    need("ultralytics", _EXTRA, source)
    stub = weights.pickled
    described = getattr(stub, "yaml", None)
    if stub is None or not isinstance(described, dict):
        raise CheckpointError(f"'{source}' has no description of its model", "save it again with YOLO(...).save(FILE)")
    with _quiet() as nets:
        module = _built(nets, described, type(stub).__name__, source)
        if not any(".bn." in key for key in weights.state):  # saved with BatchNorm folded into the convolutions
            module.fuse(verbose=False)
    module.args = settings_of(stub)
    module.names = dict(enumerate(weights.labels)) or module.names
    model = Model(name or Path(source).name, module, labels=tuple(weights.labels))
    return fitted_model(model, weights, source)


def _built(nets: Any, described: Mapping[str, Any], kind: str, source: str) -> Any:
    """The module of a class of the package, built from a description that has been checked."""
    import torch

    builder = getattr(nets, kind, None)
    if not (isinstance(builder, type) and issubclass(builder, nets.BaseModel)):
        raise ModelError(
            f"'{source}' is a {kind}, which the installed ultralytics does not have", "pip install -U ultralytics"
        )
    _check(nets, described, source)
    channels = described.get("channels", described.get("ch", 3))
    try:
        with torch.no_grad():
            return builder(deepcopy(dict(described)), ch=int(channels), verbose=False).eval()
    except Exception as error:
        reason = str(error).partition("\n")[0][:200]
        raise ModelError(
            f"ultralytics cannot build '{source}': {type(error).__name__}: {reason}", "pip install -U ultralytics"
        ) from error


def _kind(described: Mapping[str, Any], source: str) -> str:
    """The class of the package that a description is for, by its last module."""
    last = str(described["head"][-1][2])
    kinds = {
        "Classify": "ClassificationModel", "Segment": "SegmentationModel", "Pose": "PoseModel", "OBB": "OBBModel",
        "RTDETRDecoder": "RTDETRDetectionModel", "SemanticSegment": "SemanticSegmentationModel", "Depth": "DepthModel",
        "WorldDetect": "WorldModel", "YOLOEDetect": "YOLOEModel", "YOLOESegment": "YOLOESegModel",
    }  # fmt: skip
    return kinds.get(last.rstrip("0123456789"), "DetectionModel")


def _check(nets: Any, described: Mapping[str, Any], source: str) -> None:
    """Refuse a description that names anything but modules and plain values: the package evaluates some of it."""
    from torch import nn

    activation = described.get("activation")
    match = _ACTIVATION.fullmatch(str(activation)) if activation else None
    if activation and not (match and _is_module(getattr(nn, match[1], None))):
        raise runs_code(Path(source), f"activation: {activation}")
    rows = [*described.get("backbone", ()), *described.get("head", ())]
    if len(rows) > 1000:
        raise runs_code(Path(source), f"a description of {len(rows)} modules")
    for row in rows:
        if not (isinstance(row, (list, tuple)) and len(row) == 4 and isinstance(row[2], str)):
            raise runs_code(Path(source), repr(row)[:80])
        holder, name = (nn, row[2][3:]) if row[2].startswith("nn.") else (nets, row[2])
        if not _is_module(getattr(holder, name, None)) or name == "TorchVision":  # which downloads weights
            raise runs_code(Path(source), row[2])
    if not all(_plain(value) for value in described.values()):
        raise runs_code(Path(source), "values that are not plain in its description")


def _is_module(value: Any) -> bool:
    from torch import nn

    return isinstance(value, type) and issubclass(value, nn.Module)


def _plain(value: Any) -> bool:
    """Whether a value of a description is a number of usual size, a word without a call, or a list of such."""
    if isinstance(value, (list, tuple)):
        return all(map(_plain, value))
    if isinstance(value, Mapping):
        return all(map(_plain, value.values()))
    if isinstance(value, str):
        return not re.search(r"[(){}\[\]*]|__", value) or bool(_ACTIVATION.fullmatch(value))
    return value is None or (isinstance(value, (bool, int, float)) and abs(value) <= _LARGEST)


def _downloaded(stem: str) -> Path:
    """The file of weights of a name: where the package keeps them, got by the package if need be."""
    with _quiet():
        from ultralytics.utils import SETTINGS
        from ultralytics.utils.downloads import attempt_download_asset

        kept = Path(SETTINGS["weights_dir"]) / f"{stem}.pt"
        here = next((path for path in (Path(f"{stem}.pt"), kept) if path.is_file()), None)
        try:
            path = here or Path(attempt_download_asset(str(kept)))
        except Exception as error:
            raise _no_weights(stem, kept, str(error)) from error
    if not path.is_file():
        raise _no_weights(stem, kept, "the download gave no file")
    return path


def _no_weights(stem: str, kept: Path, reason: str) -> WeightsError:
    return WeightsError(
        f"cannot get the weights of ultralytics:{stem} ({reason.partition(chr(10))[0][:200]})",
        f"put {stem}.pt at {kept}, or --model {stem}.pt; or --weights none",
    )


@contextmanager
def _quiet() -> Iterator[Any]:
    """Yield the package's module of models; within the block it prints nothing but errors, and not to stdout."""
    import logging
    import sys

    with redirect_stdout(sys.stderr):
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            from ultralytics.nn import tasks as nets

            yield nets
        except ImportError as error:
            hint = "pip install -U 'camviz[ultralytics]'"
            raise RequestError(f"ultralytics cannot be imported: {error}", hint) from error
        finally:
            logging.disable(before)


@LISTINGS.add("ultralytics")
def listing() -> Iterable[Offer]:
    """Every model that the installed package describes."""
    for name in sorted(names()) if installed("ultralytics") else ():
        task = {"cls": "classification", "seg": "detection", "sem": "segmentation", "depth": "dense"}
        yield Offer(f"ultralytics:{name}", task.get(name.rpartition("-")[2], "detection"), ("default",), "default")
