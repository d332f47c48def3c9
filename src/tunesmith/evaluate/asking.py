"""Asking a model everything that its judgement rests on, and keeping what it said.

Base and expert are asked by the same code with the same rows and settings: whatever this does wrong, it does to both.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tunesmith.core.events import Events
from tunesmith.core.examples import read_examples
from tunesmith.core.protocols import Answerer, LikelihoodAnswerer
from tunesmith.core.types import Answer, Example, Likelihood, Profile, Snapshot
from tunesmith.evaluate.rows import read_lines, write_lines
from tunesmith.evaluate.spec import EvaluateSpec

ROWS_AT_ONCE = 128
T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """What one model said.

    Args:
        free: example id -> the answer it wrote.
        options: example id -> likelihood of each label of the profile, in their order.
        alone: example id -> the answer to a request of its own, for latency.
        notes: what could not be asked, for the report.
    """

    free: dict[str, Answer]
    options: dict[str, list[Likelihood]] = field(default_factory=dict)
    alone: dict[str, Answer] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Keep it as JSON lines; likelihoods that are not finite become null."""
        records: list[dict[str, Any]] = [
            {"kind": kind, "id": key, "answer": answer.model_dump(mode="json")}
            for kind, answers in (("free", self.free), ("alone", self.alone))
            for key, answer in answers.items()
        ]
        for key, likelihoods in self.options.items():
            pairs = [[x.log_probability if math.isfinite(x.log_probability) else None, x.tokens] for x in likelihoods]
            records.append({"kind": "options", "id": key, "likelihoods": pairs})
        records += [{"kind": "note", "id": "", "note": note} for note in self.notes]
        write_lines(path, records)

    @staticmethod
    def read(path: Path) -> Asked:
        """What `write` wrote."""
        records = read_lines(path)

        def answers(kind: str) -> dict[str, Answer]:
            return {r["id"]: Answer.model_validate(r["answer"]) for r in records if r["kind"] == kind}

        options = {
            r["id"]: [Likelihood(log_probability=-math.inf if p is None else p, tokens=n) for p, n in r["likelihoods"]]
            for r in records
            if r["kind"] == "options"
        }
        notes = tuple(r["note"] for r in records if r["kind"] == "note")
        return Asked(answers("free"), options, answers("alone"), notes)


def held_out(snapshot: Snapshot, spec: EvaluateSpec, *, seed: int) -> tuple[list[Example], int]:
    """The test rows to ask, and how many are left out by `at_most_rows`.

    Which rows are left out depends on their ids and the seed only, so base and expert get the same ones. Plain text
    asks nothing, and an answer that is marked undesirable is nothing to be compared with: such rows are no questions.
    """
    rows = [row for row in read_examples(snapshot.file("examples.parquet"), "test") if is_question(row)]
    chosen = {example.id for example in sample(rows, spec.at_most_rows, seed=seed)}
    return [example for example in rows if example.id in chosen], len(rows) - len(chosen)


def is_question(example: Example) -> bool:
    """Whether an answerer can be asked this and its answer be compared with a good one."""
    return example.text is None and example.desirable is not False


def sample(rows: Sequence[Example], number: int, *, seed: int) -> list[Example]:
    """At most `number` of the rows; which ones depends on their ids and the seed only."""
    return sorted(rows, key=lambda example: hashlib.sha256(f"{seed} {example.id}".encode()).digest())[:number]


def token_limit(spec: EvaluateSpec, profile: Profile) -> int:
    """Longest answer in tokens: as set, or room for twice the longest label, or 256 for free text.

    A token is taken as at least two letters, or half a Chinese character: no label is cut by this limit.
    """
    if spec.at_most_tokens is not None:
        return spec.at_most_tokens
    if not profile.labels:
        return 256
    return 8 + max(len(re.sub(r"[\u3400-\u9fff]", "xxxx", label)) // 2 for label in profile.labels)


def ask(
    answerer: Answerer,
    examples: Sequence[Example],
    *,
    spec: EvaluateSpec,
    profile: Profile,
    events: Events,
    stage: str,
    seed: int,
) -> Asked:
    """Free answers to all `examples`, label likelihoods and lone requests for the samples that the spec asks for."""
    limit = token_limit(spec, profile)
    free: dict[str, Answer] = {}
    parts = chunks(examples, ROWS_AT_ONCE)
    for chunk in told(parts, events, stage, f"answers of {answerer.name}", len(examples), asked=answerer):
        answers = answerer.answer([example.prompt for example in chunk], at_most_tokens=limit)
        free |= {example.id: answer for example, answer in zip(chunk, answers, strict=True)}
    options: dict[str, list[Likelihood]] = {}
    notes: list[str] = []
    some = sample(examples, spec.likelihood_rows, seed=seed) if profile.labels else []
    if some and not isinstance(answerer, LikelihoodAnswerer):
        notes.append(f"{answerer.name} cannot tell likelihoods: no fair scoring by label and no calibration")
    elif some and isinstance(answerer, LikelihoodAnswerer):
        parts, what = chunks(some, ROWS_AT_ONCE), f"label likelihoods of {answerer.name}"
        for chunk in told(parts, events, stage, what, len(some), asked=answerer):
            found = answerer.likelihood([e.prompt for e in chunk], [list(profile.labels)] * len(chunk))
            options |= {example.id: row for example, row in zip(chunk, found, strict=True)}
    lone = sample(examples, spec.latency_rows, seed=seed)
    alone = {
        example.id: answerer.answer([example.prompt], at_most_tokens=limit)[0]
        for example in events.track(lone, stage, f"single requests to {answerer.name}", total=len(lone))
    }
    return Asked(free, options, alone, tuple(notes))


def chunks(items: Sequence[T], size: int) -> list[list[T]]:
    """`items` in lists of at most `size`, in order."""
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def told(
    chunks: Sequence[list[T]], events: Events, stage: str, message: str, total: int, *, asked: Any = None
) -> Iterator[list[T]]:
    """Yield chunks and tell progress in rows: at the start, after each chunk, and within one where `asked` tells it.

    Args:
        chunks: of the rows.
        events: where progress is told.
        stage: who tells it.
        message: what is done.
        total: rows in all chunks.
        asked: the answerer that the rows of a chunk are put to; one on this machine tells how far it is.
    """
    done = 0

    def tell(rows: int) -> None:
        events.tell("progress", stage, message, done=rows, total=total, unit="rows")

    def within(before: int, rows: int, part: int, whole: int) -> None:
        tell(before + rows * part // whole)

    if total:
        tell(0)
    for chunk in chunks:
        with _heard(asked, partial(within, done, len(chunk))):
            yield chunk
        done += len(chunk)
        tell(done)


@contextlib.contextmanager
def _heard(answerer: Any, listener: Callable[[int, int], None]) -> Iterator[None]:
    """Let a model on this machine tell `listener` how many of its rows are done, for the length of a block."""
    model = at_hand(answerer)
    if not hasattr(model, "on_progress"):
        yield
        return
    before, model.on_progress = model.on_progress, listener
    try:
        yield
    finally:
        model.on_progress = before


def at_hand(answerer: Any) -> Any:
    """The answerer with `model` and `chat` in this process: itself, or the one that it answers through; None for none.

    An expert answers through a way of reasoning, which shows neither hidden states nor a tokeniser.
    """
    for one in (answerer, getattr(answerer, "model", None)):
        if hasattr(one, "model") and hasattr(one, "chat"):
            return one
    return None


# -- answers by likelihood -----------------------------------------------------------------------------


def by_likelihood(asked: Asked, labels: Sequence[str], *, per_token: bool) -> dict[str, Answer]:
    """For each row with likelihoods, the likeliest label as an answer.

    Args:
        asked: what the model said.
        labels: the closed set, in the order of the likelihoods.
        per_token: choose by mean instead of total log-probability.

    Confidence is the label's share of the probability of all labels, by total log-probability (softmax); with
    `per_token`, by the mean. Rows on which every likelihood is infinite give an `error` answer.
    """
    answers = {}
    for key, likelihoods in asked.options.items():
        logs = [x.per_token if per_token else x.log_probability for x in likelihoods]
        best = max(range(len(logs)), key=logs.__getitem__)
        if not math.isfinite(logs[best]):
            answers[key] = Answer(text="", stop="error")
            continue
        confidence = 1 / sum(math.exp(x - logs[best]) for x in logs)
        answers[key] = Answer(text=labels[best], confidence=confidence)
    return answers
