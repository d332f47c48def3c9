"""Gate G1: is this data fit to train and to judge by? Decided from counts alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tunesmith.core.types import GateVerdict, Reason, Snapshot, Split
from tunesmith.data.leaks_spec import Kind
from tunesmith.data.spec import DataSpec, Limits

GATE = "G1"
CHOSEN_STEPS = ("filter.", "duplicates", "split", "synthesize.", "augment.", "made", "mix")
"""Operations that drop what the user's settings ask for; they do not count against `limits.dropped`."""


def judge(
    spec: DataSpec,
    snapshot: Snapshot,
    *,
    trained: Collection[str],
    labels: Sequence[str],
    further: Sequence[Reason] = (),
) -> GateVerdict:
    """The verdict with all its reasons, the passed ones too.

    Args:
        spec: the section with its limits.
        snapshot: the counts and what `leak.leakage` found.
        trained: labels that stand in the training split.
        labels: closed set of answers, empty if open.
        further: reasons that need more than counts: how far annotators agreed, which tasks the rows are.
    """
    reasons = [
        _leak(snapshot.leakage, spec.limits),
        _dropped(snapshot, spec.limits),
        _unknown_labels(snapshot, spec.limits),
        _empty_splits(spec, snapshot),
        _test_rows(snapshot, spec.limits),
    ]
    if spec.mix.shares:
        reasons.append(_mixed_away(snapshot, spec.limits))
    if labels:
        reasons.append(_label_coverage(trained, labels))
    return GateVerdict.of(GATE, [*reasons, *further])


def planted_reasons(planted: Mapping[str, int]) -> list[Reason]:
    """What is told of planted rows, where there are any: secret -> training rows that hold it."""
    rows = sum(planted.values())
    message = f"{len(planted):,} planted secrets stand in {rows:,} training rows, copies kept"
    return [_reason("planted-rows", message, True, secrets=len(planted), rows=rows)] if rows else []


def _reason(code: str, message: str, good: bool, **evidence: Any) -> Reason:
    return Reason(code=code, message=message, verdict="passed" if good else "failed", evidence=evidence)


def _leak(leakage: Mapping[str, Any], limits: Limits) -> Reason:
    """Held-out rows, then the questions of public test sets, by what the limits say of each kind of leak."""
    held = {f"{split} rows": leakage[split] for split in ("test", "valid") if leakage[split]["rows"]}
    held |= {f"questions of {path}": found for path, found in leakage.get("public", {}).items()}
    bounds = {"leak": limits.leak, "near_leak": limits.near_leak, "reworded_leak": limits.reworded_leak}
    good = all(_share(found, name) <= limit for found in held.values() for name, limit in bounds.items())
    told = [_leak_told(what, found) for what, found in held.items()]
    pairs = [pair for found in held.values() for pair in found["pairs"][:3]]
    first = "; ".join(f"{pair['row']} and {pair['train']} ({pair['match']})" for pair in pairs[:3])
    message = f"{' and '.join(told) or 'no held-out rows'} also stand in the training split" + (
        f": {first}" * bool(first)
    )
    return _reason("train-test-leak", message, good, limits=bounds, **leakage)


_BOUNDED: dict[str, tuple[Kind, ...]] = {
    "leak": ("verbatim", "folded", "reordered"),
    "near_leak": ("near", "contained"),
    "reworded_leak": ("reworded", "meaning"),
}
"""Limit -> the kinds of leak that it bounds."""


def _rows(found: Mapping[str, Any], limit: str) -> int:
    return sum(int(found["kinds"][kind] or 0) for kind in _BOUNDED[limit])


def _share(found: Mapping[str, Any], limit: str) -> float:
    return _rows(found, limit) / max(1, int(found["rows"]))


def _leak_told(what: str, found: Mapping[str, Any]) -> str:
    more = [
        f"{_rows(found, limit):,} more ({_share(found, limit):.1%}) {how}"
        for limit, how in (("near_leak", "nearly or inside a longer text"), ("reworded_leak", "in other words"))
        if _rows(found, limit)
    ]
    said = f"{_rows(found, 'leak'):,} of {found['rows']:,} {what} ({_share(found, 'leak'):.1%})"
    return ", ".join([said, *more]) + ("," if more else "")


def _dropped(snapshot: Snapshot, limits: Limits) -> Reason:
    lost: Counter[str] = Counter()
    for tally in snapshot.tallies:
        if not tally.step.startswith(CHOSEN_STEPS):
            lost.update(tally.dropped)
    total = lost.total()
    share = total / snapshot.rows_in
    message = f"{total:,} of {snapshot.rows_in:,} rows ({share:.1%}) were dropped, the limit is {limits.dropped:.1%}"
    return _reason(
        "dropped-rows", message, share <= limits.dropped, dropped=dict(sorted(lost.items())), limit=limits.dropped
    )


def _unknown_labels(snapshot: Snapshot, limits: Limits) -> Reason:
    rows = snapshot.dropped.get("unknown-label", 0)
    share = rows / snapshot.rows_in
    message = f"{rows:,} of {snapshot.rows_in:,} rows ({share:.1%}) had an answer outside the labels"
    good = share <= limits.unknown_labels
    return _reason("unknown-labels", message, good, rows=rows, limit=limits.unknown_labels)


def _empty_splits(spec: DataSpec, snapshot: Snapshot) -> Reason:
    """Training and test are always needed; validation only where the splitter was asked for one."""
    rows = snapshot.splits
    split_here = any(not use.settings.get("split") for use in spec.sources)
    needed: list[Split] = ["train", "test"]
    if split_here and spec.split.valid > 0:
        needed.append("valid")
    empty = [split for split in needed if not rows[split]]
    told = ", ".join(f"{split} {rows[split]:,}" for split in needed)
    message = f"no rows in {' and '.join(empty)} ({told})" if empty else f"every split has rows ({told})"
    return _reason("empty-split", message, not empty, empty=empty)


def _test_rows(snapshot: Snapshot, limits: Limits) -> Reason:
    rows = snapshot.splits["test"]
    enough = rows >= limits.test_rows
    message = f"{rows:,} test rows, at least {limits.test_rows:,} are wanted to judge by"
    evidence = {"rows": rows, "limit": limits.test_rows}
    verdict = "passed" if enough else "unknown"
    return Reason(code="too-few-test-rows", message=message, verdict=verdict, evidence=evidence)


def _mixed_away(snapshot: Snapshot, limits: Limits) -> Reason:
    """Shares are always reached, by leaving rows out; the question is whether too many had to go."""
    left_out = snapshot.dropped.get("over-share", 0)
    share = left_out / max(1, snapshot.splits["train"] + left_out)
    message = f"{left_out:,} training rows ({share:.1%}) were left out to reach the shares of data.mix"
    evidence = {"rows": left_out, "limit": limits.mixed_away}
    return _reason(
        "mixed-away", f"{message}, the limit is {limits.mixed_away:.1%}", share <= limits.mixed_away, **evidence
    )


def _label_coverage(trained: Collection[str], labels: Sequence[str]) -> Reason:
    missing = [label for label in labels if label not in trained]
    message = f"{len(labels) - len(missing)} of {len(labels)} labels stand in the training split"
    if missing:
        message += f"; missing: {', '.join(missing[:5])}"
    return _reason("label-coverage", message, not missing, missing=missing)
