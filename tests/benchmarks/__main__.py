"""Prints Markdown: `python -m tests.benchmarks cams --models resnet50 --batches 1 --rounds 9`."""

from __future__ import annotations

import argparse

import torch

from tests.benchmarks import cluster, evaluate, folders, maps, speed
from tests.benchmarks.timing import machine

KINDS = ("cams", "slow", "features", "road", "quality", "folders", "cluster")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("kinds", nargs="*", help=f"of {', '.join(KINDS)}; all unless given")
    parser.add_argument("--models", nargs="+", default=speed.MODELS)
    parser.add_argument("--batches", nargs="+", type=int, default=speed.BATCHES)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--slow-rounds", type=int, default=2, help="of ablationcam, scorecam, features and road")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu", action="store_true", help="processor time: on a busy machine, with --threads 1")
    parser.add_argument("--scenes", type=int, default=200, help="for quality")
    parser.add_argument("--images", type=int, default=400, help="for folders and cluster")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"{machine()}{', processor time' if given.cpu else ''}\n")
    for kind in given.kinds or KINDS:
        if kind == "cams":
            print(speed.cams_table(tuple(given.models), tuple(given.batches), given.rounds, given.cpu), end="\n\n")
        elif kind == "slow":
            print(speed.slow_tables(given.slow_rounds, given.cpu), end="\n\n")
        elif kind == "features":
            print(maps.features_table(given.slow_rounds, given.cpu), end="\n\n")
        elif kind == "quality":
            print(evaluate.quality_table(given.scenes), end="\n\n")
        elif kind == "folders":
            print(folders.folders_tables(given.images), end="\n\n")
        elif kind == "cluster":
            print(cluster.cluster_tables(given.images), end="\n\n")
        elif kind == "road":
            print(evaluate.road_table(given.slow_rounds, given.cpu), end="\n\n")
        else:
            parser.error(f"no kind '{kind}': {', '.join(KINDS)}")


if __name__ == "__main__":
    main()
