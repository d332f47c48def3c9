"""Four systems' written solutions to GSM8K questions, as chains, and what their calculator annotations say.

An annotation `<<16-3-4=9>>` stands before the written result: it has the formal expression that the system gave its
calculator. It is cut out of everything that a check sees. What it can and cannot say of the equation in the text:

- Its left side, computed exactly here by `ast`, against the number that is written behind it, says whether the
  equation holds, holds but for rounding or cutting at the digits shown, or fails. What the annotation itself gives as
  result is not used: systems overrule their calculator, and write wrong results into both places.
- That is only the truth about the text where the text has the same expression: the same numbers and operators once
  units, currency and spaces are gone. Elsewhere (`30% of $80 = <<30*.01*80=24.0>>24`, `40*50,000 =
  <<40000*50000=...>>`) the annotation is about another equation than the text's, and gives no truth.
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest

from tunesmith.core.types import Answer, Message
from tunesmith.reason.chains import Chain
from tunesmith.reason.conclude import concluded
from tunesmith.reason.equal import Equal

SYSTEMS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
NUMBER = Equal("number")

_ANNOTATION = re.compile(r"<<([^<>\n]*)>>")
_WRITTEN = re.compile(r"\s*(-?)\$?(-?)((?:\d{1,3}(?:[, ]\d{3})+(?!\d)|\d+)?(?:\.\d+)?)")
_UNIT_SLASH = re.compile(r"[*/](?=[-+*/)=]|$)")


@dataclass(frozen=True)
class Mark:
    """An annotation: where it stood in the text without annotations, and the truth about the equation there."""

    place: int
    truth: str | None


@dataclass(frozen=True)
class Solution:
    """One system's solution: its text without annotations, whether it is right, and what the annotations say."""

    system: str
    text: str
    right: bool
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Solved:
    """A question with its right answer and four solutions."""

    question: tuple[Message, ...]
    answer: str
    solutions: tuple[Solution, ...]

    @property
    def chains(self) -> tuple[Chain, ...]:
        """The solutions as chains with their conclusions."""
        bare = [Chain(answer=Answer(text=one.text), source=one.system) for one in self.solutions]
        return tuple(concluded(chain, NUMBER) for chain in bare)


def lines_of(name: str) -> list[str]:
    """The lines of a file of the data set; skips the test where it is not there."""
    path = Path(os.environ.get("TUNESMITH_SHARED_DATA", Path(__file__).parents[2] / "shared/data"), "gsm8k", name)
    if not path.is_file():
        pytest.skip(f"needs {path} (TUNESMITH_SHARED_DATA names another folder)")
    return path.read_text(encoding="utf-8").splitlines()


@cache
def solved(limit: int | None = None) -> tuple[Solved, ...]:
    """The first `limit` questions."""
    lines = lines_of("model_solutions.jsonl")[:limit]
    return tuple(_solved(json.loads(line)) for line in lines)


def _solved(row: dict[str, object]) -> Solved:
    found = []
    for system in SYSTEMS:
        given = row[system]
        assert isinstance(given, dict)
        text, marks = without_annotations(given["solution"])
        found.append(Solution(system, text, given["is_correct"], tuple(marks)))
    answer = NUMBER.canonical(str(row["ground_truth"]).rpartition("A: ")[2])
    assert answer is not None
    return Solved((Message(role="user", content=str(row["question"])),), answer, tuple(found))


def without_annotations(solution: str) -> tuple[str, list[Mark]]:
    """A solution's text without annotations, and where they stood."""
    pieces = _ANNOTATION.split(solution)
    text, marks = pieces[0], []
    for annotation, following in zip(pieces[1::2], pieces[2::2], strict=True):
        line = text.rpartition("\n")[2]
        marks.append(Mark(len(text), _truth(line, annotation.rpartition("=")[0], following)))
        text += following
    return text, marks


def _truth(before: str, expression: str, following: str) -> str | None:
    """`holds`, `rounded`, `fails`, or None where the annotation says nothing about the text's equation."""
    formal = expression.replace(" ", "").replace(",", "")
    squeezed = re.sub(r"[^\d.+\-*/()]", "", re.sub(r"[x×]", "*", before).replace("−", "-").replace("–", "-"))
    own = _UNIT_SLASH.sub("", squeezed)
    at = len(own) - len(formal)
    same = own.endswith(formal) and (at == 0 or own[at - 1] not in "+-*/.(")
    written = _WRITTEN.match(following)
    if not same or not re.search(r"\d[-+*/]", formal) or written is None or not written[3].strip("., "):
        return None
    value = _computed(formal)
    if value is None:
        return None
    digits = re.sub(r"[, ]", "", written[3])
    result = Fraction(digits) * (-1 if "-" in written[1] + written[2] else 1)
    off, step = abs(value - result), Fraction(1, 10 ** len(digits.partition(".")[2]))
    if off <= abs(value) / 10**9:
        return "holds"
    return "rounded" if off < step and result else "fails"


def _computed(expression: str) -> Fraction | None:
    try:
        return _node(ast.parse(re.sub(r"(?<![\d.])0+(?=\d)", "", expression), mode="eval").body)
    except (SyntaxError, ZeroDivisionError, TypeError):
        return None


def _node(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return Fraction(str(node.value))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_node(node.operand)
    if isinstance(node, ast.BinOp):
        left, right = _node(node.left), _node(node.right)
        match node.op:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case ast.Mult():
                return left * right
            case ast.Div():
                return left / right
    raise TypeError(ast.dump(node))


def every_solution(limit: int | None = None) -> Iterator[tuple[Solved, Solution]]:
    """Each solution with its question."""
    return ((one, solution) for one in solved(limit) for solution in one.solutions)
