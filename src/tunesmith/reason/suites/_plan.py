"""Exercises from plans: facts are drawn, steps are computed, and a wording tells the story.

Three wordings a plan teach a small model those three and nothing of language: it takes numbers by their place. So most
training stories are composed: each fact is told by one of several phrases (`phrases.json`), in any order. Validation
and test have wordings of their own, which share no phrase with those.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

Part = Literal["train", "valid", "test"]

PARTS: tuple[Part, ...] = ("train", "train", "train", "valid", "test")
"""Which part each of a plan's five wordings belongs to: no wording is in two."""

COMPOSED = 0.8
"""Share of the training exercises whose story is composed, where the plan has phrases."""

MOST = 9999
"""Largest number in an exercise: small models are to show that they reason, not that they multiply."""

_TRIES = 10_000
_NAME = re.compile(r"[a-z_]+")


@dataclass(frozen=True)
class Step:
    """One step of a solution.

    Args:
        name: what it computes; later steps use it.
        formula: two names or whole numbers with `+`, `-`, `*` or `/` between them, separated by spaces.
        words: what it is called in the solution.
        unit: of the result.
    """

    name: str
    formula: str
    words: str
    unit: str = ""


@dataclass(frozen=True)
class Plan:
    """How exercises of one kind are made.

    Args:
        name: of the plan.
        facts: name of each number in the story -> (smallest, largest, step), drawn evenly.
        steps: the solution, 2 to 6 steps; the last one is the answer.
        wordings: five stories with the facts and words in braces, see `PARTS`.
        words: other places in the stories -> what may stand there.
    """

    name: str
    facts: Mapping[str, tuple[int, int, int]]
    steps: tuple[Step, ...]
    wordings: tuple[str, str, str, str, str]
    words: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Exercise:
    """A question with its worked solution.

    Args:
        family, plan, wording: where it comes from; family, plan and wording together are its template. A composed
            story has the number after the last wording's.
        question: for the model.
        solution: one step a line, each with its equation.
        answer: the last step's result, a whole number.
        steps: number of steps.
    """

    family: str
    plan: str
    wording: int
    question: str
    solution: str
    answer: str
    steps: int

    @property
    def template(self) -> str:
        """Name of its template."""
        return f"{self.family}/{self.plan}/{self.wording}"


def exercises(family: str, plans: Sequence[Plan], *, part: Part, seed: int) -> Iterator[Exercise]:
    """Exercises of a family without end, its plans by turns; the same seed gives the same ones.

    No two of the same plan and part have the same numbers and words.
    """
    dice = random.Random(f"{family} {part} {seed}")
    told: set[str] = set()
    while True:
        for plan in plans:
            for _ in range(_TRIES):
                made = _drawn(family, plan, part, dice)
                if made and made.question not in told:
                    told.add(made.question)
                    yield made
                    break
            else:
                return


def worked(plan: Plan, facts: Mapping[str, int]) -> list[tuple[str, int]] | None:
    """Each step's equation and result; None where a result is not a whole number from 1 to 9,999."""
    known, lines = dict(facts), []
    for step in plan.steps:
        left, sign, right = step.formula.split(" ")
        a, b = (known[side] if _NAME.fullmatch(side) else int(side) for side in (left, right))
        if sign == "/" and a % b:
            return None
        value = {"+": a + b, "-": a - b, "*": a * b, "/": a // b}[sign]
        if not 1 <= value <= MOST:
            return None
        known[step.name] = value
        lines.append((f"{a} {sign} {b} = {value}", value))
    return lines


def _drawn(family: str, plan: Plan, part: Part, dice: random.Random) -> Exercise | None:
    composed = part == "train" and plan.name in _phrases() and dice.random() < COMPOSED
    number = len(PARTS) if composed else dice.choice([n for n, of in enumerate(PARTS) if of == part])
    facts = {name: dice.randrange(low, high + 1, step) for name, (low, high, step) in plan.facts.items()}
    words = {name: dice.choice(list(some)) for name, some in plan.words.items()}
    lines = worked(plan, facts)
    if lines is None:
        return None
    told = [
        f"{step.words}: {equation} {step.unit}".rstrip() for step, (equation, _) in zip(plan.steps, lines, strict=True)
    ]
    story = _composed(_phrases()[plan.name], dice) if composed else (plan.wordings[number],)
    question = "".join(_capital(piece.format(**facts, **words)) for piece in story)
    return Exercise(family, plan.name, number, question, "\n".join(told), str(lines[-1][1]), len(lines))


@cache
def _phrases() -> dict[str, Any]:
    """Plan -> its `facts`, each with phrases that tell it, and the ways to `ask`."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("phrases.json").read_text(encoding="utf-8"))
    return found


def _composed(phrases: Mapping[str, Any], dice: random.Random) -> list[str]:
    """A story in sentences with braces: every fact once, in any order, the question before or behind them."""
    told = [dice.choice(some) for some in phrases["facts"].values()]
    dice.shuffle(told)
    asked = dice.choice(phrases["ask"])
    if asked.endswith("?") and dice.random() < 0.3:
        return [f"{asked[:-1]} if {', '.join(told[:-1])}, and {told[-1]}?"]
    sentences = [told[0]]
    for phrase in told[1:]:
        joint = dice.choice((". ", "; ", ", and "))
        if joint == ". ":
            sentences[-1] += joint
            sentences.append(phrase)
        else:
            sentences[-1] += joint + phrase
    if dice.random() < 0.2:
        return [f"{asked} ", *sentences[:-1], f"{sentences[-1]}."]
    return [*sentences[:-1], f"{sentences[-1]}. ", asked]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
