"""What is compared, what is to be reached, and the tables of both."""

from __future__ import annotations

import statistics
import sys
from functools import partial
from itertools import product

from tests.benchmarks.contenders import Case
from tests.benchmarks.timing import Contender, alternate, peak_memory, ratio, table

MODELS = ("resnet50", "vgg16", "mobilenet_v3_large", "densenet121", "convnext_tiny")
BATCHES = (1, 8)
WIDE_HEADS = ("vgg16",)  # most of the weights are behind the layer: the backward is not cheap there


def goal(model: str, method: str) -> float:
    """At most so many bare forwards."""
    goals = {"gradcam": (1.15, 1.4), "gradients": (1.4, 1.6)}[method]
    return goals[model in WIDE_HEADS]


def cams(case: Case, rounds: int, cpu: bool) -> dict[str, float]:
    """Milliseconds of the bare forward, and how many of them the others take."""
    contenders: dict[str, Contender] = {
        "bare forward": case.bare,
        "gradcam": partial(case.camviz, "gradcam"),
        "gradients": partial(case.camviz, "gradients"),
        "pytorch-grad-cam": partial(case.grad_cam, "GradCAM"),
        "torchcam": partial(case.torchcam, "GradCAM"),
        "captum": case.captum,
    }
    times = alternate(contenders, rounds, cpu=cpu)
    found = {"bare forward": 1000 * statistics.median(times["bare forward"])}
    return found | {name: ratio(times, name, "bare forward") for name in times if name != "bare forward"}


def ablation(case: Case, rounds: int, cpu: bool) -> dict[str, float]:
    """Seconds of camviz, and how many times longer the peer takes."""
    contenders = {"ablationcam": partial(case.camviz, "ablationcam"), "theirs": partial(case.grad_cam, "AblationCAM")}
    times = alternate(contenders, rounds, warm=False, cpu=cpu)
    return {"camviz, s": statistics.median(times["ablationcam"]), "faster": ratio(times, "theirs", "ablationcam")}


def scorecam(case: Case, rounds: int, cpu: bool) -> dict[str, float]:
    """Seconds of camviz, and how many times longer than it, in fp32 and in bf16, the faster peer takes; memory."""
    contenders: dict[str, Contender] = {
        "fp32": partial(case.camviz, "scorecam"),
        "bf16": partial(case.camviz, "scorecam", precision="bf16"),
        "pytorch-grad-cam": partial(case.grad_cam, "ScoreCAM"),
        "torchcam": partial(case.torchcam, "ScoreCAM"),
    }
    times = alternate(contenders, rounds, warm=False, cpu=cpu)
    peer = min(("pytorch-grad-cam", "torchcam"), key=lambda name: statistics.median(times[name]))
    found = {"camviz, s": statistics.median(times["fp32"])}
    found |= {f"faster, {kind}": ratio(times, peer, kind) for kind in ("fp32", "bf16")}
    return found | {f"{name}, MB": peak_memory(contenders[name], case.bare) for name in contenders if name != "bf16"}


def cams_table(models: tuple[str, ...], batches: tuple[int, ...], rounds: int, cpu: bool) -> str:
    """All models and batch sizes; what misses its goal is in bold."""
    rows, header = [], ["model", "batch"]
    for model, batch in product(models, batches):
        found = cams(Case(model, batch), rounds, cpu)
        _tell(f"{model} {batch}", found)
        header[2:] = list(found)
        rows.append([model, batch, *(_marked(model, name, value) for name, value in found.items())])
    header[2] = "bare forward, ms"
    return table([*header[:3], *(f"{name}, ×" for name in header[3:])], rows)


def _tell(what: str, found: dict[str, float]) -> None:
    """Progress, for whoever waits."""
    print(what, {name: round(value, 3) for name, value in found.items()}, file=sys.stderr, flush=True)


def _marked(model: str, name: str, value: float) -> str:
    text = f"{value:.3g}"
    return f"**{text}**" if name in ("gradcam", "gradients") and value > goal(model, name) else text


def slow_tables(rounds: int, cpu: bool) -> str:
    """Ablation-CAM of all channels, and Score-CAM at a layer of few."""
    parts = []
    for title, measure, cases in (
        ("ablationcam", ablation, (Case("resnet18"), Case("resnet50"))),
        ("scorecam", scorecam, (Case("resnet18", path="layer1"), Case("resnet50", path="layer1"))),
    ):
        rows, header = [], []
        for case in cases:
            found = measure(case, rounds, cpu)
            _tell(f"{title} {case.name}", found)
            header = list(found)
            rows.append([f"{case.name}, {case.path}", *found.values()])
        parts.append(table([title, *header], rows))
    return "\n\n".join(parts)
