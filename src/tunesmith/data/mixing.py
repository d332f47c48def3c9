"""Shares of the training rows by kind or by source, reached by leaving rows out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tunesmith.core.errors import Problem, UserError, did_you_mean
from tunesmith.core.types import Refusal
from tunesmith.data.index import KINDS, Index
from tunesmith.data.line import Line
from tunesmith.data.spec import Mix
from tunesmith.data.texts import hash_of

STEP = "mix"


def problems(spec: Mix) -> list[Problem]:
    """What is wrong with the shares before any row is read."""
    found = []
    if spec.by == "kind":
        for name in sorted(set(spec.shares) - set(KINDS)):
            message = f"there is no kind '{name}'"
            hint = did_you_mean(name, KINDS)
            found.append(Problem("wrong-value", message, hint, "data.mix.shares", value=name))
    if spec.shares and not sum(spec.shares.values()):
        hint = "40/30/30 is a start: {structured: 0.4, semi_structured: 0.3, unstructured: 0.3}"
        found.append(Problem("wrong-value", "the shares add up to nothing", hint, "data.mix.shares"))
    return found


def mix_rows(line: Line, spec: Mix) -> dict[str, Any]:
    """Leave out training rows until every kind, or source, has its share; who stays is drawn by the seed.

    As many rows as the shares allow stay: the one that is scarcest for its share stays whole. Shares are of the
    domain's training rows, made ones included; held-out, general and planted rows are left alone.

    Returns:
        Per name `asked`, `before` and `reached` (shares) and `rows`, for the datasheet.

    Raises:
        UserError: there are training rows of a kind or source without a share, or none of one that has a share.
    """
    if not spec.shares:
        return {}
    index = line.index
    there = np.flatnonzero(index.of_split("train") & ~index.planted)
    codes = _codes(index, spec)
    rows = {name: there[codes[there] == code] for name, code in _wanted(spec).items()}
    _refuse_unmixable(spec, rows, int(len(there) - sum(map(len, rows.values()))))
    total = sum(spec.shares.values())
    most = min(len(rows[name]) * total / share for name, share in spec.shares.items() if share)
    refused: dict[int, Refusal] = {}
    for name, share in spec.shares.items():
        stays = math.floor(most * share / total + 1e-9)
        order = np.argsort(index.rows["by_row"][rows[name]], kind="stable")
        detail = f"{name} has a share of {share / total:.1%}"
        refused |= {i: Refusal(reason="over-share", detail=detail) for i in rows[name][order[stays:]].tolist()}
    line.refuse(STEP, dict(sorted(refused.items())))
    left = {name: int(index.kept[numbers].sum()) for name, numbers in rows.items()}
    return {
        name: {
            "asked": round(share / total, 4),
            "before": round(len(rows[name]) / max(1, len(there)), 4),
            "reached": round(left[name] / max(1, sum(left.values())), 4),
            "rows": left[name],
        }
        for name, share in spec.shares.items()
    }


def _wanted(spec: Mix) -> dict[str, int]:
    """Name -> how it stands in the index."""
    if spec.by == "kind":
        return {name: KINDS.index(name) for name in KINDS if name in spec.shares}
    return {name: hash_of(" " + name) for name in spec.shares}


def _codes(index: Index, spec: Mix) -> Any:
    return index.rows["kind" if spec.by == "kind" else "source"]


def _refuse_unmixable(spec: Mix, rows: dict[str, Any], others: int) -> None:
    problems = []
    if others:
        message = f"{others:,} training rows are of a {spec.by} that data.mix.shares does not name"
        problems.append(Problem("unnamed-share", message, "name it; a share of 0 leaves it out", "data.mix.shares"))
    for name, share in spec.shares.items():
        if share and not len(rows[name]):
            message = f"there is no training row of the {spec.by} '{name}', which should be {share:g} of them"
            hint = "add a source of it, or take it out of the shares"
            problems.append(Problem("empty-share", message, hint, f"data.mix.shares.{name}"))
    if problems:
        raise UserError(problems)
