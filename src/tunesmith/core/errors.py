"""The error tree, and `Problem`: one thing that is wrong, with place, cause and remedy.

An error is advice. Everything that the user can mend is a `Problem`; all problems of one
input are collected and raised together in one `UserError`, never one error a run.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

EXIT_PASSED = 0
EXIT_OUR_FAULT = 1
EXIT_USER_INPUT = 2
EXIT_GATE = 3
EXIT_INTERRUPTED = 130

_MOST_LISTED = 30


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with what the user gave us.

    Args:
        code: short, stable, kebab-case name of the kind of problem, e.g. `unknown-key`.
        message: what was found and what was expected, one sentence.
        hint: what to do about it: the nearest valid name, the command to type.
        path: file or setting where it was found (`tunesmith.yaml: tune.rank`, `rows.jsonl`).
        line: 1-based line in that file, if known.
        value: the offending value, shortened for display.
    """

    code: str
    message: str
    hint: str = ""
    path: str = ""
    line: int | None = None
    value: str = ""

    def __str__(self) -> str:
        place = self.path + (f":{self.line}" if self.line is not None else "")
        text = f"{place}: " if place else ""
        text += f"{self.message} [{self.code}]"
        return f"{text}\n    -> {self.hint}" if self.hint else text

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return asdict(self)


class TunesmithError(Exception):
    """Root of everything that tunesmith raises on purpose; `exit_code` is the process's."""

    exit_code = EXIT_OUR_FAULT


class UserError(TunesmithError):
    """The input cannot be used as it is; carries every problem that was found, in order."""

    exit_code = EXIT_USER_INPUT

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[UserError], tuple[tuple[Problem, ...]]]:
        """As it was, when a worker sends it to another process."""
        return type(self), (self.problems,)


class UnknownComponent(UserError):
    """A `use:` name that no file on its shelf carries."""


class MissingLibrary(UserError):
    """A component exists, but a library that it needs is not installed."""


class GateStopped(TunesmithError):
    """A gate said no; carries the verdicts that stopped the run."""

    exit_code = EXIT_GATE

    def __init__(self, verdicts: Sequence[Any]) -> None:
        self.verdicts = tuple(verdicts)
        reasons = [f"{v.gate}: {reason.message}" for v in self.verdicts for reason in v.reasons]
        super().__init__("; ".join(reasons) or "a gate stopped the run")


class CorruptArtifact(TunesmithError):
    """A file that tunesmith wrote does not have the digest it was written with."""


def nearest(name: str, choices: Iterable[str], *, at_most: int = 3) -> list[str]:
    """The choices that look most like `name`, best first; empty when none is close."""
    return difflib.get_close_matches(name, list(choices), n=at_most, cutoff=0.5)


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """A hint sentence: the nearest choices, or the known ones (at most 30 of them) where none is near."""
    known = sorted(choices)
    close = nearest(name, known)
    if close:
        return "did you mean " + " or ".join(f"'{c}'" for c in close) + "?"
    if not known:
        return "there is none"
    more = len(known) - _MOST_LISTED
    return "known: " + ", ".join(known[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


def shorten(value: object, *, width: int = 80) -> str:
    """`value` as one printable line of at most `width` characters."""
    text = repr(value) if not isinstance(value, str) else value
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= width else text[: width - 1] + "…"
