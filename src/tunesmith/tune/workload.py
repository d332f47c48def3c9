"""What a training reads, phase by phase: its rows, its filled settings, which rows belong to which step.

The loop and the estimate ask the same, so that what was told before is what is done. Takes no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.types import Base
from tunesmith.tune import rules
from tunesmith.tune.batches import Plan, Row, begins_alike, last_turn, read_rows, shared_prefix
from tunesmith.tune.objective import general_share
from tunesmith.tune.spec import Phase, TuneSpec

Units = list[tuple[int, ...]]


@dataclass(frozen=True)
class FilledPhase:
    """One phase with everything filled.

    Args:
        number: counted from 0.
        count: of all phases.
        rows: what is read.
        spec: `tune` with this phase's objective, learning rate, epochs and rows a step.
    """

    number: int
    count: int
    rows: str
    spec: TuneSpec

    @property
    def name(self) -> str:
        """For the curve: "" where there is one phase only."""
        return f"{self.number + 1} of {self.count}, {self.rows}" if self.count > 1 else ""


@dataclass(frozen=True)
class Workload:
    """What one phase does.

    Args:
        plan: which rows belong to which step; general rows last.
        general: how many of the plan's rows are general ones.
        valid: the validation rows.
        together: whether they can be packed behind the plan's prefix.
    """

    plan: Plan
    general: int
    valid: Sequence[Row]
    together: bool

    @property
    def read(self) -> list[Row]:
        """The rows whose border states are kept: those of the plan, and the validation rows that begin alike."""
        return [*self.plan.rows, *self.valid] if self.together else list(self.plan.rows)

    def costs(self) -> list[float]:
        """What each step costs, in tokens; one of a validation row costs a third of one that is trained on."""
        costs = self.plan.costs()
        valid = sum(len(row.read) for row in self.valid) / 3
        each = self.plan.steps_per_epoch
        ends = [step for step in range(len(costs)) if (step + 1) % each == 0 or step + 1 == len(costs)]
        for step in ends:
            costs[step] += valid
        return costs


def filled_phases(spec: TuneSpec, base: Base, path: Path) -> tuple[list[FilledPhase], list[rules.Choice]]:
    """Every phase with every `auto` filled, and the choices that were made, each once.

    Args:
        spec: the section `tune`.
        base: the base model.
        path: `rows.parquet`.

    Raises:
        UserError: a phase has nothing to train on; a setting of the strategy is wrong.
    """
    phases = spec.phases or (Phase(),)
    filled, choices = [], {}
    for number, phase in enumerate(phases):
        own = {name: value for name in ("objective", "learning_rate", "epochs", "rows_per_step")
               if (value := getattr(phase, name)) is not None}  # fmt: skip
        rows, units = rows_of(phase.rows, path)
        count = len(rows if units is None else units)
        if not count:
            found = f"no training row is there for `rows: {phase.rows}`, or none has a trained token"
            where = f"tune.phases[{number}].rows" if spec.phases else "tune"
            raise UserError(Problem("nothing-to-train", found, "see `tunesmith data preview`", where))
        made, chosen = rules.resolve(spec.model_copy(update=own), base, count)
        filled.append(FilledPhase(number, len(phases), phase.rows, made))
        choices.update({(choice.name, str(choice.value)): choice for choice in chosen})
    return filled, list(choices.values())


def rows_of(what: str, path: Path) -> tuple[list[Row], Units | None]:
    """The training rows of a phase, and the units in which they must stay together (None: each is one)."""
    if what == "text":
        return read_rows(path, "train", ("text",)), None
    if what == "judged":
        return [last_turn(row) for row in read_rows(path, "train", ("supervised", "rejected"), judged=True)], None
    rows = read_rows(path, "train", ("supervised",))
    if what != "pairs":
        return rows, None
    better = {row.id: row for row in rows}
    worse = [row for row in read_rows(path, "train", ("rejected",)) if row.id in better]
    pairs = [last_turn(row) for other in worse for row in (better[other.id], other)]
    return pairs, [(2 * n, 2 * n + 1) for n in range(len(worse))]


def general_rows(path: Path) -> list[Row]:
    """The rows of what must not be forgotten."""
    return read_rows(path, "general", ("general",))


def workload(phase: FilledPhase, path: Path, *, seed: int, parts: int = 1) -> Workload:
    """What `phase` does with the rows of `path`, shared among `parts` processes."""
    spec: Any = phase.spec
    rows, units = rows_of(phase.rows, path)
    share = general_share(spec.objective)
    general = general_rows(path) if share else []
    valid = read_rows(path, "valid", ("text",) if phase.rows == "text" else ("supervised",))
    everything = [*rows, *general]
    prefix = shared_prefix(everything) if spec.speed.share_prefix else 0
    plan = Plan(
        rows=everything,
        rows_per_step=int(spec.rows_per_step),
        epochs=float(spec.epochs),
        prefix=prefix,
        micro_tokens=int(spec.tokens_per_micro_batch),
        seed=seed,
        units=units if units is not None else [(number,) for number in range(len(rows))],
        replayed=range(len(rows), len(everything)),
        replay_rows=max(1, round(share * int(spec.rows_per_step))) if general else 0,
        parts=parts,
    )
    together = all(begins_alike(row, everything[0], prefix) for row in valid)
    return Workload(plan, len(general), valid, together)
