"""Gate G5: do adapter, merged, quantised and served expert answer alike, and if not, where does the difference arise?

Compared are witnesses (`models.witness`). Checked in the order in which a fault would explain those after it: chat
template, tokeniser, tokens in, end of turn, and then the weights by their likelihoods. A difference of weights is
compared with the expert's own at other strengths of its adapter: left out, applied twice, merged at another scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tunesmith.core.types import Example, GateVerdict, Message, Reason, VerdictName
from tunesmith.models.witness import Said, Witness

Cause = Literal[
    "template",
    "tokeniser",
    "end-of-turn",
    "adapter-not-applied",
    "adapter-twice",
    "merge-scale",
    "quantisation",
    "weights",
    "answers",
]

LIMITS = {"adapter": 1e-3, "merged": 1e-3, "quantised": 0.05, "served": 0.05}
"""Mean distance of log-probabilities in nats that a form may have: float32 forms differ by rounding, others by more."""

FACTORS = (0.0, 2.0, 0.25, 0.5, 0.75, 1.25, 1.5, 3.0, 4.0, 8.0, 16.0)
"""Strengths of the adapter that a difference is compared with; 1 is the expert as it was measured."""

_SAYS: dict[Cause, str] = {
    "adapter-not-applied": "it answers as the base model does: the adapter is not applied",
    "adapter-twice": "it answers as if the adapter were applied twice",
    "quantisation": "the quantisation is too coarse",
    "weights": "its weights are others, and no strength of the adapter explains it",
}

_TURNS = (
    (("user", "What is the capital of France? Answer with one word."),),
    (("system", "You answer briefly."), ("user", "病人发烧39.5度，应该怎么办？")),
    (("user", "Say 12,345.60 in words."), ("assistant", "Twelve thousand"), ("user", "  Go on,\n\nplease…  ")),
)
"""Conversations of every shape: without and with a system turn, with an earlier answer; other scripts and spaces."""

Scales = Callable[[float], Witness]
"""Factor -> the expert's witness with its adapter so many times as strong; 0: the base."""


def probes(rows: Sequence[Example], *, at_most: int = 12) -> list[tuple[Message, ...]]:
    """What all forms are asked: the prompts of the first rows, and three conversations of other shapes."""
    fixed = [tuple(Message.model_validate({"role": role, "content": text}) for role, text in turns) for turns in _TURNS]
    return [*(row.prompt for row in rows[:at_most]), *fixed]


@dataclass(frozen=True)
class Distance:
    """How far two witnesses are apart, on the steps where both said the same before.

    Args:
        nats: mean over steps of the differences of log-probability, weighted by the first one's probabilities.
        worst: the largest of a step.
        steps: steps compared; 0: at least one of them tells no likelihoods.
        alike: probes with the same answer; probes: their number.
    """

    nats: float
    worst: float
    steps: int
    alike: int
    probes: int


_PART = "\ufffd"
"""What part of a character reads as."""


def distance(first: Witness, second: Witness) -> Distance:
    """How far `second` is from `first`."""
    ends = {said.chosen[-1] for said in first.said if said.ended and said.chosen}
    end = ends.pop() if len(ends) == 1 else ""
    steps = [value for a, b in zip(first.said, second.said, strict=True) for value in _steps_apart(a, b, end=end)]
    alike = sum(a.text.strip() == b.text.strip() for a, b in zip(first.said, second.said, strict=True))
    mean = sum(steps) / len(steps) if steps else math.nan
    return Distance(mean, max(steps, default=math.nan), len(steps), alike, len(first.said))


def _steps_apart(first: Said, second: Said, *, end: str) -> list[float]:
    """Per step, up to the first at which the two chose differently: sum of p |log p - log q| over the first's tokens.

    A token that the second does not list is taken at its smallest listed log-probability, which is no more than it is.
    Servers write special tokens as nothing, and hold the parts of a character back until they can tell it as one token:
    an unnamed token is the `end` of the turn, and where such a character begins the steps are no longer the same ones.
    """
    found = []
    for place, (p, listed) in enumerate(zip(first.likely, second.likely, strict=False)):
        if not p or not listed:
            break
        q = {token or end: log for token, log in listed.items()}
        ours, theirs = ("".join(said.chosen[place : place + 1]) or end for said in (first, second))
        if ours != theirs and _PART in ours:
            break
        floor = min(q.values())
        found.append(sum(math.exp(log) * abs(log - q.get(token, min(floor, log))) for token, log in p.items()))
        if ours != theirs:
            break
    return found


def parity_gate(
    reference: Witness,
    others: Sequence[Witness],
    *,
    scales: Scales | None = None,
    limits: dict[str, float] | None = None,
) -> GateVerdict:
    """G5 over all forms.

    Args:
        reference: the expert as it was measured.
        others: its other forms, on the same probes.
        scales: the expert at other strengths of its adapter; None: it has none.
        limits: form -> most nats apart, beside or instead of `LIMITS`.
    """
    known = {**LIMITS, **(limits or {})}
    reasons = [
        reason
        for other in others
        for reason in parity(reference, other, scales=scales, limit=known.get(other.form, LIMITS["served"]))
    ]
    return GateVerdict.of("G5", reasons)


def parity(reference: Witness, other: Witness, *, scales: Scales | None = None, limit: float) -> list[Reason]:
    """Why `other` is or is not the same as `reference`; a failed reason has the cause in its evidence.

    Args:
        reference: the expert as it was measured.
        other: another form of it, on the same probes.
        scales: the expert at other strengths of its adapter.
        limit: most nats apart, see `Distance.nats`.
    """
    template = _template(reference, other)
    reasons = [*([template] if template else []), _tokens(reference, other)]
    same_in = all(reason.verdict != "failed" for reason in reasons)
    reasons.append(_stops(reference, other, same_in=same_in))
    if not same_in:
        return reasons  # other tokens go in: words and likelihoods say nothing of the weights
    return [*reasons, _weights(reference, other, scales, limit)]


def causes(reasons: Sequence[Reason]) -> list[Cause]:
    """The causes that failed reasons name, in order, each once."""
    return list(dict.fromkeys(r.evidence["cause"] for r in reasons if r.verdict == "failed"))


def _reason(form: str, what: str, message: str, verdict: VerdictName, **evidence: Any) -> Reason:
    return Reason(
        code=f"parity-{what}", message=f"{form}: {message}", verdict=verdict, evidence={"form": form, **evidence}
    )


def _template(reference: Witness, other: Witness) -> Reason | None:
    if not other.template or not reference.template:
        return None
    hashes = {"expected": reference.template, "found": other.template}
    if other.template == reference.template:
        return _reason(other.form, "template", f"chat template {other.template[:12]}, as measured", "passed", **hashes)
    if other.spelled == reference.spelled and _same_tokens(reference, other):
        text = "the chat template's digest is another, but every probe gives the same tokens"
        return _reason(other.form, "template", text, "passed", **hashes)
    text = f"another chat template: {other.template[:12]} instead of {reference.template[:12]}"
    return _reason(other.form, "template", text, "failed", cause="template", **hashes)


def _same_tokens(reference: Witness, other: Witness) -> bool:
    return all(a.prompt_ids == b.prompt_ids for a, b in zip(reference.said, other.said, strict=True))


def _tokens(reference: Witness, other: Witness) -> Reason:
    """Whether the same tokens go in: by their ids where they are told, by their number where that is told."""
    if other.spelled and other.spelled != reference.spelled:
        differ = sum(a != b for a, b in zip(reference.spelled, other.spelled, strict=True))
        text = f"another tokeniser: {differ} of {len(reference.spelled)} texts give other tokens"
        return _reason(other.form, "tokens", text, "failed", cause="tokeniser", texts=differ)
    pairs = list(zip(reference.said, other.said, strict=True))
    if all(b.prompt_ids is not None for _, b in pairs):
        differ = sum(a.prompt_ids != b.prompt_ids for a, b in pairs)
    elif all(b.prompt_tokens for _, b in pairs):
        differ = sum(a.prompt_tokens != b.prompt_tokens for a, b in pairs)
    else:
        return _reason(other.form, "tokens", "how many tokens go in is not told", "unknown")
    if not differ:
        told = "ids" if pairs and pairs[0][1].prompt_ids is not None else "number"
        text = f"the same tokens go in on all {len(pairs)} probes, by their {told}"
        return _reason(other.form, "tokens", text, "passed", probes=len(pairs))
    why, cause = _other_tokens(reference, other)
    text = f"other tokens go in on {differ} of {len(pairs)} probes: {why}"
    return _reason(other.form, "tokens", text, "failed", cause=cause, probes=differ)


def _other_tokens(reference: Witness, other: Witness) -> tuple[str, Cause]:
    """Why other tokens go in: a template adds as many to all conversations of so many turns, a tokeniser does not."""
    if other.spelled:
        return "single texts give the same ones, so another chat template", "template"
    more: dict[int, set[int]] = {}
    for a, b in zip(reference.said, other.said, strict=True):
        more.setdefault(a.turns, set()).add(b.prompt_tokens - a.prompt_tokens)
    if all(len(some) == 1 for some in more.values()):
        return "as many more or fewer whatever the text, so another chat template", "template"
    return "their number depends on the text, so another tokeniser", "tokeniser"


def _stops(reference: Witness, other: Witness, *, same_in: bool) -> Reason:
    """Whether it ends its turns: by its stop tokens, and by probes that the expert ends and it runs on with."""
    pairs = zip(reference.said, other.said, strict=True)
    ended = [(a, b) for a, b in pairs if a.ended] if same_in else []
    on = sum(not b.ended and b.text.startswith(a.text) for a, b in ended)
    lost = sorted(set(reference.stops) - set(other.stops)) if other.stops else []
    if on or lost:
        text = f"the end of turn is lost: {on} of {len(ended)} probes that the expert ends run on"
        text += f"; tokens {lost} end no answer" if lost else ""
        return _reason(other.form, "end", text, "failed", cause="end-of-turn", probes=on, stops_lost=lost)
    if not ended and not other.stops:
        text = "whether it ends its turns cannot be told: no probe shows it"
        return _reason(other.form, "end", text, "unknown")
    return _reason(other.form, "end", "it ends its turns where the expert does", "passed", probes=len(ended))


def _weights(reference: Witness, other: Witness, scales: Scales | None, limit: float) -> Reason:
    found = distance(reference, other)
    told: dict[str, Any] = {"limit": limit, "alike": found.alike, "probes": found.probes, "steps": found.steps}
    reach = distance(reference, scales(0.0)) if scales else None
    if not found.steps:
        return _by_answers(other.form, found, reach, told)
    told |= {"nats": found.nats, "worst": found.worst, "reach": reach.nats if reach else None}
    words = (
        f"likelihoods {found.nats:.2g} nats apart (at most {limit:g}), {found.alike} of {found.probes} answers alike"
    )
    if found.nats <= limit:
        if reach is not None and reach.nats <= 2 * found.nats + 1e-6:
            text = (
                f"{words}; the adapter itself moves them by {reach.nats:.2g} only: whether it is applied cannot be told"
            )
            return _reason(other.form, "weights", text, "unknown", **told)
        return _reason(other.form, "weights", words, "passed", **told)
    cause, factor = _explained(other, found, scales)
    said = _SAYS.get(cause, f"the adapter is in force {factor} times, not once: it was merged at another scale")
    return _reason(other.form, "weights", f"{words}: {said}", "failed", cause=cause, factor=factor, **told)


def _explained(other: Witness, found: Distance, scales: Scales | None) -> tuple[Cause, float | None]:
    """The strength of the adapter that comes nearest; where none comes near, the form says what is left."""
    rest: Cause = "quantisation" if other.form.startswith("quantised") else "weights"
    if scales is None:
        return rest, None
    nats = {factor: distance(scales(factor), other).nats for factor in FACTORS}
    best = min(nats, key=lambda factor: nats[factor])
    if not nats[best] < found.nats / 2:
        return rest, None
    named: dict[float, Cause] = {0.0: "adapter-not-applied", 2.0: "adapter-twice"}
    return named.get(best, "merge-scale"), best


def _by_answers(form: str, found: Distance, reach: Distance | None, told: dict[str, Any]) -> Reason:
    """Where no likelihoods are told: all answers must be alike, and the base's must not be."""
    text = f"{found.alike} of {found.probes} answers are alike (no likelihoods are told)"
    if found.alike < found.probes:
        return _reason(form, "weights", text, "failed", cause="answers", **told)
    if reach is not None and reach.alike == reach.probes:
        text += ", and the base's are too: whether the adapter is applied cannot be told"
        return _reason(form, "weights", text, "unknown", **told)
    return _reason(form, "weights", text, "passed", **told)
