"""Ray beside the local pipeline over the same images, and what limits many machines: listing, database, model start.

`python -m tests.benchmarks cluster --images 400`: two processes of one thread each, beside one with two.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.benchmarks.folders import make_images
from tests.benchmarks.timing import table

GOAL = 0.85  # of the local rate, at least
FIRST = 64  # images that are start-up: a unit for each process
MODEL = "mobilenet_v3_large"

_RUN = """
import json, sys, time
began = time.perf_counter()
from camviz.run.threads import settle
settle()
from pathlib import Path
from camviz.io.inputs import list_inputs
from camviz.run.outcome import Outcome
from camviz.run.job import Request as RunJob
from camviz.run.resume import Run
from camviz.run.settings import HeatmapSettings
from camviz.types import Request, ModelRequest
engine, name, images, out, first = *sys.argv[1:4], Path(sys.argv[4]), int(sys.argv[5])
job = Request(ModelRequest(name, "none"), device="cpu")

def local(run):
    from camviz.engine.explain import Explainer
    from camviz.models.load import load
    from camviz.run.heatmap import heatmaps
    from camviz.run.context import RunContext
    explainer = Explainer(load(name, weights="none"), job)
    yield from heatmaps(job, explainer, run.inputs(), RunContext(out, run.open().write))

def spread(run):
    from camviz.run.distributed.ray_pool import Cluster
    from camviz.run.distributed.ray_tasks import Place, Share
    with Cluster(workers=2, gpu=False) as cluster:
        place = Place(out, run.open().parts)
        for _, answer in cluster.answers(Share(HeatmapSettings(job), place), run.inputs()):
            yield from answer.records

times = []
with Run(out, RunJob(HeatmapSettings(job)), list_inputs([images]), Outcome()) as run:
    for record in run.keep((spread if engine == "ray" else local)(run)):
        assert record.done, record.error
        times.append(time.perf_counter())
steady = (len(times) - first) / (times[-1] - times[first - 1])
print(json.dumps({"start": times[0] - began, "steady": steady, "all": len(times) / (times[-1] - began)}))
"""
_START = """
import time
began = time.perf_counter()
from camviz.engine.explain import Explainer
from camviz.models.load import load
from camviz.types import Request
import sys
Explainer(load(sys.argv[1], weights="none"), Request())
print(time.perf_counter() - began)
"""


def _run(code: str, *arguments: object) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout.splitlines()[-1]


def engines(images: Path, work: Path, model: str = MODEL) -> dict[str, dict[str, float]]:
    """Images per second of both engines: all, and those after start-up; seconds until the first."""
    return {engine: json.loads(_run(_RUN, engine, model, images, work / engine, FIRST)) for engine in ("local", "ray")}


def listing(work: Path, count: int = 100_000) -> float:
    """Names per second of a folder on this disk, as a run lists it: with sizes and times."""
    from camviz.io.inputs import list_inputs
    from camviz.io.paths import stamp

    folder = work / "listed"
    for number in range(count):
        if number % 1000 == 0:
            (folder / f"{number // 1000:04d}").mkdir(parents=True)
        (folder / f"{number // 1000:04d}" / f"{number:06d}.jpg").touch()
    start = time.perf_counter()
    assert sum(1 for one in list_inputs([str(folder)]) if stamp(one.path)) == count
    return count / (time.perf_counter() - start)


def database(work: Path, count: int = 20_000) -> float:
    """Images per second that one database takes in, each with a map and a file."""
    from camviz.io.inputs import Input
    from camviz.run.database.database import Database
    from camviz.run.database.records import Record, SavedMap
    from camviz.run.output.written import Written
    from camviz.types import View

    raw = np.random.default_rng(0).standard_normal((7, 7), np.float32).tobytes()
    view = View((1024, 768), (128.0, 0.0, 896.0, 768.0), (224, 224))
    kept = SavedMap((7, 7), raw, view, {"method": "gradcam", "layer": "features.16", "target": "cat", "facts": {}})
    folder = work / "database"
    folder.mkdir()
    with Database(folder, write=True) as there:
        job = there.begin("heatmap", {}, {}).id
        start = time.perf_counter()
        for number in range(count):
            name = f"{number:06d}.jpg"
            written = Written(folder / f"{name}.png", {"kind": "overlay", "method": "gradcam"}, 1000)
            there.add(job, Record(Input(Path(name), name, stamp=(1, 1)), 0.1, (kept,), (written,)))
        return count / (time.perf_counter() - start)


def cluster_tables(count: int) -> str:
    """All of it as Markdown."""
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        make_images(work / "images", count)
        found = engines(work / "images", work)
        rows = [[name, *(found[name][key] for key in ("start", "steady", "all"))] for name in found]
        share = found["ray"]["steady"] / found["local"]["steady"]
        first = table([f"{MODEL}, {count} images", "first after, s", "steady, 1/s", "all, 1/s"], rows)
        limits = [
            ["Ray's steady rate / the local one", share, f"at least {GOAL}"],
            ["listing a disk, names/s", listing(work), ""],
            ["database, images/s", database(work), ""],
            [f"start of a process with {MODEL}, s", float(_run(_START, MODEL)), ""],
        ]
        return first + "\n\n" + table(["", "measured", "goal"], limits)
