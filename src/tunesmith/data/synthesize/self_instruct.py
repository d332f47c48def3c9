"""New instructions like those that are there, and answers to them: self-instruct."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from tunesmith.core.errors import Problem
from tunesmith.core.protocols import Context
from tunesmith.core.types import Drop, Example, Message, Refusal
from tunesmith.data.children import child
from tunesmith.data.synthesize import _checks as checks
from tunesmith.data.synthesize._asking import Asker, asking
from tunesmith.data.synthesize._novelty import Pool
from tunesmith.data.synthesize._parsing import numbered
from tunesmith.data.synthesize._prompts import prompt
from tunesmith.data.synthesize._replies import Reply
from tunesmith.data.synthesize._teacher import Teacher
from tunesmith.data.synthesize._words import rouge_l, tokens
from tunesmith.data.synthesize._yield import Yield

_STEP = "synthesize.self_instruct"
_NOT_NEEDED = Refusal(reason="not-needed", detail="there were enough")
_PROMPTS_A_ROUND = 8
_BARREN_ROUNDS = 3
_MOST_SEEDS, _LONGEST_SEED = 2000, 1200
_MADE_SHOWN = 4
"""One in so many shown tasks is a made one, as in the paper: 6 of people and 2 of the model."""


@dataclass(frozen=True)
class SelfInstruct:
    """New instructions in the manner of the training rows, then their answers, each from the teacher.

    Wang et al. 2022 (arXiv:2212.10560): a prompt shows some tasks of people and some made before; what comes back is
    kept where its ROUGE-L with every known instruction is below 0.7. Unlike the paper an instruction carries its own
    input, so nothing is asked about classes first. A new row's parent is the shown row that it is most like. Nobody
    checks that an answer is right: the teacher must know the domain.

    Args:
        teacher: the model that writes, see the page on synthesis.
        rows: rows to make; fewer where three rounds of prompts brought no new instruction.
        shown: tasks shown in a prompt.
        per_prompt: new tasks asked for in a prompt.
        unlike: ROUGE-L from which on an instruction counts as known.
    """

    teacher: Teacher
    rows: Annotated[int, Field(ge=1)] = 100
    shown: Annotated[int, Field(ge=1, le=50)] = 8
    per_prompt: Annotated[int, Field(ge=1, le=50)] = 8
    unlike: Annotated[float, Field(gt=0, le=1)] = 0.7

    def check(self, root: Path) -> list[Problem]:
        """See `Teacher.check`."""
        return self.teacher.check(root)

    def outside(self, root: Path) -> dict[str, str]:
        """See `Teacher.outside`."""
        return self.teacher.outside(root)

    def make(self, rows: Iterable[Example], context: Context) -> Iterator[Example | Drop]:
        """See `tunesmith.core.protocols.Maker`; seeds are rows of one question and one answer."""
        count, dice = Yield(_STEP), random.Random(f"{context.seed} self-instruct")
        seeds = _seeds(rows, dice)
        count.sources = len(seeds)
        with asking(self.teacher, context) as asker:
            if seeds:
                yield from self._rounds(_Known(seeds, self.unlike), asker, count, dice)
            count.end(context, asker.spent, self.teacher.price)

    def _rounds(self, known: _Known, asker: Asker, count: Yield, dice: random.Random) -> Iterator[Example | Drop]:
        """Rounds of a fixed number of prompts, so that what is made does not depend on how many are asked at once."""
        barren = 0
        while count.kept < self.rows and barren < _BARREN_ROUNDS:
            wanted = -(-(self.rows - count.kept) // self.per_prompt)
            shown = [known.sample(self.shown, dice) for _ in range(min(_PROMPTS_A_ROUND, wanted))]
            count.asked += self.per_prompt * len(shown)
            new: list[tuple[Example, str]] = []
            for tasks, reply in zip(shown, asker.ask([self._prompt(tasks) for tasks in shown]), strict=True):
                for item in self._instructions(tasks, reply, known, count):
                    if isinstance(item, Drop):
                        yield item
                    else:
                        new.append(item)
            barren = 0 if new else barren + 1
            room = self.rows - count.kept
            yield from (count.drop(parent, _NOT_NEEDED) for parent, _ in new[room:])
            new = new[:room]
            replies = asker.ask([(Message(role="user", content=instruction),) for _, instruction in new])
            for (parent, instruction), reply in zip(new, replies, strict=True):
                yield _answered(parent, instruction, reply, count)

    def _prompt(self, tasks: Sequence[tuple[str, Example]]) -> tuple[Message, ...]:
        listed = "\n".join(f"{number}. {' '.join(text.split())}" for number, (text, _) in enumerate(tasks, 1))
        return prompt("self_instruct", listed, tasks=listed, count=len(tasks), wanted=self.per_prompt)

    def _instructions(
        self, tasks: Sequence[tuple[str, Example]], reply: Reply, known: _Known, count: Yield
    ) -> Iterator[tuple[Example, str] | Drop]:
        """The new instructions of one answer with their parents, and the drops of the others."""
        parent = tasks[0][1]
        found = [] if reply.failed else numbered(reply.text)
        if not found:
            yield count.silent(parent, reply)
        if found and reply.stop == "length":
            found.pop()  # cut in the middle
        shown = "\n".join(text for text, _ in tasks)
        for text in found:
            alike = known.nearest(text)
            refusal = (
                checks.good_question(text)
                or checks.same_language(text, shown)
                or (Refusal(reason="like-another", detail=f"ROUGE-L {alike:.2f}") if alike else None)
            )
            if refusal is not None:
                yield count.drop(parent, refusal)
            else:
                parent_of_it = known.parent(text, tasks)
                known.add(text, parent_of_it)
                yield parent_of_it, text


class _Known:
    """Seeds and what was made from them."""

    def __init__(self, seeds: Sequence[Example], unlike: float) -> None:
        self._seeds = [(_instruction(seed), seed) for seed in seeds]
        self._made: list[tuple[str, Example]] = []
        self._pool = Pool(unlike)
        for text, _ in self._seeds:
            self._pool.add(text)

    def nearest(self, text: str) -> float:
        """ROUGE-L with the most similar known instruction; 0 where all are unlike."""
        return self._pool.nearest(text)[0]

    def add(self, text: str, parent: Example) -> None:
        """A new instruction is known from now on."""
        self._pool.add(text)
        self._made.append((text, parent))

    def sample(self, size: int, dice: random.Random) -> list[tuple[str, Example]]:
        """Tasks to show, one in four of them made before, in any order; fewer where there are no more."""
        made = dice.sample(self._made, min(size // _MADE_SHOWN, len(self._made)))
        shown = made + dice.sample(self._seeds, min(size - len(made), len(self._seeds)))
        dice.shuffle(shown)
        return shown

    def parent(self, text: str, tasks: Sequence[tuple[str, Example]]) -> Example:
        """The row of the shown task that is most like the new one; the first of several."""
        words = tokens(text)
        return max(tasks, key=lambda task: rouge_l(words, tokens(task[0])))[1]


def _answered(parent: Example, instruction: str, reply: Reply, count: Yield) -> Example | Drop:
    answer = reply.text.strip()
    if reply.failed or not answer or reply.stop == "length":
        return count.silent(parent, reply)
    refusal = checks.good_answer(instruction, answer) or checks.same_language(answer, instruction)
    if refusal is not None:
        return count.drop(parent, refusal)
    messages = (Message(role="user", content=instruction), Message(role="assistant", content=answer))
    return count.keep(child(parent, messages))


def _seeds(rows: Iterable[Example], dice: random.Random) -> list[Example]:
    """At most 2,000 rows that can be shown, each equally likely (reservoir sampling)."""
    seeds: list[Example] = []
    met = 0
    for row in rows:
        if _instruction(row):
            met += 1
            place = len(seeds) if len(seeds) < _MOST_SEEDS else dice.randrange(met)
            if place < _MOST_SEEDS:
                seeds[place : place + 1] = [row]
    return seeds


def _instruction(row: Example) -> str:
    """What is asked in a row of one question and one answer that is short enough to be shown; else empty."""
    asked = [message.content for message in row.messages if message.role == "user"]
    answered = any(message.role == "assistant" for message in row.messages)
    usable = len(asked) == 1 and answered and row.desirable is not False and len(asked[0]) <= _LONGEST_SEED
    return asked[0].strip() if usable else ""
