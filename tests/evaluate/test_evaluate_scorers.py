"""Scorers by hand."""

from __future__ import annotations

import pytest
from evaluate_rows import example

from tunesmith.core.types import Answer
from tunesmith.evaluate.scorers.exact_match import ExactMatch
from tunesmith.evaluate.scorers.label import Label, find_label
from tunesmith.evaluate.scorers.terminology import Terminology, found_terms


@pytest.mark.parametrize("text", ["Diabetes", "  diabetes\n", "**Diabetes.**", "“DIABETES”", "Ｄｉａｂｅｔｅｓ"])
def test_a_label_is_found_through_its_dress(text: str) -> None:
    assert find_label(text, ("Diabetes", "Asthma")) == "Diabetes"


@pytest.mark.parametrize("text", ["", "Diabetes or Asthma", "I think Diabetes", "Diabete", "diabetes mellitus", "?"])
def test_nothing_is_guessed(text: str) -> None:
    assert find_label(text, ("Diabetes", "Asthma")) is None


def test_labels_that_differ_only_by_case_must_be_met_letter_by_letter() -> None:
    assert find_label("A", ("A", "a")) == "A"
    assert find_label("a", ("A", "a")) == "a"
    assert find_label("a.", ("A", "a")) is None


def test_a_reference_outside_the_set_is_unscored() -> None:
    found = Label(labels=("x", "y")).score(example(1, "z"), Answer(text="x"))
    assert (found.value, found.unscored) == (None, "reference-outside-labels")


def test_exact_match_normalises_case_space_and_marks_but_not_numbers() -> None:
    scorer = ExactMatch()
    assert scorer.score(example(1, "New York"), Answer(text="new  york.")).value == 1.0
    assert scorer.score(example(1, "1000"), Answer(text="1,000")).value == 0.0
    assert ExactMatch(normalise=False).score(example(1, "Yes"), Answer(text="yes")).value == 0.0


def test_terminology_counts_whole_terms_of_the_reference() -> None:
    """The reference holds two of three terms, the answer one of these two: 1/2. `cat` is not met in `category`."""
    scorer = Terminology(terms=("blood pressure", "cat", "fever"))
    found = scorer.score(example(1, "High blood pressure and fever."), Answer(text="Fever in this category"))
    assert found.value == 0.5


def test_a_reference_without_terms_is_unscored_not_perfect() -> None:
    found = Terminology(terms=("fever",)).score(example(1, "Nothing."), Answer(text="fever"))
    assert (found.value, found.unscored) == (None, "no-terms-in-reference")


def test_chinese_terms_are_found_inside_a_run_of_characters() -> None:
    assert found_terms("患者有高血压和发热", ("高血压", "发热", "糖尿病")) == ["高血压", "发热"]
