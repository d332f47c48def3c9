"""The reasons of G0, G1 and G2 in Chinese, said anew from their evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Texts = Mapping[str, str]
Evidence = Mapping[str, Any]

_KINDS = {
    "leak": ("verbatim", "folded", "reordered"),
    "near_leak": ("near", "contained"),
    "reworded_leak": ("reworded",),
}
"""Limit of G1 -> the kinds of leak that are counted against it."""


_WARNINGS = ("pad-is-end-of-turn", "eos-is-not-end-of-turn", "no-end-of-turn")
"""Peculiarities of a chat template, told without figures."""


def early_reason(code: str, evidence: Evidence, texts: Texts) -> str | None:
    """One reason of the gates before training as a sentence; None where it is not known or its evidence is another."""
    try:
        if code in _SAID:
            return _SAID[code](evidence, texts)
        if f"say.gate.{code}" in texts and evidence.keys() >= {"rows", "of", "share", "limit"}:
            what = texts[f"say.gate.{code}"]
            return texts["say.gate.share"].format(**_numbers(evidence), what=what)
        if code in _WARNINGS:
            return texts[f"say.gate.{code}"]
    except (KeyError, TypeError, ValueError):
        pass
    return None


def _numbers(evidence: Evidence) -> dict[str, str]:
    shares = {name: f"{evidence[name]:.1%}" for name in ("share", "limit")}
    return {**{name: f"{evidence[name]:,}" for name in ("rows", "of")}, **shares}


def _memory(evidence: Evidence, texts: Texts) -> str:
    return texts["say.gate.memory"].format(need=f"{evidence['memory_gb']:.1f}", limit=f"{evidence['limit_gb']:.1f}")


def _time(evidence: Evidence, texts: Texts) -> str:
    text = texts["say.gate.time"].format(minutes=f"{evidence['minutes']:.1f}")
    limit = evidence["limit_minutes"]
    return text + (texts["say.gate.no_limit"] if limit is None else texts["say.gate.budget"].format(limit=f"{limit:g}"))


def _disk(evidence: Evidence, texts: Texts) -> str:
    return texts["say.gate.disk"].format(need=f"{evidence['disk_gb']:.1f}", free=f"{evidence['free_gb']:.1f}")


def _licence(evidence: Evidence, texts: Texts) -> str:
    accepted = "、".join(evidence["accepted"]) or texts["say.gate.any_licence"]
    licence = evidence["licence"] or texts["say.gate.no_licence"]
    return texts["say.gate.licence"].format(licence=licence, accepted=accepted)


def _context(evidence: Evidence, texts: Texts) -> str:
    return texts["say.gate.context"].format(rows=f"{evidence['context_tokens']:,}", model=f"{evidence['model']:,}")


def _leak(evidence: Evidence, texts: Texts) -> str:
    held = {texts[f"say.gate.{split}"]: evidence[split] for split in ("test", "valid") if evidence[split]["rows"]}
    held |= evidence.get("public", {})
    counts = {
        what: {limit: sum(found["kinds"][kind] or 0 for kind in kinds) for limit, kinds in _KINDS.items()}
        for what, found in held.items()
    }
    told = [
        texts["say.gate.leaked"].format(what=what, rows=f"{held[what]['rows']:,}", **number)
        for what, number in counts.items()
    ]
    return "；".join(told) or texts["say.gate.no_held_out"]


def _dropped(evidence: Evidence, texts: Texts) -> str:
    lost = evidence["dropped"]
    text = texts["say.gate.dropped-rows"].format(rows=f"{sum(lost.values()):,}", limit=f"{evidence['limit']:.1%}")
    return text + (f"（{'、'.join(f'{why} {n:,}' for why, n in lost.items())}）" if lost else "")


def _unknown_labels(evidence: Evidence, texts: Texts) -> str:
    limit = f"{evidence['limit']:.1%}"
    return texts["say.gate.unknown-labels"].format(rows=f"{evidence['rows']:,}", limit=limit)


def _empty_split(evidence: Evidence, texts: Texts) -> str:
    empty = "、".join(evidence["empty"])
    return texts["say.gate.some_empty"].format(empty=empty) if empty else texts["say.gate.none_empty"]


def _test_rows(evidence: Evidence, texts: Texts) -> str:
    return texts["say.gate.too-few-test-rows"].format(rows=f"{evidence['rows']:,}", limit=f"{evidence['limit']:,}")


def _coverage(evidence: Evidence, texts: Texts) -> str:
    missing = "、".join(evidence["missing"])
    return texts["say.gate.missing"].format(missing=missing) if missing else texts["say.gate.none_missing"]


def _planted(evidence: Evidence, texts: Texts) -> str:
    numbers = {name: f"{evidence[name]:,}" for name in ("secrets", "rows")}
    return texts["say.gate.planted-rows"].format(**numbers)


_SAID: dict[str, Callable[[Evidence, Texts], str]] = {
    "memory": _memory,
    "time": _time,
    "disk": _disk,
    "licence": _licence,
    "context": _context,
    "train-test-leak": _leak,
    "dropped-rows": _dropped,
    "unknown-labels": _unknown_labels,
    "empty-split": _empty_split,
    "too-few-test-rows": _test_rows,
    "label-coverage": _coverage,
    "planted-rows": _planted,
}
