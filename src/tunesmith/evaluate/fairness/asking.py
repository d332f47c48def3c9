"""What fairness asks the expert beyond the held-out rows: the same questions about somebody else, and BBQ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.events import Events
from tunesmith.core.protocols import LikelihoodAnswerer
from tunesmith.core.types import Answer, Example, Measure, Profile
from tunesmith.evaluate.asking import ROWS_AT_ONCE, chunks, sample, token_limit, told
from tunesmith.evaluate.fairness.bbq import Item, bbq_items, bbq_measures, chosen, conversation
from tunesmith.evaluate.fairness.swap import Swap, own_table, swapped, swaps_for
from tunesmith.evaluate.rows import Row
from tunesmith.evaluate.scorers.exact_match import normalised
from tunesmith.evaluate.scorers.label import find_label
from tunesmith.evaluate.spec import MEASURES, EvaluateSpec
from tunesmith.evaluate.statistics import Sampling, share_interval

_BBQ_AT_ONCE = 16
"""Its contexts are long and share nothing: a call with more of them is no faster, and nothing is told meanwhile."""


@dataclass(frozen=True)
class FairnessAsked:
    """What was asked and said.

    Args:
        flips: (attribute, example, the question about somebody else, the answer to it).
        bbq: item and the place of the answer that was chosen.
        bbq_base: the same of the base, see `with_base`.
        swaps: attribute -> the tables by which it was swapped.
        notes: what could not be asked.
    """

    flips: tuple[tuple[str, Example, str, Answer], ...] = ()
    bbq: tuple[tuple[Item, int | None], ...] = ()
    bbq_base: tuple[tuple[Item, int | None], ...] = ()
    swaps: Mapping[str, Sequence[Swap]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """How to ask: the section, the profile, where to tell progress, the seed, and the project folder."""

    spec: EvaluateSpec
    profile: Profile
    events: Events
    stage: str
    seed: int
    root: Path


def ask_fairness(answerer: LikelihoodAnswerer, examples: Sequence[Example], how: Question) -> FairnessAsked:
    """Ask held-out questions with each protected attribute swapped, and the files of BBQ that the section names.

    Raises:
        UserError: a file that the section names is missing or has another form.
    """
    flips: list[tuple[str, Example, str, Answer]] = []
    notes: list[str] = []
    spec = how.spec.fairness
    own = own_table(spec.swaps, how.root)
    tables: dict[str, list[Swap]] = {}
    for attribute in how.profile.protect if spec.swap_rows else ():
        swaps = tables[attribute] = swaps_for(attribute, how.profile.languages, own=own)
        changed = [(e, new) for e in examples if (new := swapped(e.prompt, swaps)) is not None] if swaps else []
        if not changed:
            notes.append(f"no question names '{attribute}' by a word of the swap tables: no counterfactual was asked")
            continue
        few = {e.id for e in sample([e for e, _ in changed], spec.swap_rows, seed=how.seed)}
        asked = [(example, new) for example, new in changed if example.id in few]
        parts, what = chunks(asked, ROWS_AT_ONCE), f"questions with {attribute} swapped"
        for part in told(parts, how.events, how.stage, what, len(asked), asked=answerer):
            answers = answerer.answer([new for _, new in part], at_most_tokens=token_limit(how.spec, how.profile))
            flips += [(attribute, e, new[-1].content, a) for (e, new), a in zip(part, answers, strict=True)]
    return FairnessAsked(tuple(flips), tuple(ask_bbq(answerer, how)), swaps=tables, notes=tuple(notes))


def ask_bbq(answerer: LikelihoodAnswerer, how: Question) -> list[tuple[Item, int | None]]:
    """Ask the files of BBQ that the section names: each item with the place of the answer that was chosen.

    Raises:
        UserError: a file is missing or has another form.
    """
    spec = how.spec.fairness
    items = [item for path in spec.bbq for item in bbq_items(path, how.root, at_most=spec.bbq_rows)]
    found: list[tuple[Item, int | None]] = []
    groups = chunks(items, _BBQ_AT_ONCE)
    for chunk in told(groups, how.events, how.stage, "questions of BBQ", len(items), asked=answerer):
        rows = answerer.likelihood([conversation(item) for item in chunk], [list(item.options) for item in chunk])
        found += [(item, chosen(row)) for item, row in zip(chunk, rows, strict=True)]
    return found


def bbq_records(found: Sequence[tuple[Item, int | None]]) -> list[dict[str, Any]]:
    """What was chosen, as JSON values, for `with_base`."""
    return [{"id": item.id, "chosen": choice} for item, choice in found]


def with_base(asked: FairnessAsked, records: Sequence[Mapping[str, Any]]) -> FairnessAsked:
    """With what the base chose on the items that the expert was asked; an item that it was not asked is left out."""
    chosen_by_base = {record["id"]: record["chosen"] for record in records}
    pairs = tuple((item, chosen_by_base[item.id]) for item, _ in asked.bbq if item.id in chosen_by_base)
    return replace(asked, bbq_base=pairs)


def asked_measures(
    asked: FairnessAsked, rows: Sequence[Row], profile: Profile, sampling: Sampling
) -> tuple[list[Measure], list[dict[str, Any]]]:
    """`counterfactual_flips` (over all and per attribute) and BBQ's measures; and the flips themselves, as JSON values.

    An answer flips when it names another label; of free text, when it is another text after normalising, and also
    other than the text that one would get by swapping the words in the answer.
    """
    before = {row.example.id: row.answer for row in rows}
    records: list[dict[str, Any]] = [
        {
            "attribute": attribute,
            "id": example.id,
            "question": question,
            "before": before[example.id].text,
            "after": answer.text,
            "flipped": _flipped(before[example.id], answer, profile, asked.swaps.get(attribute, ())),
            "cluster": example.group or example.id,
        }
        for attribute, example, question, answer in asked.flips
        if example.id in before and "error" not in (answer.stop, before[example.id].stop)
    ]
    lost = len(asked.flips) - len(records)
    measures = [
        _flips([r for r in records if attribute in ("all", r["attribute"])], attribute, lost, sampling)
        for attribute in dict.fromkeys(("all", *(r["attribute"] for r in records)))
        if asked.swaps
    ]
    bbq = [*bbq_measures(asked.bbq, sampling), *bbq_measures(asked.bbq_base, sampling, model="base")]
    return [*measures, *bbq], [r for r in records if r["flipped"]]


def _flipped(before: Answer, after: Answer, profile: Profile, swaps: Sequence[Swap]) -> bool:
    if profile.labels:
        return find_label(before.text, profile.labels) != find_label(after.text, profile.labels)
    other = before.text
    for swap in swaps:
        other = swap(other)
    return normalised(after.text) not in (normalised(before.text), normalised(other))


def _flips(records: Sequence[dict[str, Any]], attribute: str, lost: int, sampling: Sampling) -> Measure:
    if not records:
        why = "none: no question could be asked about somebody else"
        return Measure(name="counterfactual_flips", model="expert", value=None, n=0, unscored=lost, method=why)
    values = np.array([float(r["flipped"]) for r in records])
    interval = share_interval(values, [r["cluster"] for r in records], level=sampling.level)
    return Measure(
        name="counterfactual_flips",
        model="expert",
        value=float(values.mean()),
        low=interval.low,
        high=interval.high,
        level=sampling.level,
        n=len(records),
        unscored=lost,
        slice="all" if attribute == "all" else f"protect={attribute}",
        method=interval.method,
        unit=MEASURES["counterfactual_flips"].unit,
    )
