"""A folder of images: the time beside the sum of its stages and beside the peer's documented loop; memory; resuming.

`python -m tests.benchmarks folders --images 400`: everything in one run, in processes of their own.
"""

from __future__ import annotations

import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camviz.run.threads import cores
from tests.benchmarks.timing import table
from tools.demo.scenes import draw_scene

MODELS = ("mobilenet_v3_large", "resnet50")
SAMPLES = 24  # images that the stages are measured on
GOALS = {"of the floor": 1.2, "peer": 2.5, "memory": 1.05, "finished, s": 5.0, "one image": 1.2}

_RUN = """
import json, resource, sys, time
from camviz.run.threads import settle
settle()
from pathlib import Path
from camviz.engine.explain import Explainer
from camviz.models.load import load
from camviz.io.inputs import list_inputs
from camviz.run.heatmap import heatmaps
from camviz.run.context import RunContext
from camviz.run.job import Request as RunJob
from camviz.run.outcome import Outcome
from camviz.run.resume import Run
from camviz.run.settings import HeatmapSettings
from camviz.types import Request, ModelRequest
name, images, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
job = Request(ModelRequest(name, "none"))
explainer = Explainer(load(name, weights="none"), job)
wall, cpu = time.perf_counter(), time.process_time()
with Run(out, RunJob(HeatmapSettings(job)), list_inputs([images]), Outcome()) as run:
    inputs = run.inputs()
    for record in run.keep(heatmaps(job, explainer, inputs, RunContext(out, run.open().write))):
        assert record.done, record.error
peak = next(int(l.split()[1]) / 1024 for l in open("/proc/self/status") if l.startswith("VmHWM"))
print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "MB": peak}))
"""
_PEER = """
import json, os, sys, time
import cv2, numpy as np, torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import preprocess_image, show_cam_on_image
from camviz.models.load import load
from camviz.engine.explain import Explainer
from camviz.types import Request
name, images, out = sys.argv[1:4]
model = load(name, weights="none")
layer = model.module.get_submodule(Explainer(model, Request()).layers[0].path)
wall, cpu = time.perf_counter(), time.process_time()
with GradCAM(model=model.module, target_layers=[layer]) as cam:
    for file in sorted(os.listdir(images)):
        rgb = np.float32(cv2.imread(os.path.join(images, file))[:, :, ::-1]) / 255
        small = cv2.resize(rgb, (224, 224))
        gray = cam(input_tensor=preprocess_image(small, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), targets=None)[0]
        full = cv2.resize(gray, (rgb.shape[1], rgb.shape[0]))
        shown = show_cam_on_image(rgb, full, use_rgb=True)
        cv2.imwrite(os.path.join(out, file + ".png"), cv2.cvtColor(shown, cv2.COLOR_RGB2BGR))
print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}))
"""
_SPY = """
import pickle, sys
from pathlib import Path
import camviz.run.resume
told = Path(sys.argv.pop(1))
def spy(folder, job, *rest):
    told.write_bytes(pickle.dumps(job))
    raise SystemExit
camviz.run.resume.Run = spy
from camviz.cli.app import main
main()
"""
_BARE = """
import sys
import torch
from torchvision.models import get_model
with torch.inference_mode():
    get_model(sys.argv[1], weights=None).eval()(torch.zeros(1, 3, 224, 224))
"""


def make_images(folder: Path, count: int) -> None:
    """JPEGs of about 1024×768: drawn scenes under texture, each another."""
    folder.mkdir(parents=True)
    for number in range(count):
        rng = np.random.default_rng(number)
        width, height = int(rng.integers(960, 1089)), int(rng.integers(720, 817))
        scene = np.asarray(draw_scene(rng, width // 4, height // 4, shapes=(2, 5)).image)
        pixels = cv2.resize(scene, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)
        for sides, deviation, strength in ((3, 2.0, 40), (1, 1.0, 12)):
            noise = rng.standard_normal((height, width, sides), np.float32)
            pixels += strength * cv2.GaussianBlur(noise, (0, 0), deviation).reshape(height, width, sides)
        bgr = np.clip(pixels, 0, 255).astype(np.uint8)[..., ::-1]
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])


def stages(name: str, folder: Path) -> dict[str, float]:
    """Milliseconds per image of each stage alone, on one thread, of the processor."""
    import torch

    from camviz.engine.explain import Explainer
    from camviz.io.images import read_image
    from camviz.models.load import load
    from camviz.models.preprocess import prepare
    from camviz.render import draw, encode
    from camviz.types import Look, Request

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    model = load(name, weights="none")
    explainer = Explainer(model, Request())
    found: dict[str, float] = {}

    def timed(stage: str, work: Callable[[Any], Any], items: list[Any], share: int = 1) -> list[Any]:
        work(items[0])
        times, made = [], []
        for item in items:
            start = time.process_time()
            made.append(work(item))
            times.append((time.process_time() - start) / share)
        found[stage] = 1000 * statistics.mean(times)
        return made

    images = timed("decode", read_image, sorted(folder.iterdir())[:SAMPLES])
    prepared = timed("transform", lambda image: prepare(image, model.preprocessing), images)
    groups = [slice(start, start + 8) for start in range(0, len(images), 8)]
    batches = timed(
        "model",
        lambda part: explainer(images[part], [one[0] for one in prepared[part]], [one[1] for one in prepared[part]]),
        groups,
        8,
    )
    maps = [one for batch in batches for [one] in batch]
    drawn = timed("overlay", lambda one: draw(one.image, one, Look()), maps)
    timed("PNG", lambda one: encode(one, Look()), drawn)
    return found


def _measured(code: str, *arguments: object) -> dict[str, float]:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True, env=environment
    )
    return dict(json.loads(done.stdout.splitlines()[-1])) if done.stdout.strip() else {}


def folder_row(name: str, images: Path, work: Path) -> list[object]:
    """One model: the floor, the run, the peer's loop; wall and processor seconds."""
    count = len(list(images.iterdir()))
    alone = stages(name, images)
    floor = sum(alone.values()) * count / 1000 / cores()
    ours = _measured(_RUN, name, images, work / f"{name}-ours")
    (work / f"{name}-theirs").mkdir()
    theirs = _measured(_PEER, name, images, work / f"{name}-theirs")
    told = " + ".join(f"{stage} {value:.1f}" for stage, value in alone.items())
    return [
        name,
        told,
        floor,
        ours["wall"],
        ours["wall"] / floor,
        ours["cpu"] / (floor * cores()),
        theirs["wall"] / ours["wall"],
        theirs["cpu"] / ours["cpu"],
    ]


def memory(name: str, images: Path, work: Path) -> float:
    """Peak memory at ten times as many images, as a share of that at 200."""
    peaks = []
    for count in (200, 2000):
        some = work / f"links-{count}"
        some.mkdir()
        files = sorted(images.iterdir())
        for number in range(count):
            (some / f"{number:05d}.jpg").symlink_to(files[number % len(files)])
        peaks.append(_measured(_RUN, name, some, work / f"memory-{count}")["MB"])
    return peaks[1] / peaks[0]


def one_image(name: str, images: Path, work: Path, rounds: int = 5) -> float:
    """Process start to exit, as a multiple of a script that imports, builds and runs one forward."""
    image = sorted(images.iterdir())[0]
    camviz = ["-m", "camviz", "heatmap", str(image), "--model", name, "--weights", "none", "--overwrite", "-q"]
    commands = {"camviz": [*camviz, "-o", str(work / "one")], "bare": ["-c", _BARE, name]}
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    ratios = []
    for _ in range(rounds):
        taken = {}
        for who, command in commands.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, capture_output=True, env=environment)
            taken[who] = time.perf_counter() - start
        ratios.append(taken["camviz"] / taken["bare"])
    return statistics.median(ratios)


def finished(count: int, work: Path) -> float:
    """Seconds of `camviz heatmap` over so many images that are all done, process start to exit."""
    from camviz.io.inputs import list_inputs
    from camviz.run.database.records import Record
    from camviz.run.outcome import Outcome
    from camviz.run.output.written import Written
    from camviz.run.resume import Run

    images, out = work / "many", work / "many-out"
    images.mkdir()
    out.mkdir()
    for number in range(count):
        (images / f"{number:06d}.jpg").touch()
        (out / f"{number:06d}_gradcam.png").touch()
    asked = ["heatmap", str(images), "--model", "resnet50", "--weights", "none", "-o", str(out)]
    told = work / "job.pickle"
    subprocess.run([sys.executable, "-c", _SPY, str(told), *asked], check=True)
    job = pickle.loads(told.read_bytes())
    with Run(out, job, list_inputs([str(images)]), Outcome()) as run:
        made = (
            Record(one, written=(Written(out / f"{one.stem}_gradcam.png", {"kind": "overlay"}),))
            for one in run.inputs()
        )
        for _ in run.keep(made):
            pass
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "camviz", *asked], capture_output=True, text=True, check=True)
    taken = time.perf_counter() - start
    assert f"{count} done before" in done.stderr, done.stderr
    return taken


def folders_tables(count: int, models: tuple[str, ...] = MODELS) -> str:
    """All of it as Markdown."""
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        images = work / "images"
        make_images(images, count)
        header = ["model", "stages on one thread, ms", "floor, s", "camviz, s", "× floor", "× floor, processor"]
        rows = []
        for name in models:
            rows.append(folder_row(name, images, work))
            print(*rows[-1], file=sys.stderr)
        first = table([*header, "grad-cam's loop, × camviz", "the same, processor"], rows)
        others = [
            ["peak memory, 2 000 images / 200", memory(models[0], images, work), GOALS["memory"]],
            ["100 000 finished images, s", finished(100_000, work), GOALS["finished, s"]],
            *[
                [f"one image, {name}, × a bare script", one_image(name, images, work), GOALS["one image"]]
                for name in models
            ],
        ]
        return first + "\n\n" + table(["", "measured", "goal: at most"], others)
