"""Any two reports side by side: the same held-out rows, the paired test, and what else changed.

Whatever the two experts are (another seed, another base, another week), they can be compared row by row as far as both
answered the same rows. A second report is not a second hypothesis test for free: the p-values of all scorers are
adjusted together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.files import read_json
from tunesmith.core.types import Measure
from tunesmith.evaluate.metric import mean_kernel
from tunesmith.evaluate.multiplicity import adjusted
from tunesmith.evaluate.power import rows_for, smallest_seen
from tunesmith.evaluate.rows import read_lines
from tunesmith.evaluate.statistics import (
    Floats,
    Interval,
    Sampling,
    bootstrap_interval,
    mcnemar_p,
    newcombe_interval,
    sign_flip_p,
)

_SHOWN = 10


@dataclass(frozen=True)
class Told:
    """One report as it lies on the disk.

    Args:
        name: as the user called it.
        report: `report.json`.
        answers: the lines of `answers.jsonl`, by row.
    """

    name: str
    report: dict[str, Any]
    answers: Mapping[str, dict[str, Any]]

    @staticmethod
    def read(folder: Path, *, name: str = "") -> Told:
        """The report in a run's folder.

        Raises:
            UserError: there is none.
        """
        try:
            report = read_json(folder / "report.json")
            lines = read_lines(folder / "answers.jsonl")
        except (OSError, ValueError) as error:
            raise UserError(
                Problem("no-report", f"'{name or folder}' holds no report: {error}", "", str(folder))
            ) from None
        return Told(name or folder.name, report, {line["id"]: line for line in lines})

    def scores(self, scorer: str) -> dict[str, float]:
        """Row -> what the scorer said of the expert's answer; unscored rows are left out."""
        found = {}
        for key, line in self.answers.items():
            value = line["scores"]["expert"].get(scorer, {}).get("value")
            if isinstance(value, int | float) and math.isfinite(value):
                found[key] = float(value)
        return found

    @property
    def scorers(self) -> list[str]:
        """Every scorer that judged an answer, in order."""
        return list(dict.fromkeys(name for line in self.answers.values() for name in line["scores"]["expert"]))


def compare(first: Told, second: Told, *, sampling: Sampling | None = None) -> dict[str, Any]:
    """What differs between two reports, second minus first, as JSON values.

    Returns:
        `sides`, what the two are; `rows` answered by both, and those of only one; `scores`, the paired comparison by
        each scorer that both have; `measures` over all rows side by side; `changed`, rows that got worse and better by
        the first scorer; `notes`, why figures may not be comparable.
    """
    how = sampling or Sampling()
    common = [key for key in second.answers if key in first.answers]
    made = [_by_scorer(name, first, second, how) for name in second.scorers if name in first.scorers]
    told = [measure for measure in made if measure is not None]
    honest = adjusted([m["difference"].p or 0.0 for m in told])
    scores = [{**_line(m), "p_adjusted": p} for m, p in zip(told, honest, strict=True)]
    main = second.report.get("scorer", "")
    return {
        "sides": [_side(first), _side(second)],
        "rows": {
            "both": len(common),
            "only_first": len(first.answers) - len(common),
            "only_second": len(second.answers) - len(common),
        },
        "main": main,
        "scores": scores,
        "measures": _side_by_side(first.report, second.report),
        "changed": _changed(first, second, common, main),
        "notes": _notes(first, second, common),
    }


def paired_scores(first: Told, second: Told, scorer: str) -> tuple[Floats, Floats, list[str], int]:
    """Scores of the rows that both answered and `scorer` judged for both, their clusters, and the rows it did not.

    Returns:
        first_N, second_N, clusters, and how many common rows are unscored on one side at least.
    """
    one, two = first.scores(scorer), second.scores(scorer)
    common = [key for key in second.answers if key in first.answers]
    keys = [key for key in common if key in one and key in two]
    clusters = [str(second.answers[key].get("group") or key) for key in keys]
    return np.array([one[k] for k in keys]), np.array([two[k] for k in keys]), clusters, len(common) - len(keys)


def paired_difference(first: Told, second: Told, scorer: str, sampling: Sampling) -> Measure | None:
    """The mean difference, second minus first, with interval and paired test; None where no row is scored for both."""
    one, two, clusters, lost = paired_scores(first, second, scorer)
    if not len(one):
        return None
    interval, p = _tested(two, one, clusters, sampling)
    return Measure(
        name=scorer,
        model="difference",
        value=float((two - one).mean()),
        low=interval.low,
        high=interval.high,
        level=sampling.level,
        n=len(one),
        unscored=lost,
        p=p,
        method=interval.method,
    )


def _tested(ours: Floats, theirs: Floats, clusters: Sequence[str], sampling: Sampling) -> tuple[Interval, float]:
    alone = len(set(clusters)) == len(clusters)
    if alone and bool(np.isin(np.concatenate([ours, theirs]), (0.0, 1.0)).all()):
        return newcombe_interval(ours, theirs, clusters, level=sampling.level), mcnemar_p(ours, theirs)
    interval = bootstrap_interval(mean_kernel(ours - theirs), clusters, sampling)
    return interval, sign_flip_p(ours - theirs, clusters, seed=sampling.seed)


def _by_scorer(scorer: str, first: Told, second: Told, sampling: Sampling) -> dict[str, Any] | None:
    difference = paired_difference(first, second, scorer, sampling)
    if difference is None:
        return None
    one, two, _, _ = paired_scores(first, second, scorer)
    return {
        "difference": difference,
        "first": float(one.mean()),
        "second": float(two.mean()),
        "better": int((two > one).sum()),
        "worse": int((two < one).sum()),
    }


def _line(found: dict[str, Any]) -> dict[str, Any]:
    difference: Measure = found["difference"]
    return {
        "scorer": difference.name,
        **{key: found[key] for key in ("first", "second", "better", "worse")},
        **difference.model_dump(mode="json", include={"value", "low", "high", "level", "n", "unscored", "p", "method"}),
        "smallest_seen": smallest_seen(difference),
        "rows_needed": rows_for(difference, 0.05),
    }


def _side(told: Told) -> dict[str, Any]:
    report = told.report
    return {
        "name": told.name,
        "run": report.get("run", ""),
        "made": report.get("made", ""),
        "base": report.get("base", ""),
        "verdict": report.get("verdict", ""),
        "rows": len(told.answers),
        "seeds": report.get("provenance", {}).get("training", {}).get("seeds", []),
        "snapshot": report.get("provenance", {}).get("artifacts", {}).get("snapshot", ""),
    }


def _side_by_side(first: dict[str, Any], second: dict[str, Any]) -> list[dict[str, Any]]:
    """Every measure over all rows of the expert that either report has."""
    sides = [
        {m["name"]: m for m in report.get("measures", []) if (m["model"], m["slice"]) == ("expert", "all")}
        for report in (first, second)
    ]
    fields = ("value", "low", "high", "n")
    return [
        {
            "name": name,
            "unit": next(side[name]["unit"] for side in sides if name in side),
            "first": {f: sides[0][name][f] for f in fields} if name in sides[0] else None,
            "second": {f: sides[1][name][f] for f in fields} if name in sides[1] else None,
        }
        for name in dict.fromkeys([*sides[0], *sides[1]])
    ]


def _changed(first: Told, second: Told, common: Sequence[str], scorer: str) -> dict[str, list[dict[str, Any]]]:
    one, two = first.scores(scorer), second.scores(scorer)
    moved = [(two[key] - one[key], key) for key in common if key in one and key in two and one[key] != two[key]]
    worse = sorted(pair for pair in moved if pair[0] < 0)[:_SHOWN]
    better = sorted((pair for pair in moved if pair[0] > 0), reverse=True)[:_SHOWN]

    def shown(key: str) -> dict[str, Any]:
        sides = [told.answers[key]["expert"] for told in (first, second)]
        texts = [side["text"] if side else None for side in sides]
        line = second.answers[key]
        names = {"id": key, "place": line["place"], "prompt": line["prompt"], "reference": line["reference"]}
        return {**names, "first": texts[0], "second": texts[1]}

    return {"worse": [shown(key) for _, key in worse], "better": [shown(key) for _, key in better]}


def _notes(first: Told, second: Told, common: Sequence[str]) -> list[str]:
    notes = []
    sides = _side(first), _side(second)
    if not common:
        notes.append("no held-out row was answered by both: nothing can be tested")
    elif len(common) < max(len(first.answers), len(second.answers)):
        notes.append(
            "the held-out rows are not the same: only those of both are compared, the measures are over their own"
        )
    if sides[0]["snapshot"] != sides[1]["snapshot"]:
        notes.append("the snapshots differ: a row that is held out in one may have been trained on in the other")
    if sides[0]["base"] != sides[1]["base"]:
        notes.append(f"the base models differ: {sides[0]['base']}, {sides[1]['base']}")
    if sides[0]["seeds"] == sides[1]["seeds"]:
        notes.append("one seed each: a difference may be the luck of a training")
    return notes
