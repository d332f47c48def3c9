"""Chains on disk: stored once, read again, and fused again without the model."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.files import atomic_file
from tunesmith.core.types import Message, Noun
from tunesmith.reason.chains import Chain


class Question(Noun):
    """A question with the chains that were drawn for it.

    Fields:
        id: of its row; empty where it has none.
        conversation: what was asked.
        chains: in the order they were drawn.
        right: the right conclusion in canonical form; None where nobody knows.
    """

    id: str = ""
    conversation: tuple[Message, ...]
    chains: tuple[Chain, ...]
    right: str | None = None


def write_chains(path: Path, questions: Iterable[Question]) -> int:
    """Write questions as JSON lines, in order, in one step; returns their number."""
    count = 0
    with atomic_file(path) as file:
        for question in questions:
            file.write(question.model_dump_json().encode("utf-8") + b"\n")
            count += 1
    return count


def read_chains(path: Path) -> list[Question]:
    """What `write_chains` wrote.

    Raises:
        UserError: the file is missing, or a line does not hold a question; all lines that do not are told.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(Problem("missing-file", error.strerror or str(error), path=str(path))) from None
    questions, problems = [], []
    for number, line in enumerate(lines, 1):
        try:
            questions.append(Question.model_validate_json(line))
        except ValueError:
            problems.append(
                Problem("broken-chains", "this line holds no question with its chains", "", str(path), number)
            )
    if problems:
        raise UserError(problems)
    return questions
