"""Errors are advice: place, cause, remedy; all problems at once; the exit code of each kind."""

from __future__ import annotations

import pytest

from tunesmith.core.errors import (
    CorruptArtifact,
    GateStopped,
    MissingLibrary,
    Problem,
    TunesmithError,
    UnknownComponent,
    UserError,
    did_you_mean,
    nearest,
    shorten,
)
from tunesmith.core.types import GateVerdict, Reason


def test_a_problem_reads_as_place_cause_code_remedy() -> None:
    problem = Problem("unknown-key", "there is no setting 'rnk'", "did you mean 'rank'?", "tunesmith.yaml", 7)
    text = "tunesmith.yaml:7: there is no setting 'rnk' [unknown-key]\n    -> did you mean 'rank'?"
    assert str(problem) == text
    assert str(Problem("x", "y")) == "y [x]"
    assert problem.as_dict() == {
        "code": "unknown-key",
        "message": "there is no setting 'rnk'",
        "hint": "did you mean 'rank'?",
        "path": "tunesmith.yaml",
        "line": 7,
        "value": "",
    }


def test_a_user_error_tells_every_problem() -> None:
    problems = [Problem("a", "first"), Problem("b", "second")]
    error = UserError(iter(problems))
    assert error.problems == tuple(problems)
    assert str(error) == "first [a]\nsecond [b]"
    assert UserError(problems[0]).problems == (problems[0],)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TunesmithError, 1),
        (CorruptArtifact, 1),
        (UserError, 2),
        (UnknownComponent, 2),
        (MissingLibrary, 2),
        (GateStopped, 3),
    ],
)
def test_exit_codes(error: type[TunesmithError], code: int) -> None:
    assert error.exit_code == code


def test_a_stopped_gate_names_its_reasons() -> None:
    reasons = [
        Reason(code="leak", message="34 rows leaked", verdict="failed"),
        Reason(code="n", message="n is 0", verdict="unknown"),
    ]
    assert str(GateStopped([GateVerdict.of("G1", reasons)])) == "G1: 34 rows leaked; G1: n is 0"
    assert str(GateStopped([])) == "a gate stopped the run"


def test_hints() -> None:
    assert nearest("acuracy", ["accuracy", "recall"]) == ["accuracy"]
    assert did_you_mean("acuracy", ["recall", "accuracy"]) == "did you mean 'accuracy'?"
    assert did_you_mean("zzz", ["b", "a"]) == "known: a, b"
    assert did_you_mean("zzz", []) == "there is none"
    many = did_you_mean("zzz", [f"{n:03}" for n in range(100)])
    assert many.startswith("known: 000, 001, ")
    assert many.endswith(", 029 and 70 more")


def test_shortened_values_are_one_printable_line() -> None:
    assert shorten("plain") == "plain"
    assert shorten({"a": 1}) == "{'a': 1}"
    assert shorten("a\nb\x1b[31m\0") == "a\ufffdb\ufffd[31m\ufffd"
    assert shorten("x" * 100, width=5) == "xxxx…"
    assert shorten("x" * 5, width=5) == "xxxxx"
