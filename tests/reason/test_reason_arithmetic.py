"""Arithmetic in running text: what is read, what is left alone, and how often that is right on real solutions."""

from __future__ import annotations

import random
import re
import time
from collections import Counter

import pytest

from gsm_chains import every_solution
from tunesmith.core.types import Answer
from tunesmith.reason.chains import Chain
from tunesmith.reason.checks.arithmetic import Arithmetic
from tunesmith.reason.equations import Equation, equations


def said(text: str) -> list[str]:
    """What the check says of each equation of a text."""
    chain = Chain(answer=Answer(text=text), source="test")
    return [finding.verdict for finding in Arithmetic().look([], chain)]


@pytest.mark.parametrize(
    "text",
    [
        "So she has 16 - 3 - 4 = 9 duck eggs left.",
        "16 eggs - 3 eggs − 4 eggs = 9 eggs",
        "He pays $5.20 x 4 = $20.80 for apples.",
        "$4 per pound * 3 pounds = $12",
        "360 pieces/hour / 60 minutes/hour = 6 pieces a minute",
        "2 1/2 + 1/2 = 3",
        "20% of 50 = 10",
        "100% - 60% = 40% of the cost",
        "$600 - 10% = $540",
        "10/50 = 20%",
        "2(3 + 1) = 8",
        "The house cost 1,200,000 / 3 = 400,000.",
        "$12 000 + $20 000 = $32 000",
        "25k*3=75,000",
        "1.5 million * 2 = 3 million",
        r"\(\frac{1}{2} \times 8 = 4\)",
        "**5 * 12 = 60**",
        "- 5 * 3 = 15",
        "8 packs of 5 bags * 4 = 160",
        "There are 76 x 3 = 228 rows of 8 stars.",
        "2**3 = 8",
        "2^10 = 1024",
        "１２＋３＝１５",
        "3 plus 4 equals 7, and 3 + 4 = 7",
        "5 - 8 = -3",
        "5 - 8 = $-3",
    ],
)
def test_what_holds_speaks_for_the_chain(text: str) -> None:
    assert said(text) == ["for"]


@pytest.mark.parametrize(
    "text",
    [
        "So she has 16 - 3 - 4 = 8 duck eggs left.",
        "60 x 2/5 = 40 apples",
        "$1,500,000 + $2,000,000 = $1,700,000",
        "He is 160 - 240 = 80 behind.",
        "48 / 2 = 25",
        "2/3 = 0",
        "20% of 50 = 11",
        "1.5 million * 2 = 4 million",
        "10 * (2/3) = 8",
        "1/3 = 30%",
        "2/3 = 0.5 million",
    ],
)
def test_what_fails_under_every_reading_speaks_against_it(text: str) -> None:
    assert said(text) == ["against"]


@pytest.mark.parametrize("text", ["20 / 3 = 6 people", "20 / 3 = 7", "2/3 = 0.66", "2/3 = 0.67", "31 / 3 ≈ 10.4"])
def test_what_was_rounded_or_cut_is_told_and_speaks_for_nothing(text: str) -> None:
    assert said(text) == ["silent"]


@pytest.mark.parametrize(
    "text",
    [
        "4x + 1 = 9",
        "x + 56 = 86",
        "5x-5 = 33",
        "1 hour = 60 minutes",
        "Step 1 = 5 + 3",
        "3 hours - 10 minutes = 2 hours 50 minutes",
        "The candle burns for 5:00 - 1:00 = 4 hours.",
        "f(3) = 9",
        "1/4 of the tank = 18000 / 4 liters",
        "a = b",
        "1.666... * 3 = 5",
        "3,2 + 1 = 4,2",
        "5 <= 3 + 1",
        "64 seconds / 16 seconds/20 feet = 4",
        "",
    ],
)
def test_what_is_not_arithmetic_of_numbers_alone_is_left_alone(text: str) -> None:
    assert said(text) == []


def test_a_running_result_is_compared_side_by_side() -> None:
    """5 + 3 = 8 * 2 = 16 is sloppy, but each step is right; 5 + 3 = 9 * 2 = 18 has one wrong step."""
    assert said("5 + 3 = 8 * 2 = 16") == ["for", "for"]
    assert said("5 + 3 = 9 * 2 = 18") == ["against", "for"]


def test_the_finding_says_where_and_what_it_should_have_been() -> None:
    text = "First he eats.\nThen 48 / 2 = 25 are left."
    (finding,) = Arithmetic().look([], Chain(answer=Answer(text=text), source="test"))
    assert finding.span is not None and text[slice(*finding.span)].startswith("48 / 2 = 25")
    assert finding.detail.endswith("it is 24")


@pytest.mark.parametrize(
    "text",
    [
        "9**9**9 = 1",
        "1e999 + 1 = 2",
        "9^9^9^9 = 9",
        "1/0 = 1",
        "0^-1 = 0",
        "(" * 5000 + "1 + 1" + ")" * 5000 + " = 2",
        "9" * 5000 + " + 1 = 2",
        "-" * 3000 + "1 + 1 = 2",
        "__import__('os').system('x') + 1 = 2",
    ],
)
def test_hostile_arithmetic_is_no_arithmetic(text: str) -> None:
    assert "against" not in said(text) or text.startswith("__")


@pytest.mark.parametrize("piece", ["1+", "1=", "(", "1,", "a ", "1 + 1 = 2 ", "= ", ".", "1/"])
def test_a_long_text_is_read_in_time(piece: str) -> None:
    """Some tenths of a second; what is quadratic would take hours."""
    begun = time.process_time()
    said(piece * (50_000 // len(piece)))
    assert time.process_time() - begun < 5


def matched(found: list[Equation], place: int) -> Equation | None:
    """The equation whose sign stands just before an annotation's place."""
    here = (one for one in found if one.left.end <= place and -2 <= one.right.start - place < 4)
    return next(here, None)


def tally(limit: int | None) -> Counter[tuple[str, str]]:
    """(truth by annotation, what the equation is found to be) -> how often."""
    counts: Counter[tuple[str, str]] = Counter()
    for _, solution in every_solution(limit):
        found = list(equations(solution.text))
        for mark in solution.marks:
            one = matched(found, mark.place)
            counts[mark.truth or "no truth", one.standing if one else "none"] += 1
    return counts


def shares(counts: Counter[tuple[str, str]]) -> tuple[float, float, int]:
    """(precision, recall, wrong equations) of `fails` where the annotation gives the truth."""
    hit = counts["fails", "fails"]
    alarms = sum(n for (truth, said_), n in counts.items() if said_ == "fails" and truth != "no truth")
    wrong = sum(n for (truth, _), n in counts.items() if truth == "fails")
    return hit / max(1, alarms), hit / max(1, wrong), wrong


def planted(limit: int | None, *, seed: int = 0) -> Counter[tuple[str, str]]:
    """As `tally`, with every second right result changed: a digit more, a digit changed, off by one, two swapped."""
    chance, counts = random.Random(seed), Counter[tuple[str, str]]()
    for _, solution in every_solution(limit):
        right = [mark.place for mark in solution.marks if mark.truth == "holds"]
        for place in right[::2]:
            result = re.match(r"\s*-?\$?-?(\d+)(?![\d,]*\.\d|,\d| \d{3})", solution.text[place:])
            if result is None:
                continue
            new = chance.choice([_longer, _other_digit, _off_by_one, _swapped])(result[1], chance)
            text = solution.text[: place + result.start(1)] + new + solution.text[place + result.end(1) :]
            one = matched(list(equations(text)), place)
            counts["fails" if new != result[1] else "holds", one.standing if one else "none"] += 1
    return counts


def _longer(digits: str, chance: random.Random) -> str:
    return digits + chance.choice("123456789")


def _other_digit(digits: str, chance: random.Random) -> str:
    place = chance.randrange(len(digits))
    return digits[:place] + str((int(digits[place]) + chance.randint(1, 8)) % 10 or 9) + digits[place + 1 :]


def _off_by_one(digits: str, chance: random.Random) -> str:
    return str(int(digits) + chance.choice([1, 2]))


def _swapped(digits: str, chance: random.Random) -> str:
    return digits[::-1] if digits != digits[::-1] and not digits.endswith("0") else digits + "0"


def test_wrong_equations_in_real_solutions_are_found() -> None:
    precision, recall, wrong = shares(tally(150))
    assert wrong >= 8
    assert precision >= 0.97 and recall >= 0.9


def test_planted_mistakes_are_found() -> None:
    counts = planted(60)
    precision, recall, wrong = shares(counts)
    assert wrong >= 200
    assert precision >= 0.97 and recall >= 0.97


@pytest.mark.slow
def test_wrong_equations_in_all_real_solutions_are_found() -> None:
    precision, recall, wrong = shares(tally(None))
    assert wrong >= 45
    assert precision >= 0.97 and recall >= 0.97
    precision, recall, wrong = shares(planted(None))
    assert wrong >= 3000
    assert precision >= 0.97 and recall >= 0.97
