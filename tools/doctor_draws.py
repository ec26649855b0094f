"""Count how often the doctor finds something serious in healthy models: `python -m tools.doctor_draws --draws 200`.

Every draw examines one of the trained models of CAMVIZ_ASSETS, or the demo, on 1 to 32 images drawn at random.
"""

from __future__ import annotations

import argparse
import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import camviz
from camviz.demo import sample_folder
from camviz.types import Model

_CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR_NETS = {"ResNet20": "akamaster_resnet20_cifar10.th", "TutorialNet": "phlippe_t5_ResNet_cifar10.ckpt"}
_LARGE = ("mobilenet_v2", "squeezenet1_1")


def healthy(assets: Path) -> Iterator[tuple[Model, list[Path]]]:
    """Yield trained models with images of their kind."""
    yield camviz.load("demo"), sorted(sample_folder().glob("*.jpg"))
    small = sorted((assets / "images" / "cifar10_test_300").rglob("*.jpg"))
    for name, file in _CIFAR_NETS.items():
        spec = f"{assets / 'nets' / 'cifar_nets.py'}:{name}"
        model = camviz.load(spec, checkpoint=str(assets / "weights" / file), input_size=(32, 32))
        yield model, small
        yield replace(model, labels=_CIFAR), small
    photographs = sorted((assets / "images" / "voc2007").glob("*.jpg"))
    for name in _LARGE:
        yield camviz.load(name, checkpoint=str(assets / "weights" / f"{name}_imagenet.pth")), photographs


def main() -> None:
    """Draw, and print the count of draws with serious findings, and of each finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    models, chance = list(healthy(Path(os.environ["CAMVIZ_ASSETS"]))), random.Random(arguments.seed)
    serious, accused = Counter[str](), 0
    for draw in range(1, arguments.draws + 1):
        model, images = chance.choice(models)
        count = min(chance.randint(1, 32), len(images))
        found = camviz.diagnose(model, chance.sample(images, count)).findings
        names = [finding.name for finding in found if finding.grade == "serious"]
        serious.update(names)
        accused += bool(names)
        if names or draw % 10 == 0:
            print(f"{draw}: {model.name}, {count} images: {', '.join(names) or 'healthy'}", flush=True)
    print(f"{accused} of {arguments.draws} draws have a serious finding: {dict(serious)}")


if __name__ == "__main__":
    main()
