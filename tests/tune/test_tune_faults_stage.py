"""A training whose checkpoints cannot be written, or not be read, ends as the one on a good disk, and says so."""

from __future__ import annotations

import errno
import json
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tune_disk import Act, Call, fail, nothing, short, watched
from tune_fakes import context_of, profile, snapshot_of, some_rows, spec, tiny_base, tokens_of

from tunesmith.core import files
from tunesmith.core.events import Event
from tunesmith.core.ids import digest_file
from tunesmith.core.types import Base
from tunesmith.tune import stage
from tunesmith.tune.checkpoint import Keeper

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, which only Linux has")

STEPS = 6
"""10 rows in steps of 4, two epochs; a checkpoint before the first and after each."""


class Stopped(Exception):
    """Ends a training as a kill would: nothing is written any more."""


@dataclass(frozen=True)
class Trained:
    """What a training made, and what it told."""

    digest: str
    curve: list[dict[str, Any]]
    told: list[str]


def train(base: Base, out: Path, *, stop_after: int | None = None) -> Trained:
    heard: list[Event] = []
    context, rows = context_of(out, heard), some_rows(10)

    def listen(event: Event) -> None:
        if stop_after is not None and event.kind == "progress" and event.data.get("done") == stop_after + 1:
            raise Stopped

    with context.events.heard_by(listen):
        stage.run(
            spec(checkpoint_every="1 steps", strategy={"use": "lora", "rank": 4, "alpha": 8, "dropout": 0.1}),
            base=base,
            profile=profile(),
            snapshot=snapshot_of(),
            tokens=tokens_of(out / "tokens", rows, some_rows(3, seed=1)),
            context=context,
        )
    points = [json.loads(line) for line in (out / "out" / "curves.jsonl").read_text().splitlines()]
    return Trained(
        digest_file(out / "out" / "adapter" / "adapter_model.safetensors"),
        [{key: value for key, value in point.items() if key != "tokens_per_second"} for point in points],
        [event.message for event in heard if event.kind == "warning"],
    )


@contextmanager
def disk(monkeypatch: pytest.MonkeyPatch, act_in: Callable[[int], Act]) -> Iterator[dict[int, list[Call]]]:
    """The checkpoint of step N is written to a disk that does `act_in(N)`; yields the calls of each step."""
    calls: dict[int, list[Call]] = {}
    save = Keeper.save

    def on_a_disk(self: Keeper, step: int, saved: Any) -> None:
        with watched(act_in(step)) as calls[step]:
            save(self, step, saved)

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "save", on_a_disk)
        yield calls


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def whole(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    made = train(base, tmp_path_factory.mktemp("whole"))
    assert len(made.curve) == STEPS and not made.told
    return made


def same(one: Trained, other: Trained) -> bool:
    return (one.digest, one.curve) == (other.digest, other.curve)


def calls_of_one(base: Base, out: Path, monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    with disk(monkeypatch, lambda _: nothing) as calls:
        train(base, out)
    assert sorted(calls) == list(range(STEPS + 1)) and len(calls[3]) >= 18
    return calls[3]


def check_fault(base: Base, whole: Trained, out: Path, monkeypatch: pytest.MonkeyPatch, act: Act) -> int:
    """Train with one fault in the checkpoint after step 3; number of warnings, which all tell of it."""
    with disk(monkeypatch, lambda step: act if step == 3 else nothing):
        made = train(base, out)
    assert same(made, whole) and len(made.told) <= 1
    assert all("the checkpoint after step 3 could not be written" in text for text in made.told)
    assert sorted(path.name for path in (out / "scratch").glob("*/steps/*")) == [f"step-0000000{n}" for n in (5, 6)]
    return len(made.told)


def test_a_checkpoint_that_fails_at_one_call_changes_nothing_but_a_warning(
    base: Base, whole: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short write on a full disk, and an I/O error in the last sync of the files."""
    kinds = [call.kind for call in calls_of_one(base, tmp_path / "counted", monkeypatch)]
    write, sync = 1 + kinds.index("write"), kinds.index("rename")
    for name, act in (("short", short(write)), ("sync", fail(sync, errno.EIO))):
        assert check_fault(base, whole, tmp_path / name, monkeypatch, act) == 1, name


@pytest.mark.slow
def test_a_checkpoint_that_fails_at_any_call_changes_nothing_but_a_warning(
    base: Base, whole: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call, no space and I/O error in turn; untold are the four by which the oldest checkpoint is removed."""
    calls, told = calls_of_one(base, tmp_path / "counted", monkeypatch), 0
    for number in range(1, len(calls) + 1):
        for code in (errno.ENOSPC, errno.EIO):
            told += check_fault(base, whole, tmp_path / "run", monkeypatch, fail(number, code))
            shutil.rmtree(tmp_path / "run")
    assert told == 2 * (len(calls) - 4)


def test_a_disk_that_is_full_is_told_once_until_it_takes_a_checkpoint_again(
    base: Base, whole: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full from the start to step 2, and again from step 4 to the end: two warnings, not six."""
    full = fail(1, errno.ENOSPC, on=True)
    with disk(monkeypatch, lambda step: nothing if step == 3 else full) as calls:
        made = train(base, tmp_path)
    assert same(made, whole) and len(calls) == STEPS + 1
    assert [text[: text.index(" could not")] for text in made.told] == [
        "the checkpoint after step 0",
        "the checkpoint after step 4",
    ]
    assert all("No space left on device" in text and text.endswith("training goes on") for text in made.told)
    assert [path.name for path in (tmp_path / "scratch").glob("*/steps/*")] == ["step-00000003"]


def flip(step: Path) -> None:
    chance = random.Random(step.name)
    path = chance.choice(sorted(step.iterdir()))
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def renumber(step: Path) -> None:
    digests = json.loads((step / "digests.json").read_bytes())
    (step / "digests.json").write_bytes(files.json_bytes({**digests, "format": 99}))


@pytest.mark.parametrize(
    ("harm", "steps", "says", "outcome"),
    [
        (flip, [4], "is damaged", "the training goes on from step-00000003"),
        (flip, [3, 4], "is damaged", "the training starts anew"),
        (renumber, [3, 4], "is of format 99", "the training starts anew"),
    ],
)
def test_checkpoints_that_cannot_be_read_are_told_and_the_training_is_made_again_from_before(
    base: Base,
    whole: Trained,
    tmp_path: Path,
    harm: Callable[[Path], None],
    steps: list[int],
    says: str,
    outcome: str,
) -> None:
    """Stopped in step 5, with the checkpoints of steps 3 and 4: one or both cannot be used."""
    with pytest.raises(Stopped):
        train(base, tmp_path, stop_after=4)
    (folder,) = (tmp_path / "scratch").glob("*/steps")
    assert sorted(path.name for path in folder.iterdir()) == ["step-00000003", "step-00000004"]
    for step in steps:
        harm(folder / f"step-0000000{step}")
    made = train(base, tmp_path)
    assert same(made, whole)
    assert len(made.told) == len(steps)
    assert all(says in text and text.endswith(outcome) for text in made.told)
    assert sorted(path.name for path in folder.iterdir()) == ["step-00000005", "step-00000006"]
