"""Trainings with other seeds: a gate that rests on one run and one seed rests on luck.

The project file names reports of the same project that were made with other seeds; G3 asks all of them to agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.figures import figure
from tunesmith.core.files import read_json, resolve_under
from tunesmith.core.types import Measure, Reason

REPORT = "report.json"


@dataclass(frozen=True)
class SeedReport:
    """What another training came to.

    Args:
        seed: of its training.
        main: its main measure.
        measures: over all rows.
        place: its folder.
    """

    seed: int
    main: str
    measures: tuple[Measure, ...]
    place: str


def seed_reports(places: Sequence[str], root: Path) -> list[SeedReport]:
    """The named reports, read.

    Args:
        places: folders of runs of the stage `evaluate`, relative to the project.
        root: the project.

    Raises:
        UserError: one of them is missing, is no report, or has a seed that another one has; all are told at once.
    """
    found: list[SeedReport] = []
    problems: list[Problem] = []
    for index, place in enumerate(places):
        where = f"evaluate.other_seeds[{index}]"
        try:
            found.append(_read(resolve_under(root, place) / REPORT, place))
        except UserError as error:
            problems += [Problem(p.code, p.message, p.hint or _HINT, where, value=place) for p in error.problems]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            problems.append(Problem("no-report", f"not a report of this version: {error!r}", _HINT, where, value=place))
    seeds = [report.seed for report in found]
    for seed in {seed for seed in seeds if seeds.count(seed) > 1}:
        message = f"two reports were trained with seed {seed}"
        problems.append(Problem("same-seed", message, "change `seed` and run again", "evaluate.other_seeds"))
    if problems:
        raise UserError(problems)
    return found


_HINT = "name the folder of a run: .tunesmith/runs/evaluate/run-..., see `tunesmith show --json`"


def _read(path: Path, place: str) -> SeedReport:
    said: dict[str, Any] = read_json(path)
    measures = tuple(Measure.model_validate(m) for m in said["measures"] if m["slice"] == "all")
    return SeedReport(int(said["provenance"]["training"]["seeds"][0]), str(said["main"]), measures, place)


def to_stronger_base(measures: Sequence[Measure], name: str, *, higher: bool) -> Measure | None:
    """The difference over all rows to the base's own words or to the base by likelihood: that which is beaten by less.

    Beside a base that never says a bare label every training would be better than nothing, and all seeds agree.

    Args:
        measures: of a report.
        name: of the measure.
        higher: whether more of it is better.
    """
    ways = ("difference", "difference_fair")
    found = [m for m in measures if (m.name, m.slice) == (name, "all") and m.model in ways and m.value is not None]
    return (min if higher else max)(found, key=lambda m: m.value or 0.0, default=None)


def seeds_reason(mine: Measure | None, seed: int, others: Sequence[SeedReport], *, higher: bool) -> Reason:
    """Whether every training is better than the base in the main measure, with the spread between the seeds.

    Args:
        mine: difference of this training, see `to_stronger_base`.
        seed: of this training.
        others: the other trainings; at least one.
        higher: whether more is better in the main measure.
    """
    name = mine.name if mine is not None else ""
    gains = {seed: mine.value if mine is not None else None}
    for report in others:
        found = to_stronger_base(report.measures, name, higher=higher)
        gains[report.seed] = found.value if found is not None and report.main == name else None
    known = {s: value for s, value in gains.items() if value is not None}
    evidence: dict[str, Any] = {"gains": {str(s): value for s, value in gains.items()}, "measure": name}
    if len(gains) < 1 + len(others):
        text = f"seed {seed} of this training is also that of another report: nothing is told about other seeds"
        return Reason(code="seeds", message=text, verdict="unknown", evidence=evidence)
    if len(known) < len(gains):
        missing = ", ".join(str(s) for s in gains if s not in known)
        text = f"whether other seeds agree cannot be told: no difference in '{name}' is known for seed {missing}"
        return Reason(code="seeds", message=text, verdict="unknown", evidence=evidence)
    values = sorted(known.values())
    agree = all(value > 0 if higher else value < 0 for value in values)
    unit = mine.unit if mine is not None else ""
    low, high, mean = (figure(v, unit, sign=True) for v in (values[0], values[-1], sum(values) / len(values)))
    text = f"{'all' if agree else 'not all'} {len(known)} seeds are better than the base in {name}: "
    text += f"difference {mean} on average, {low} to {high}"
    evidence |= {"low": values[0], "high": values[-1], "mean": sum(values) / len(values), "unit": unit}
    return Reason(code="seeds", message=text, verdict="passed" if agree else "failed", evidence=evidence)
