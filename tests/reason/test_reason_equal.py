"""What counts as the same answer, and where a chain comes to it."""

from __future__ import annotations

import json
import random
import time

import pytest

from gsm_chains import NUMBER, every_solution, lines_of, solved
from tunesmith.core.types import Answer
from tunesmith.reason.chains import Chain
from tunesmith.reason.conclude import concluded, conclusion, loop
from tunesmith.reason.equal import Equal, Kind
from tunesmith.reason.numerals import read_number, shown


@pytest.mark.parametrize(
    ("kind", "choices", "ways", "form"),
    [
        ("number", (), ["1250", "1,250", "$1,250.00", "1250 dollars", "1 250", "1.25k", "１２５０", r"\$1250"], "1250"),
        ("number", (), ["0.5", "1/2", ".50", r"\frac{1}{2}", r"\boxed{0.5}", "2/4", "5e-1"], "0.5"),
        ("number", (), ["25%", "25", "25 percent", r"25\%", "**25**"], "25"),
        ("number", (), ["-3", "−3", "$-3", "-$3", "- 3", "-3 degrees"], "-3"),
        ("number", (), ["266.6666666666667", "800/3"], "266.666667"),
        ("option", (), ["B", "(B)", "b.", "Option B", "[B]", "B. Paris", "(b) Paris"], "B"),
        ("option", ("London", "Paris"), ["B", "paris", "Paris.", "(B)"], "B"),
        ("yes_no", (), ["Yes", "yes, it is", "TRUE", "是的"], "yes"),
        ("yes_no", (), ["No.", "false", "不是", "not"], "no"),
        ("label", ("good", "very good", "bad"), ["very good", "Very Good!", "It is very good"], "very good"),
        ("set", (), ["{3, 1, 2}", "1, 2 and 3", "[3,2,1,1]", "1；2；3"], '["1", "2", "3"]'),
        ("list", (), ["[3, 1]", "3, 1", "3 and 1", "(3.0; 1)"], '["3", "1"]'),
        ("text", (), ["The Red House", "red house.", "ＲＥＤ house", "a red  house"], "red house"),
        ("auto", (), ["1,250", "$1250"], "1250"),
        ("auto", (), ["Yes!", "yes"], "yes"),
        ("auto", ("good", "bad"), ["Good.", "good", "The risk is good"], "good"),
    ],
)  # fmt: skip
def test_ways_to_write_the_same_answer(kind: Kind, choices: tuple[str, ...], ways: list[str], form: str) -> None:
    equal = Equal(kind, choices)
    assert {way: equal.canonical(way) for way in ways} == dict.fromkeys(ways, form)


@pytest.mark.parametrize(
    ("kind", "choices", "text"),
    [
        ("number", (), "3 or 4"),
        ("number", (), "none"),
        ("number", (), "3,2"),
        ("number", (), "1e999"),
        ("number", (), "9" * 900),
        ("option", ("a", "b"), "C"),
        ("option", (), "Paris"),
        ("label", ("good", "bad"), "good or bad"),
        ("label", ("good",), "goods"),
        ("yes_no", (), "perhaps yesterday"),
        ("set", (), "{}"),
        ("text", (), "..."),
        ("auto", (), ""),
        ("auto", (), "x" * 2000),
    ],
)
def test_what_is_no_answer_of_its_kind(kind: Kind, choices: tuple[str, ...], text: str) -> None:
    found = Equal(kind, choices).canonical(text)
    assert found is None or (kind == "yes_no" and found == "maybe")


def test_a_canonical_form_stays_as_it_is() -> None:
    chance = random.Random(0)
    numbers = [str(chance.randint(-(10**12), 10**12) / 10 ** chance.randint(0, 6)) for _ in range(300)]
    for text in [*numbers, "1/3", "2/7", "0", "-0.0", "1e-9", "12345678901234567890"]:
        form = NUMBER.canonical(text)
        assert form is not None and NUMBER.canonical(form) == form
        value = read_number(text)
        assert value is not None and shown(value) == form


def test_units_are_converted_where_pint_is_there() -> None:
    pytest.importorskip("pint")
    equal = Equal("quantity")
    assert equal.canonical("5 km") == equal.canonical("5,000 m") == "5000 meter"
    assert equal.same("2 hours", "120 minutes") and not equal.same("2 hours", "2 minutes")
    assert equal.same("90 km/hour", "25 m/s")
    assert equal.canonical("5 apples") is None


def test_mathematics_is_compared_where_math_verify_is_there() -> None:
    pytest.importorskip("math_verify")
    equal = Equal("expression")
    assert equal.same(r"\frac{2}{4}", "0.5")
    assert equal.same("(x+1)^2", "x^2 + 2x + 1")
    assert not equal.same("x+1", "x+2")
    begun = time.process_time()
    assert equal.canonical("9^{9^{9^{9}}}") is None and equal.canonical("99!") is None
    assert equal.canonical("9^{999999}") is None and equal.canonical("x^2" * 100) is None
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ("text", "how", "form"),
    [
        ("16 - 3 = 13\n#### 13", "hashes", "13"),
        (r"So we get \boxed{\frac{1}{2}} in all, not \(3\).", "boxed", "0.5"),
        ("<answer>42</answer>", "tag", "42"),
        ("I think 7. The answer is 12 eggs.", "said", "12"),
        ("**Answer:** $1,234.50", "said", "1234.5"),
        ("Steps.\nA: 18", "said", "18"),
        ("The final answer is 3 * 4 = 12 eggs, as 3 hens lay 4 each.", "said", "12"),
        ("The answer is -5.", "said", "-5"),
        ("The answer is 1/5.", "said", "0.2"),
        ("答案是 42。", "said", "42"),
        ("42", "alone", "42"),
        ("She pays $15 x 3 = $45 per month for 3 months.", "last", "45"),
        ("That leaves 4 of them.", "alone", "4"),
        ("First 3, then 5.\nThat leaves 4 of them.", "last", "4"),
        ("#### 5\n#### 6", "hashes", "6"),
    ],
)
def test_where_a_chain_comes_to_its_number(text: str, how: str, form: str) -> None:
    found = conclusion(text, NUMBER)
    assert found is not None and (found.how, found.canonical) == (how, form)


def test_options_labels_and_words() -> None:
    found = conclusion("A would be wrong. So the answer is (C).", Equal("option"))
    assert found is not None and found.canonical == "C"
    found = conclusion("It looks bad at first.\nStill, the risk is good.", Equal("label", ("good", "bad")))
    assert found is not None and found.canonical == "good"
    found = conclusion("The trial was small.\nAnswer: no, it was not shown.", Equal("yes_no"))
    assert found is not None and found.canonical == "no"


def chain(text: str, **fields: object) -> Chain:
    return concluded(Chain(answer=Answer.model_validate({"text": text, **fields}), source="test"), NUMBER)


def test_a_chain_without_an_answer_says_why() -> None:
    assert chain("I do not know.").unscored == "no-answer"
    assert chain("").unscored == "no-answer"
    assert chain("3 apples and then", stop="length").unscored == "no-answer"
    assert chain("x", stop="error").unscored == "backend: error"
    assert chain("We add 4. " * 40).unscored == "loop"
    assert chain("We add 4. " * 40 + "\n#### 4").conclusion == "4"


def test_reasoning_helps_where_the_answer_is_bare() -> None:
    assert chain("See above.", reasoning="so \\boxed{7}").conclusion == "7"
    assert chain("It is 8.", reasoning="so \\boxed{7}").conclusion == "8"


def test_a_loop_is_found_where_it_begins() -> None:
    text = "First this. " + "and again " * 30
    found = loop(text)
    assert found is not None and found[1] == 10 and 11 <= found[0] <= 22
    assert loop("A text that says many things and nothing twice, at some length, until it comes to its end.") is None
    assert loop("Table\n" + "-" * 100) is None and loop("-" * 400) is not None


@pytest.mark.parametrize("piece", ["#### ", r"\boxed{", "answer is ", "A: ", "1,", "<answer>", "ab", "(A) ", '"', "=1"])
@pytest.mark.parametrize("kind", ["auto", "number", "option", "text"])
def test_a_megabyte_is_read_in_time(piece: str, kind: Kind) -> None:
    begun = time.process_time()
    conclusion(piece * (1_000_000 // len(piece)), Equal(kind))
    assert time.process_time() - begun < 3


def test_answers_of_real_solutions_are_found() -> None:
    """Right where finding it agrees with the verdict that came with the data; at least 99.5 %."""
    judged = [(chain(one.text).conclusion == row.answer) == one.right for row, one in every_solution(200)]
    assert sum(judged) >= 0.995 * len(judged)


def test_answers_are_found_behind_every_mark() -> None:
    marks = [
        "The answer is {}.",
        "#### {}",
        "So it is \\boxed{{{}}}.",
        "**Answer:** ${}",
        "The answer is {} dollars, as asked.",
    ]
    count = wrong = 0
    for row in solved(60):
        text = row.solutions[3].text.rpartition("\nA: ")[0]
        for mark in marks:
            found = conclusion(f"{text}\n{mark.format(row.answer)}", NUMBER)
            count, wrong = count + 1, wrong + (found is None or found.canonical != row.answer)
    assert count >= 300 and wrong <= 0.005 * count


@pytest.mark.slow
def test_answers_of_all_real_solutions_are_found() -> None:
    judged = [(chain(one.text).conclusion == row.answer) == one.right for row, one in every_solution()]
    assert len(judged) == 2680 and sum(judged) >= 0.995 * len(judged)
    rows = [json.loads(line) for line in lines_of("train.jsonl")]
    right = [chain(row["answer"]).conclusion == row["answer"].rpartition("#### ")[2].replace(",", "") for row in rows]
    assert sum(right) >= 0.995 * len(rows)
