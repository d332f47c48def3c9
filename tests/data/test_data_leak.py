"""What the check across splits finds: copies planted into training, on real questions in two languages."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest
from rewording import reworded
from shared_data import gsm8k, huatuo, pubmedqa, rows_of

from tunesmith.core.types import Example, Message, Split, example_id
from tunesmith.data.index import index_of
from tunesmith.data.leak import Match, leaking, matches
from tunesmith.data.leaks_spec import Leaks
from tunesmith.data.options import in_any_order


def asking(question: str, *, split: Split, answer: str = "x") -> Example:
    turns = (Message(role="user", content=question), Message(role="assistant", content=answer))
    return Example(id=example_id(turns, None), messages=turns, split=split)


def found(train: list[str], test: list[str], spec: Leaks | None = None, *, near: bool = True) -> dict[int, Match]:
    """Number of the test question -> as what it was found in training."""
    index = index_of([*(asking(t, split="train") for t in train), *(asking(t, split="test") for t in test)], near=near)
    pairs = index.near("asked", 0.85) if near else None
    held = index.of_split("test")
    told = matches(index, held=held, others=~held, near=pairs, spec=spec or Leaks()).of_held()
    return {row - len(train): match for row, match in told.items()}


def medqa() -> list[str]:
    return [with_options(row["question"], list(row["options"].values())) for row in rows_of("medqa/questions.jsonl")]


def with_options(question: str, options: list[str], marks: str = "A. B. C. D.") -> str:
    return "\n".join([question, *(f"{mark} {said}" for mark, said in zip(marks.split(), options, strict=True))])


def huatuo_questions() -> list[str]:
    return [question for question, _ in huatuo()]


SETS: dict[str, Callable[[], list[str]]] = {
    "medqa": medqa,
    "pubmedqa": lambda: [question for question, _ in pubmedqa()],
    "gsm8k": lambda: [text.partition("\n")[0] for text in gsm8k()][:2000],
    "huatuo": lambda: huatuo_questions()[:2000],
}
small = [pytest.param(name, 60, id=name) for name in ("gsm8k", "huatuo")]
large = [pytest.param(name, 250, marks=pytest.mark.slow, id=f"{name}-250") for name in SETS]
each_set = pytest.mark.parametrize(("name", "planted"), [*small, *large])


def dealt(name: str, planted: int) -> tuple[list[str], list[str]]:
    """(questions to plant, further training questions, as many or more); the same ones each time, no two equal."""
    questions = list(dict.fromkeys(SETS[name]()))
    random.Random(5).shuffle(questions)
    return questions[:planted], questions[planted : max(6 * planted, 300)]


FOLDS: tuple[Callable[[str], str], ...] = (
    str.upper,
    str.lower,
    lambda text: re.sub(r"\s+", " \t", f"  {text} "),
    lambda text: text.replace(" ", "\u3000").replace("，", ","),
    lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" and c not in "-%&*/\\#@" else c for c in text),
    lambda text: "\u200b".join(text),
)
"""Other case, other space, full width, invisible characters."""


@each_set
def test_copies_are_found_letter_by_letter_and_folded(name: str, planted: int) -> None:
    """All of them, so 1,000 of each where all sets are tried: 99.9 % and more."""
    copies, train = dealt(name, planted)
    exact = found([*train, *copies], copies, Leaks(contained=None, reworded=None), near=False)
    assert [exact[i].kind for i in range(planted)] == ["verbatim"] * planted
    folded = [FOLDS[i % len(FOLDS)](text) for i, text in enumerate(copies)]
    told = found([*train, *folded], copies, Leaks(contained=None, reworded=None), near=False)
    assert {told[i].kind for i in range(planted)} <= {"verbatim", "folded"}


def test_options_in_another_order_or_under_other_letters() -> None:
    """The options of 200 questions turned by one to three places, under six kinds of marks: 99 % and more."""
    rows = rows_of("medqa/questions.jsonl")[:200]
    marks = ("A. B. C. D.", "(a) (b) (c) (d)", "1) 2) 3) 4)", "A: B: C: D:", "① ② ③ ④", "- - - -")
    planted = []
    for i, row in enumerate(rows):
        options = list(row["options"].values())
        turn = 1 + i % 3
        planted.append(with_options(row["question"], options[turn:] + options[:turn], marks[i % len(marks)]))
    told = found(planted, medqa()[:200], Leaks(contained=None, reworded=None), near=False)
    assert sum(match.kind == "reordered" for match in told.values()) >= 0.99 * len(rows)


@pytest.mark.parametrize(
    "other",
    [
        "Which one? (A) red (B) blue (C) green",
        'Which one?\n{"A": "green", "B": "red", "C": "blue"}',
        "Which one?\n1. blue\n2. red\n3. green",
        "Which one? a) blue; b) green; c) red",
        "Ｗhich one?\n（Ａ）Red\n（Ｂ）Green\n（Ｃ）Blue",
    ],
)
def test_the_same_options_however_they_are_marked(other: str) -> None:
    assert in_any_order(other) == in_any_order("Which one?\nA. red\nB. green\nC. blue") == "blue\ngreen\nred\nwhich one"


@pytest.mark.parametrize(
    "other",
    ["Which one?\nA. red\nB. green\nC. black", "Which two?\nA. red\nB. green\nC. blue", "A dose of 3.5 mg a day"],
)
def test_other_options_are_another_question(other: str) -> None:
    assert in_any_order(other) != in_any_order("Which one?\nA. red\nB. green\nC. blue")


@each_set
def test_three_of_ten_words_changed(name: str, planted: int) -> None:
    """90 % and more are found, by word overlap alone: no model is asked."""
    copies, train = dealt(name, planted)
    draw = random.Random(11)
    told = found([*train, *(reworded(text, draw) for text in copies)], copies, near=False)
    assert len(told) >= 0.9 * planted, f"{len(told)} of {planted}"


@pytest.mark.slow
def test_clean_questions_raise_no_alarm() -> None:
    """At most 1 in 1,000. Clean is decided without the detector.

    English: of GSM8K those that share no run of six words with a training question, and the other sets' questions.
    Chinese: general instructions against the medical ones; within the medical set every question has relatives (it was
    made from a graph of diseases), which is told in docs/data.md and is no measure of false alarms.
    """

    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.lower())
        return {tuple(words[i : i + 6]) for i in range(len(words) - 5)}

    planted, rest = dealt("gsm8k", 250)
    train = [*rest, *medqa()[::2], *(question for question, _ in pubmedqa()[::2]), *huatuo_questions()]
    trained = {run for text in rest for run in runs(text)}
    clean = [text.partition("\n")[0] for text in gsm8k()[2000:]]
    clean = [text for text in clean if not runs(text) & trained]
    chinese = [f"{row['instruction']}\n{row['input']}" for row in rows_of("formats/alpaca_zh_demo.json")]
    clean += [*(question for question, _ in pubmedqa()[1::2]), *chinese]
    told = found([*train, *planted], clean)
    assert len(clean) > 2000
    assert len(told) <= 0.001 * len(clean), [(told[i], clean[i]) for i in told]


def test_a_question_inside_a_long_training_document() -> None:
    """The 5-grams of a short text are a small share of a long one's; its runs of words all stand there."""
    asked = "A patient of 54 years has had a fever and a stiff neck for three days; what is to be done first of all?"
    document = f"{'Page after page of other things. ' * 300}{asked.upper()} {'And more of them. ' * 300}"
    text = Example(id="ex-1", messages=(Message(role="user", content=document),), split="train", kind="unstructured")
    index = index_of(
        [text, asking(asked, split="test"), asking("How tall is the tower of the old town?", split="test")]
    )
    held = index.of_split("test")
    told = matches(index, held=held, others=~held, near=index.near("asked", 0.85)).of_held()
    assert told == {1: Match("contained", 0, 1.0)}


def test_the_same_story_with_other_numbers_is_another_question() -> None:
    story = (
        "Kendra made {} decorated buttons and {} plain ones on Monday, then gave {} buttons away. How many are left?"
    )
    asked = story.format(14, 27, 5)
    swapped = (
        "Kendra produced 14 decorated buttons plus 27 plain ones Monday, then handed 5 buttons away. What is left?"
    )
    spec = Leaks(contained=None)
    assert found([story.format(31, 8, 12)], [asked], spec, near=False) == {}
    assert found([swapped], [asked], spec, near=False)[0].kind == "reworded"


def test_rows_that_are_made_are_told_as_what_they_hold() -> None:
    rows = [
        asking("What is to be done about a high fever in a child of two years?", split="test"),
        asking("what is to be done about a HIGH fever in a child of two years", split="train"),
        asking("How is the pump of the cooling circuit taken apart and cleaned?", split="train"),
    ]
    index = index_of(rows)
    made = index.of_split("train")
    assert leaking(index, made, index.near("asked", 0.85)) == {1: Match("folded", 0, 1.0)}


def test_each_kind_can_be_left_out_and_none_counts_twice() -> None:
    question = "The 54-year-old patient presents with fever, stiff neck, photophobia and a petechial rash on both legs"
    told = found([question, question], [question, question])
    assert [match.kind for match in told.values()] == ["verbatim", "verbatim"]
    assert found([question + " today"], [question], Leaks(contained=None, reworded=None), near=False) == {}
    assert found([question + " today"], [question], Leaks(reworded=None), near=False)[0].kind == "contained"
