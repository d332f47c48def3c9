"""Chains that pass become training rows: adapter -> supervised tuning -> reasoning -> adapter."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.core.files import atomic_file
from tunesmith.core.types import Example
from tunesmith.reason.chains import Chain
from tunesmith.reason.library import solved
from tunesmith.reason.line import Job

_ROWS_AT_ONCE = 16

Progress = Callable[[int, int], None]


@dataclass
class Learnt:
    """What became of the questions.

    Args:
        asked: questions that were asked; each is in `kept` or in `left`.
        kept: questions of which a chain passed.
        left: reason why no chain of a question passed -> questions: `no-reference` (nothing to compare with), `wrong`
            (other conclusions), `against` (right, but a check spoke against each), else the commonest reason why chains
            were unscored.
        chains: chains that were drawn; `tokens`: what was generated for them.
    """

    asked: int = 0
    kept: int = 0
    left: Counter[str] = field(default_factory=Counter)
    chains: int = 0
    tokens: int = 0


def learn(job: Job, rows: Sequence[Example], to: Path, *, on_progress: Progress | None = None) -> Learnt:
    """Draw chains for training rows, and write those that pass as rows that the data room reads.

    A chain passes where it comes to its row's answer and no check speaks against it; of several the one that most
    checks speak for, then the shortest, becomes the row. Held-out rows must not be among `rows`.

    Args:
        job: the line at work.
        rows: training rows; what is not one question with one good answer is left out and counted.
        to: JSON lines in OpenAI's form with `reasoning_content`, `target` and `parent`; replaced in one step.
        on_progress: called with (questions done, questions).
    """
    told = Learnt()
    with atomic_file(to) as file:
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            for row, chain in _passed(job, some, told):
                file.write(json.dumps(_row(row, chain), ensure_ascii=False).encode("utf-8") + b"\n")
            if on_progress:
                on_progress(start + len(some), len(rows))
    return told


def _passed(job: Job, rows: Sequence[Example], told: Learnt) -> Iterator[tuple[Example, Chain]]:
    right = {row.id: job.line.read(row.reference) if solved(row) else None for row in rows}
    asked = [row for row in rows if right[row.id] is not None]
    told.asked += len(rows)
    told.left["no-reference"] += len(rows) - len(asked)
    for row, chains in zip(asked, job.chains([row.prompt for row in asked]), strict=True):
        told.chains += len(chains)
        told.tokens += sum(chain.tokens for chain in chains)
        good = [chain for chain in chains if not chain.unscored and chain.conclusion == right[row.id]]
        sound = [chain for chain in good if not _count(chain, "against")]
        if not sound:
            told.left["against" if good else _why(chains)] += 1
            continue
        told.kept += 1
        yield row, min(sound, key=lambda chain: (-_count(chain, "for"), chain.tokens))
    told.left += Counter()  # reasons that never came up are no reasons


def _why(chains: Sequence[Chain]) -> str:
    reasons = Counter(chain.unscored for chain in chains if chain.unscored)
    scored = len(chains) - reasons.total()
    return "wrong" if scored or not reasons else reasons.most_common(1)[0][0]


def _count(chain: Chain, verdict: str) -> int:
    return sum(finding.verdict == verdict for finding in chain.findings)


def _row(row: Example, chain: Chain) -> dict[str, Any]:
    turns: list[dict[str, Any]] = [{"role": turn.role, "content": turn.content} for turn in row.prompt]
    said: dict[str, Any] = {"role": "assistant", "content": chain.answer.text}
    if chain.answer.reasoning:
        said["reasoning_content"] = chain.answer.reasoning
    return {"messages": [*turns, said], "target": row.reference, "parent": row.id, "source": chain.source}
