"""The time left: from measured steps, weighed by what each coming step has to read. All by a clock that tests set."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tune_fakes import PREFIX, context_of, profile, snapshot_of, some_rows, spec, tiny_base, tokens_of

from tunesmith.core.events import Event, Events
from tunesmith.models.trunk import Trunk
from tunesmith.tune import loop, stage, timing
from tunesmith.tune.batches import Plan, Row
from tunesmith.tune.timing import SURE_STEPS, Pace
from tunesmith.tune.workload import Workload

LORA = {"use": "lora", "rank": 4, "alpha": 8, "upper": 0.5}


def point(step: int, seconds: float, tokens: int = 100) -> dict[str, Any]:
    return {"step": step, "tokens": tokens, "tokens_per_second": tokens / seconds}


def test_the_line_through_the_steps_by_hand() -> None:
    """Costs 1, 2, 3, 4, 5. The first step's 50 s do not count; the next two took 9 and 12 s: 3 s a step and 3 s a unit,
    the last two 3 x 2 + 3 x (4 + 5) = 33 s. Before, with one step seen, 9 s for 2 units, so 54 s for 12.
    """
    pace = Pace([1, 2, 3, 4, 5])
    assert pace.left(0) is None
    pace.see(point(1, 50))
    assert pace.left(1) == pytest.approx(50 * 14)
    pace.see(point(2, 9))
    assert pace.left(2) == pytest.approx(54)
    pace.see(point(3, 12))
    assert pace.left(3) == pytest.approx(33)
    assert pace.left(5) == 0


def test_steps_that_are_alike_have_a_mean_and_what_passes_between_them_counts() -> None:
    """Steps of 2 s that end at 10, 13 and 16 s: 1 s between two, 3 s for each of the 2 that are left."""
    pace = Pace([1.0] * 5)
    for step, at in ((1, 10.0), (2, 13.0), (3, 16.0)):
        pace.see(point(step, 2), at=at)
    assert pace.left(3) == pytest.approx(6)


def test_larger_steps_that_took_no_longer_do_not_make_time_run_backwards() -> None:
    """Costs 1, 4, 2, 10 at 5, 2, 4 s: a falling line is taken for a mean of 3 s; a negative start for a pure rate."""
    pace = Pace([1, 4, 2, 10])
    for step, seconds in ((1, 5.0), (2, 2.0), (3, 4.0)):
        pace.see(point(step, seconds))
    assert pace.left(3) == pytest.approx(3)
    steep = Pace([1, 1, 2, 4])
    for step, seconds in ((1, 1.0), (2, 1.0), (3, 8.0)):
        steep.see(point(step, seconds))
    assert steep.left(3) == pytest.approx(4 * 9 / 3)


def test_steps_set_aside_teach_nothing_and_later_phases_count() -> None:
    """Two steps of 4 s for 2 units, then phases that cost 10 units: 2 s a unit."""
    pace = Pace([2, 2, 2, 2], later=10)
    for told in (point(1, 4), {"step": 2, "set_aside": "nan"}, point(3, 4)):
        pace.see(told)
    assert pace.left(3) == pytest.approx(4 + 20)
    pace.restart([point(1, 8), point(2, 8)])
    assert pace.left(2) == pytest.approx(16 + 40)


def test_what_every_step_costs_by_hand() -> None:
    """8 rows that read 6 + 11 tokens, 4 a step: 44 own tokens in 2 micro-batches of at most 40, the prefix in each: 56.

    The largest has 6 + 22 tokens. 3 validation rows that read 17 tokens cost 17 at the end of either epoch.
    """
    rows = rows_of_lengths([20] * 8)
    plan = Plan(rows=rows, rows_per_step=4, epochs=2, prefix=6, micro_tokens=40, seed=0)
    assert plan.costs() == [56] * 4 and plan.largest_micro_batch() == 28
    assert Workload(plan, 0, rows_of_lengths([20] * 3), together=True).costs() == [56, 73, 56, 73]
    pairs = Plan(rows=rows, rows_per_step=2, epochs=1, prefix=6, micro_tokens=40, seed=0,
                 units=[(0, 1), (2, 3)], replayed=range(4, 8), replay_rows=2)  # fmt: skip
    assert pairs.costs() == [66 + 12]


def rows_of_lengths(lengths: list[int]) -> list[Row]:
    """Rows that begin alike; the last but two tokens are trained, so that a row of 20 reads 17."""
    return [
        Row(f"ex-{n}", (*PREFIX, 100 + n, *[9] * (length - 7)), (length - 4, length - 3))
        for n, length in enumerate(lengths)
    ]


# -- in a training ----------------------------------------------------------------------------------


@dataclass
class Clock:
    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (loop, timing, stage):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=made.monotonic))
    return made


def slowed(monkeypatch: pytest.MonkeyPatch, clock: Clock, name: str, seconds: Callable[[int], float]) -> None:
    """`Trunk.NAME` takes so many seconds for so many tokens."""
    real = getattr(Trunk, name)

    def made(self: Trunk, given: Any, layout: Any) -> Any:
        clock.now += seconds(layout.tokens)
        return real(self, given, layout)

    monkeypatch.setattr(Trunk, name, made)


class Killed(Exception):
    """Stands for a kill."""


def told_left(tmp_path: Path, clock: Clock, rows: list[Row], *, kill_at: int = 0, **settings: Any) -> list[Any]:
    """(step, seconds left, when that was told) of a training of one phase."""
    told = []

    def listen(event: Event) -> None:
        if event.kind == "progress" and event.data.get("unit") == "steps":
            told.append((event.data["done"], event.data["seconds_left"], clock.now))
            if event.data["done"] == kill_at:
                raise Killed

    base = tiny_base(tmp_path)
    context = replace(context_of(tmp_path / "run"), events=Events(listen))
    tokens = tokens_of(tmp_path / "tokens", rows, some_rows(3, seed=1))
    section = spec(strategy=LORA, rows_per_step=2, tokens_per_micro_batch=128, **settings)
    stage.run(section, base=base, profile=profile(), snapshot=snapshot_of(), tokens=tokens, context=context)
    return told


def uneven(count: int) -> list[Row]:
    """Rows of 12 to 200 tokens."""
    chance = random.Random(0)
    return rows_of_lengths([chance.choice((12, 15, 20, 60, 200)) for _ in range(count)])


def test_after_ten_steps_the_time_left_is_within_30_percent_whatever_the_lengths_and_the_first_step(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frozen half is run once, before the steps, at ten times the price: it must not be taken into their pace."""
    slow = [60.0, 0.0]  # the trial of the packed forward, then the first step, which loads what loads on first use
    slowed(monkeypatch, clock, "bottom", lambda tokens: 0.5 * tokens)
    slowed(monkeypatch, clock, "top", lambda tokens: 0.2 + 0.05 * tokens + (slow.pop() if slow else 0.0))
    told = told_left(tmp_path, clock, uneven(40), epochs=2)
    end = told[-1][2]
    assert len(told) == 40
    for done, left, at in told[SURE_STEPS - 1 : -1]:
        assert left == pytest.approx(end - at, rel=0.3), done
    assert told[-1][1] == 0


def test_a_resumed_run_knows_the_pace_from_its_curve(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowed(monkeypatch, clock, "top", lambda tokens: 0.2 + 0.05 * tokens)
    rows = uneven(40)
    with pytest.raises(Killed):
        told_left(tmp_path, clock, rows, kill_at=15, epochs=2)
    clock.now += 5000  # it lay for a while
    told = told_left(tmp_path, clock, rows, epochs=2)
    end = told[-1][2]
    assert told[0][0] == 15
    for done, left, at in told[:-1]:
        assert left == pytest.approx(end - at, rel=0.3), done
