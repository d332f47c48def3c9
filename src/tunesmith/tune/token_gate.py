"""Gate G2: would rows be cut, or nothing be trained, beyond the limit? Judged on the training rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tunesmith.core.errors import Problem
from tunesmith.core.types import GateVerdict, Reason, VerdictName
from tunesmith.tune.render import TokenRow
from tunesmith.tune.spec import Limits

SHOWN = 5


def judge_tokens(
    rows: Sequence[TokenRow],
    limits: Limits,
    *,
    context_tokens: int,
    warnings: Sequence[Problem],
    general: Sequence[TokenRow] = (),
) -> GateVerdict:
    """The verdict of G2.

    Args:
        rows: the training rows, rendered and cut.
        limits: what the project file lets pass.
        context_tokens: where rows were cut.
        warnings: what the chat template is warned of.
        general: rows that are not of the domain; told, never judged: what is cut from them is not what is learnt.
    """

    def count(code: str, what: str, bad: Callable[[TokenRow], Any], limit: float = 0.0) -> Reason:
        return _share(code, what, [row for row in rows if bad(row)], rows=rows, limit=limit)

    cut = [row for row in rows if row.cut]
    lost, trained = sum(row.trained_cut for row in rows), sum(sum(row.trained) + row.trained_cut for row in rows)
    beyond = f"lose tokens beyond {context_tokens:,}: {sum(row.cut for row in cut):,} tokens"
    beyond += f", {lost:,} of {trained:,} trained tokens among them"
    refused = [row for row in rows if not row.ids]
    reasons = [
        count("rows-cut", beyond, lambda row: row.cut, limits.rows_cut),
        count("rows-untrained", "have nothing to train", lambda row: not row.trains, limits.rows_untrained),
        count(
            "rows-refused", "cannot be rendered" + _first_why(refused), lambda row: not row.ids, limits.rows_untrained
        ),
        count(
            "end-of-turn-missing",
            "do not train the end of every turn, so the model would not learn to stop",
            lambda row: not row.end_of_turn_ok,
            limits.rows_cut,
        ),
        count("reasoning-lost", "have reasoning that the template drops", lambda row: row.reasoning_lost),
        count(
            "tools-ignored", "have tools that the template does not show", lambda row: "tools-ignored" in row.problems
        ),
        count(
            "tool-calls-as-text",
            "have tool calls that the template has no place for; they were written as text",
            lambda row: "tool-calls-as-text" in row.problems,
        ),
        count(
            "template-not-prefix-stable",
            "are trained after another prompt than they are served with",
            lambda row: "template-not-prefix-stable" in row.problems,
        ),
    ]
    if general:
        reasons.append(_of_general(general))
    for warning in warnings:
        told = f"{warning.message}; {warning.hint}" if warning.hint else warning.message
        reasons.append(Reason(code=warning.code, message=told, verdict="passed", evidence={"warning": True}))
    return GateVerdict.of("G2", reasons)


def _share(code: str, what: str, bad: Sequence[TokenRow], *, rows: Sequence[TokenRow], limit: float) -> Reason:
    share = len(bad) / len(rows) if rows else 0.0
    verdict: VerdictName = "passed" if share <= limit else "failed"
    parts = dict(Counter(row.part for row in bad))
    message = f"{len(bad):,} of {len(rows):,} training rows ({share:.1%}, limit {limit:.1%}) {what}"
    if parts.get("rejected"):
        message += f"; {parts['rejected']:,} of these are worse answers"
    first = [
        {"id": row.id, "place": row.place, "part": row.part, "tokens": len(row.ids) + row.cut} for row in bad[:SHOWN]
    ]
    evidence = {"rows": len(bad), "of": len(rows), "share": share, "limit": limit, "parts": parts, "first": first}
    return Reason(code=code, message=message, verdict=verdict, evidence=evidence)


def _of_general(rows: Sequence[TokenRow]) -> Reason:
    cut, untrained = sum(row.cut > 0 for row in rows), sum(not row.trains for row in rows)
    message = f"{len(rows):,} general rows beside them: {cut:,} lose tokens, {untrained:,} have nothing to train"
    evidence = {"rows": len(rows), "cut": cut, "untrained": untrained}
    return Reason(code="general-rows", message=message, verdict="passed", evidence=evidence)


def _first_why(rows: Sequence[TokenRow]) -> str:
    return f" (the first: {rows[0].why})" if rows else ""
