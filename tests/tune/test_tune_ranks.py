"""Several processes at one training: the curve of one, checkpoints that any number of them resumes.

Tolerance: losses within 1e-5 of one process's as a share, weights within 1e-4 of the largest number in them. Gradients
are summed in another order, and Adam's first steps divide by their own size, which makes rounding larger.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tune_fakes import some_rows, tiny_base

from tunesmith.tune.batches import even_units, make_batch, pack_rows, shared_prefix
from tunesmith.tune.gathered import Gathered
from tunesmith.tune.ranks import ALONE, Ranks, added

DRIVER = Path(__file__).with_name("ranks_driver.py")
SETTINGS = {"epochs": 2, "checkpoint_every": "1 steps", "tokens_per_micro_batch": 40}
"""10 rows in steps of 4: 3 steps an epoch, the third of 2 rows; 6 steps."""
LOSS, WEIGHT = 1e-5, 1e-4
Curve = list[dict[str, Any]]
SWITCHES = [("data", 2, 1), ("sharded", 1, 2), pytest.param("sharded", 2, 1, marks=pytest.mark.slow)]


@dataclass
class Crews:
    """Trainings by some processes; see `ranks_driver.py`."""

    process: subprocess.Popen[str]

    def run(self, out: Path, world: int, *, expect: int = 0, **asked: Any) -> Path:
        assert self.process.stdin is not None and self.process.stdout is not None
        settings = {**SETTINGS, **asked.pop("spec", {})}
        self.process.stdin.write(json.dumps({"out": str(out), "world": world, "spec": settings, **asked}) + "\n")
        self.process.stdin.flush()
        assert json.loads(self.process.stdout.readline()) == {"codes": [expect] * world}
        return out


@pytest.fixture(scope="module")
def crews(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crews]:
    folder = tmp_path_factory.mktemp("job")
    bases = {name: tiny_base(folder, name).path for name in ("llama", "deepseek_v3")}
    told: dict[str, Any] = {"bases": bases}
    for name, rows in (("train", some_rows(10)), ("valid", some_rows(3, seed=1))):
        told[name] = [[row.id, row.ids, row.trained] for row in rows]
    (folder / "job.json").write_text(json.dumps(told))
    command = [sys.executable, str(DRIVER), str(folder / "job.json")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield Crews(process)
    process.communicate()


@pytest.fixture(scope="module")
def alone(crews: Crews, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training by one process."""
    return crews.run(tmp_path_factory.mktemp("alone"), 1)


def curve(out: Path) -> Curve:
    points = [json.loads(line) for line in (out / "out/curves.jsonl").read_text().splitlines()]
    return [{key: value for key, value in point.items() if key != "tokens_per_second"} for point in points]


def same_bits(left: Path, right: Path) -> bool:
    name = "out/adapter/adapter_model.safetensors"
    return curve(left) == curve(right) and (left / name).read_bytes() == (right / name).read_bytes()


def alike(left: Path, right: Path) -> None:
    """Curves, validation losses and adapters are the same within the tolerance."""
    assert len(curve(left)) == len(curve(right)) == 6
    for one, other in zip(curve(left), curve(right), strict=True):
        assert one == pytest.approx(other, rel=LOSS)
    weights = [load_file(path) for out in (left, right) for path in out.glob("out/*/*.safetensors")]
    assert weights[0].keys() == weights[1].keys()
    for name, weight in weights[0].items():
        assert float((weight - weights[1][name]).abs().max()) <= WEIGHT * float(weight.abs().max()), name


@pytest.mark.parametrize("parallel", ["data", "sharded"])
def test_two_processes_give_the_curve_of_one(crews: Crews, alone: Path, tmp_path: Path, parallel: str) -> None:
    alike(crews.run(tmp_path, 2, spec={"parallel": parallel}), alone)


def test_sharded_layers_compute_in_bf16_and_are_trained_in_float32(crews: Crews, tmp_path: Path) -> None:
    """Losses within 1 %: products are rounded to 8 bits in both, sums of gradients come in another order."""
    settings = {"parallel": "sharded", "precision": "bf16", "strategy": {"use": "full"}, "learning_rate": 1e-3}
    one, two = (curve(crews.run(tmp_path / str(world), world, spec=settings)) for world in (1, 2))
    assert [p["loss"] for p in two] == pytest.approx([p["loss"] for p in one], rel=0.01)
    saved = load_file(tmp_path / "2/out/model/model.safetensors")
    assert {weight.dtype for weight in saved.values()} == {torch.bfloat16}
    kept = load_file(next((tmp_path / "2/scratch/phase/steps").glob("*/*.safetensors")))
    assert {weight.dtype for name, weight in kept.items() if name.startswith("weight/")} == {torch.float32}


@pytest.mark.parametrize(("parallel", "first", "second"), SWITCHES)
def test_a_checkpoint_of_one_number_of_processes_is_resumed_by_another(
    crews: Crews, alone: Path, tmp_path: Path, parallel: str, first: int, second: int
) -> None:
    """Ctrl-C reaches rank 0 alone after step 3: all processes save and stop there; the others go on from step 3."""
    settings = {"parallel": parallel}
    crews.run(tmp_path, first, spec=settings, stop=3, expect=130)
    assert (tmp_path / "scratch/phase/steps/step-00000003").is_dir()
    assert not (tmp_path / "scratch/phase/steps/step-00000004").exists()
    alike(crews.run(tmp_path, second, spec=settings), alone)


def test_resumed_by_as_many_processes_it_is_bitwise_the_run_that_was_not_interrupted(
    crews: Crews, tmp_path: Path
) -> None:
    """With dropout, which each process draws from a stream that follows from seed, step and rank."""
    settings = {"strategy": {"use": "lora", "rank": 4, "alpha": 8, "dropout": 0.2}}
    whole = crews.run(tmp_path / "whole", 2, spec=settings)
    crews.run(tmp_path / "parts", 2, spec=settings, stop=3, expect=130)
    assert same_bits(crews.run(tmp_path / "parts", 2, spec=settings), whole)


def test_a_loss_that_is_not_a_number_in_one_process_is_set_aside_by_all(crews: Crews, tmp_path: Path) -> None:
    """Rank 1 meets it in the second micro-batch that it runs; rank 0 tells the rows, and both go on alike."""
    out = crews.run(tmp_path, 2, poison=1)
    assert sum("set_aside" in point for point in curve(out)) == 1
    [incident] = json.loads((out / "result.json").read_text())["incidents"]
    assert "nan" in incident and "ex-0-" in incident


@pytest.mark.slow
def test_one_process_without_room_makes_all_halve_their_micro_batches(
    crews: Crews, alone: Path, tmp_path: Path
) -> None:
    out = crews.run(tmp_path, 2, small=1)
    incidents = json.loads((out / "result.json").read_text())["incidents"]
    assert incidents and all("out of memory" in told for told in incidents)
    alike(out, alone)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["llama", "deepseek_v3"])
@pytest.mark.parametrize("parallel", ["data", "sharded"])
@pytest.mark.parametrize(
    "settings",
    [
        {"speed": {"states": "off"}},
        {"activation_checkpointing": True},
        {"strategy": {"use": "lora", "rank": 4, "alpha": 8, "upper": 1.0}},
        {"strategy": {"use": "full"}, "learning_rate": 0.001},
    ],
    ids=["no-states", "checkpointing", "all-layers", "full"],
)
def test_three_processes_give_the_curve_of_one_on_every_path(
    crews: Crews, tmp_path: Path, architecture: str, parallel: str, settings: dict[str, Any]
) -> None:
    """Three processes and steps of 4, 4 and 2 rows: some have nothing to do in the third."""
    settings = {**settings, "parallel": parallel}
    one = crews.run(tmp_path / "one", 1, spec=settings, base=architecture)
    alike(crews.run(tmp_path / "three", 3, spec=settings, base=architecture), one)


def test_every_micro_batch_is_somebodys_and_sharded_processes_run_as_many() -> None:
    rows = some_rows(5)
    batches = [make_batch(rows, [number], shared_prefix(rows)) for number in range(5)]
    for sharded in (False, True):
        shares = [Ranks(rank, 3, sharded).share(batches) for rank in range(3)]
        assert sorted(n for share in shares for n, _ in share if n is not None) == [0, 1, 2, 3, 4]
        assert [len(share) for share in shares] == ([2, 2, 2] if sharded else [2, 2, 1])
    assert ALONE.share(batches) == list(enumerate(batches))


def test_rows_whose_states_are_kept_and_rows_just_made_are_never_run_at_once() -> None:
    """The former skip the frozen bottom, so a pass of one kind beside one of the other would wait for ever."""
    rows = some_rows(4)
    prefix = shared_prefix(rows)
    batches = [make_batch(rows, [number], prefix) for number in range(3)]
    batches.append(pack_rows(rows[3:], prefix))
    kinds = [[min(batch.rows) >= 0 for _, batch in Ranks(rank, 2, True).share(batches)] for rank in range(2)]
    assert kinds == [[True, True, False], [True, True, False]]


def test_units_are_cut_evenly_and_keep_to_the_limit() -> None:
    """By hand: own tokens 7, 6, 5, 4, 3, 2, prefix 6, room 9 a micro-batch of 15: 27 tokens need 3, so 4 for 2 parts.

    Longest first into the emptiest: 7 | 6 | 5 | 4, then 3 to the 4, 2 to the 5.
    """
    chance, lengths = random.Random(0), [7, 6, 5, 4, 3, 2]
    rows = [row_of_own_tokens(length, chance) for length in lengths]
    cut = even_units(rows, [(number,) for number in range(6)], 6, 15, parts=2)
    assert cut == [[0], [1], [2, 5], [3, 4]]
    pairs = even_units(rows, [(0, 5), (1, 4), (2, 3)], 6, 15, parts=2)
    assert pairs == [[0, 5], [1, 4], [2, 3]]


def row_of_own_tokens(length: int, chance: random.Random) -> Any:
    from tune_fakes import PREFIX

    from tunesmith.tune.batches import Row

    ids = (*PREFIX, *(chance.randrange(4, 300) for _ in range(length)), 7)
    return Row(f"ex-{length}", ids, (len(ids) - 1,))


def test_what_terms_gathered_is_added_up_as_numbers_and_tensors() -> None:
    """Rank 0 saw 2 rows, [1, 0] and [0, 2]; rank 1 saw none, rank 2 one of [4, 4]: 3 rows, [5, 6]."""
    everyone = [Gathered() for _ in range(3)]
    everyone[0].add(rows=1, sums=torch.tensor([1.0, 0.0]))
    everyone[0].add(rows=1, sums=torch.tensor([0.0, 2.0]))
    everyone[2].add(rows=1, sums=torch.tensor([4.0, 4.0]))
    told = json.loads(json.dumps([gathered.as_json() for gathered in everyone]))
    everyone[1].take(told)
    assert everyone[1].get("rows") == 3 and everyone[1].get("sums").tolist() == [5.0, 6.0]


def test_sums_of_parts_take_every_name_once() -> None:
    assert added([{"a": 1.0, "b": 2.0}, {"a": 0.5}, {}]) == {"a": 1.5, "b": 2.0}
