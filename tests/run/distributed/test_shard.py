"""Which images fall to which shard, and how a shard is asked for."""

from __future__ import annotations

import pytest

from camviz.errors import RequestError
from camviz.io.inputs import Input
from camviz.run.distributed.shard import Shard, Share, home, parse_shard, shard_of


def test_what_a_shard_is_called():
    shard = parse_shard("2/4")
    assert shard == Shard(2, 4)
    assert (str(shard), shard.tag, shard.option) == ("shard 2 of 4", "shard-2-of-4", "--shard 2/4")
    assert parse_shard(" 1 / 1 ") is None


@pytest.mark.parametrize("text", ["", "2", "0/4", "5/4", "1/0", "a/b", "-1/4", "1/4/2"])
def test_what_is_no_shard(text):
    with pytest.raises(RequestError) as caught:
        parse_shard(text)
    assert f"'{text}'" in caught.value.message
    assert "2/4" in caught.value.hint


@pytest.mark.parametrize(
    ("environment", "shard"),
    [
        ({}, None),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"RANK": "3"}, None),
        ({"RANK": "3", "WORLD_SIZE": "2"}, None),
        ({"RANK": "x", "WORLD_SIZE": "2"}, None),
        ({"RANK": "3", "WORLD_SIZE": "8"}, Shard(4, 8)),
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2"}, Shard(1, 2)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, None),  # the batch script itself, before any srun
        ({"RANK": "1", "WORLD_SIZE": "4", "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2"}, Shard(2, 4)),
    ],
)
def test_the_environment_of_torchrun_and_srun(environment, shard):
    found = shard_of(environment)
    assert (found[0] if found else None) == shard
    if found:
        assert all(name in found[1] for name in list(environment)[:2])


def test_each_image_is_in_one_shard_whatever_the_order():
    names = [f"sub {n % 7}/图 {n}.jpg" for n in range(1000)] + ["\udcff.png"]
    everything = [Input(None, name) for name in names]
    shares = [Share(Shard(number, 4)) for number in range(1, 5)]
    parts = [[one.name for one in share.of(everything)] for share in shares]
    assert sorted(name for part in parts for name in part) == sorted(names)
    assert all(200 < len(part) < 300 for part in parts)
    assert [share.taken for share in shares] == list(map(len, parts))
    assert {(share.listed, share.digest) for share in shares} == {(1001, shares[0].digest)}
    assert all(home(name, 4) == number for number, part in enumerate(parts, 1) for name in part)
    turned = Share(Shard(1, 4))
    assert {one.name for one in turned.of(everything[::-1])} == set(parts[0])
    assert turned.digest == shares[0].digest
    assert len(list(turned.of(everything[1:]))) == turned.taken
    assert turned.digest != shares[0].digest


def test_a_name_falls_where_it_always_fell():
    """Other machines, and later versions, must agree: BLAKE2b with 8 bytes, modulo."""
    assert [home(name, 4) for name in ("a.png", "b.png", "c.png", "sub/d.png")] == [3, 2, 4, 3]
