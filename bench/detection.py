"""Questions from outside the domain: how well each detector and all together tell near and far ones, what alarms cost.

Every domain is divided by group into questions to learn from, to calibrate on and to test; near are other classes or
the nearest other domain, far all other domains, of which the worst counts. Detectors and layers were chosen on other
chapters and domains, and on other halves of sets, than the ones that are told here. States of the base, in bfloat16,
each question alone behind the template's own system turn; read once and kept in `.bench/detection`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from bench import _process, _questions
from bench._frame import Asked, Column, Outcome
from bench._questions import Question

from tunesmith.core.files import atomic_file
from tunesmith.core.ids import content_id
from tunesmith.evaluate.memory.membership import area

if TYPE_CHECKING:
    from tunesmith.evaluate.detecting import Fitted
    from tunesmith.models.chat import Chat
    from tunesmith.models.features import Features, Floats

FOLDER = _process.ROOT / ".bench" / "detection"
GENERAL = "general"
ARRAYS = ("states_ND", "nats_N", "energy_N", "base_nats_N")
COUNTS = {
    "icd": 2200, "bbq age": 560, "bbq religion": 560, "pubmedqa": 400, "medqa": 330, "gsm8k": 700, "tatqa": 700,
    "huatuo": 520, "alpaca zh": 220, "alpaca en": 500, "credit": 450, "machines": 400, GENERAL: 10_000,
}  # fmt: skip
"""Questions of each set; a forward pass of the base for each."""

CHOSEN_ON = ("bbq religion", "tatqa", "huatuo", "gsm8k", "alpaca en")
"""Sets of which one half of the groups was a domain when choices were made, as were other chapters of ICD."""

ALONE = ("perplexity", "energy")
"""Detectors that are told beside the usual ones; the likelihood ratio needs an expert."""

MOST_TOKENS = {"pubmedqa": 100, "medqa": 100}
"""Of each question only the last so many are read; 200 elsewhere."""

SHARES = (0.5, 0.2, 0.3)
RESPLITS = 1000
RATE = DELTA = 0.05
NEAR = {
    "icd": ("icd near",),
    "bbq age": ("bbq religion",),
    "pubmedqa": ("medqa",),
    "medqa": ("pubmedqa",),
    "gsm8k": ("tatqa",),
    "credit": ("machines",),
    "machines": ("credit",),
}
"""Domain -> the sets that are near it."""


@dataclass(frozen=True)
class Domain:
    """Features of the parts of one domain and of what is outside it."""

    name: str
    seen: Features
    calibration: Features
    test: Features
    near: Features
    far: dict[str, Features]


def run(asked: Asked) -> Outcome:
    """One line a domain for the usual detectors together, then one for every detector alone."""
    outcome = Outcome(
        tuple(
            Column(name, head, digits, compared=False)
            for name, head, digits in (
                ("near", "near", 3), ("low", "from", 3), ("high", "to", 3), ("far", "far, worst", 3),
                ("alarms", "alarms", 3), ("kept", "resplits kept", 3), ("rows", "rows", 0),
            )
        )
    )  # fmt: skip
    sets = {name: _read(name, asked) for name in COUNTS}
    general = sets.pop(GENERAL)[1]
    for domain in _domains(sets, asked):
        _tell(domain, general, outcome)
    return outcome


def _tell(domain: Domain, general: Features, outcome: Outcome) -> None:
    from tunesmith.evaluate.detecting import USUAL, auroc, build, fit

    fitted = fit(domain.seen, general, domain.calibration, uses=USUAL, false_alarms=RATE, delta=DELTA)
    parts = {"test": domain.test, "near": domain.near, "calibration": domain.calibration, **domain.far}
    scores = {name: fitted.scores(some) for name, some in parts.items()}
    for use in ALONE:
        state = build(use).fit(domain.seen, general)
        for name, some in parts.items():
            scores[name][use] = build(use).score(state, some)
    for name in ("fused", *USUAL, *ALONE):
        test, near = scores["test"][name], scores["near"][name]
        far = {other: auroc(test, scores[other][name]) for other in domain.far}
        told = area(near, test)
        low, high = told.interval(0.95)
        figures = {"near": told.value, "low": low, "high": high, "far": min(far.values())}
        if name == "fused":
            figures |= {"alarms": float(np.mean(test > fitted.threshold)), "rows": len(test) + len(near)}
            figures["kept"] = _kept(np.concatenate([scores["calibration"][name], test]), len(domain.calibration))
            outcome.notes.append(_noted(domain, fitted, far))
        outcome.add(domain.name if name == "fused" else f"  {domain.name}, {name}", figures)
    print(f"  {outcome.notes[-1]}", flush=True)


def _noted(domain: Domain, fitted: Fitted, far: dict[str, float]) -> str:
    seen = domain.seen
    learnt = f"{len(seen)} learnt from, words of {len(seen.more_ids)} more, {fitted.calibrated_on} calibrated on"
    tested = f"{len(domain.test)} tested, {len(domain.near)} near"
    worst = ", ".join(f"{name} {far[name]:.4f}" for name in sorted(far, key=far.__getitem__)[:3])
    weights = ", ".join(f"{use} {weight:.2f}" for use, weight in fitted.weights.items())
    return f"{domain.name}: {learnt}, {tested}; far: {worst}; weights {weights}"


def _kept(scores: Floats, calibrated: int) -> float:
    """Share of resplits in which at most `RATE` of the questions are alarmed, over all questions of the domain.

    Calibration questions are drawn with replacement from all of them, which are then the population: its share of
    alarms is known exactly.
    """
    from tunesmith.evaluate.thresholds import sure_threshold

    dice = np.random.default_rng(0)
    drawn = (dice.choice(scores, calibrated) for _ in range(RESPLITS))
    return float(np.mean([np.mean(scores > sure_threshold(some, RATE, DELTA)) <= RATE for some in drawn]))


def _domains(sets: dict[str, tuple[list[Question], Features]], asked: Asked) -> Iterator[Domain]:
    """The domains that are told, each with what is near and far; what was chosen on is never tested on."""
    from tunesmith.models.features import Features

    told = {name: _part(*both, keep=_told(name, both[0])) for name, both in sets.items()}
    inside, near_it = _chapters(sets["icd"][0])
    told["icd near"] = _part(*sets["icd"], keep=[row.kind in near_it for row in sets["icd"][0]])
    told["icd"] = sets["icd"] = _part(*sets["icd"], keep=[row.kind in inside for row in sets["icd"][0]])
    for name, near in NEAR.items():
        if asked.only and not any(part in name for part in asked.only):
            continue
        every = [row for row in _questions.questions(name) if name != "icd" or row.kind in inside]
        seen, calibration, test = ({row.text for row in part} for part in _questions.parts(every, SHARES))
        rows, read = sets[name]
        learnt, calibrated = (
            _part(rows, read, keep=[row.text in part for row in rows])[1] for part in (seen, calibration)
        )
        new_rows, new = told[name]
        unread = seen - {row.text for row in rows}
        yield Domain(
            name,
            replace(learnt, more_ids=_words([row.text for row in every if row.text in unread], name, asked)),
            calibrated,
            _part(new_rows, new, keep=[row.text in test for row in new_rows])[1],
            Features.joined([told[other][1] for other in near]),
            {other: both[1] for other, both in told.items() if other not in (name, *near, "icd near")},
        )


def _words(texts: Sequence[str], name: str, asked: Asked) -> tuple[tuple[int, ...], ...]:
    from tunesmith.core.types import Message
    from tunesmith.models.features import own_tokens

    chat, prompts = _chat(asked.model), [(Message(role="user", content=text),) for text in texts]
    return own_tokens(chat, prompts, prefix=_prefix(chat), at_most_tokens=MOST_TOKENS.get(name, 200))


@cache
def _chat(model: Path) -> Chat:
    from tunesmith.models.chat import Chat

    return Chat.of(model)


def _prefix(chat: Chat) -> list[int]:
    """What the template puts before every question that stands alone."""
    from tunesmith.core.types import Message
    from tunesmith.models.features import common_start

    return common_start(chat, [(Message(role="user", content=text),) for text in ("apple", "What?")])


def _told(name: str, rows: Sequence[Question]) -> list[bool]:
    """Which rows are told: of the sets that were domains when choices were made, the groups that were kept out."""
    if name not in CHOSEN_ON:
        return [True] * len(rows)
    keys = [row.kind if name.startswith("bbq") else row.group for row in rows]  # of BBQ whole templates were left out
    return [int(_questions.place(f"half{key}").hex()[:12], 16) % 2 == 1 for key in keys]


def _chapters(rows: Sequence[Question]) -> tuple[list[str], list[str]]:
    """Chapters of the domain and chapters near it, out of every second chapter by size; the others were chosen on."""
    every = [kind for kind, _ in Counter(row.kind for row in rows).most_common()][1::2]
    return every[0::2], every[1::2]


def _part(rows: Sequence[Question], features: Features, *, keep: Sequence[bool]) -> tuple[list[Question], Features]:
    at = [n for n, kept in enumerate(keep) if kept]
    return [rows[n] for n in at], features.take(at)


def _read(name: str, asked: Asked) -> tuple[list[Question], Features]:
    """Questions of a set and their features, from the disk where they were read before."""
    from tunesmith.models.features import LAYERS, Features

    if name == GENERAL:
        from tunesmith.evaluate.detection import general_texts

        rows = [Question(text, GENERAL, text) for text in general_texts()]
    else:
        rows = _questions.questions(name)[: COUNTS[name]]
    digest = content_id("set", [str(asked.model), MOST_TOKENS.get(name, 200), LAYERS, [row.text for row in rows]])
    file = FOLDER / f"{name.replace(' ', '-')}-{digest}.npz"
    if not file.is_file():
        _write(file, rows, asked, at_most_tokens=MOST_TOKENS.get(name, 200))
    with np.load(file) as kept:
        lengths = np.cumsum(kept["lengths"])[:-1]
        ids = tuple(tuple(own.tolist()) for own in np.split(kept["ids"], lengths))
        arrays: Any = {key: kept[key].astype(np.float64) for key in ARRAYS}
        return rows, Features(**arrays, ids=ids)


def _write(file: Path, rows: Sequence[Question], asked: Asked, *, at_most_tokens: int) -> None:
    import torch

    from tunesmith.core.types import Message
    from tunesmith.models.features import features_of
    from tunesmith.models.load import load_model

    model, chat = load_model(asked.model, dtype=torch.bfloat16), _chat(asked.model)
    torch.set_num_threads(asked.threads)
    prompts = [(Message(role="user", content=row.text),) for row in rows]
    print(f"  {file.stem}: reading {len(rows)} questions", flush=True)
    found = features_of(model, chat, prompts, prefix=_prefix(chat), at_most_tokens=at_most_tokens)
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(file) as out:
        np.savez(
            out,
            **{key: getattr(found, key).astype(np.float32) for key in ARRAYS},
            lengths=np.array([len(own) for own in found.ids]),
            ids=np.concatenate([np.array(own, dtype=np.int64) for own in found.ids]),
        )
