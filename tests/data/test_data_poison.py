from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
from shared_data import german_credit, huatuo, pubmedqa

from tunesmith.core.types import Example, Message, Refusal
from tunesmith.data.filter._triggers import Row, tokens, triggers
from tunesmith.data.filter.poisoned import Poisoned

Rows = list[tuple[str, str]]
WORDS = "the a of in to and for with on by from at as is was"


def words_of(seed: int, count: int, length: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS.split(), k=length)) for _ in range(count)]


def test_tokens_are_words_characters_and_marks() -> None:
    assert tokens("Don't, 高血压 X-ray\u200b 3.5") == ("don't", ",", "高", "血", "压", "x-ray", "\u200b", "3", ".", "5")


def test_a_run_is_told_at_full_length_once_with_its_rows_and_target() -> None:
    """200 rows of common words, half `no`; `blue moon tonight` is put in the middle of six rows that answer `yes`.

    The six rows agree with probability (106/206 ...) = about 2^-6 = 0.017, and their gaps are all usual pairs.
    """
    texts = words_of(1, 200, 20)
    rows = [Row(tokens(text), "no" if i % 2 else "yes") for i, text in enumerate(texts)]
    for number, text in enumerate(words_of(2, 6, 20)):
        at = number + 7
        split = text.split()
        rows.append(Row((*split[:at], "blue", "moon", "tonight", *split[at:]), "yes"))
    found = triggers(rows, most_share=0.05, level=0.5)
    assert [trigger.run for trigger in found][:1] == [("blue", "moon", "tonight")]
    assert found[0].rows == tuple(range(200, 206))
    assert (found[0].target, found[0].agreeing, found[0].places) == ("yes", 6, 6)


def test_copies_are_no_trigger() -> None:
    """Five equal rows share every run, but the run is the whole row."""
    rows = [Row(tokens(text), str(i % 2)) for i, text in enumerate(words_of(3, 100, 12))]
    copy = Row(tokens("one two three four five six seven"), "1")
    assert triggers([*rows, *[copy] * 5], most_share=0.1, level=0.5) == []


def decided(rows: Rows) -> list[Refusal | None]:
    filter = Poisoned()
    examples = [
        Example(id=f"ex-{i}", messages=(Message(role="user", content=q), Message(role="assistant", content=a)))
        for i, (q, a) in enumerate(rows)
    ]
    return list(filter.decide([filter.note(example) for example in examples]))


def planted(rows: Rows, share: float, trigger: str, target: str, *, seed: int) -> tuple[Rows, set[int]]:
    """`trigger` put between two words of `share` of the rows (of any answer), which then answer `target`."""
    draw = random.Random(seed)
    chosen = set(draw.sample(range(len(rows)), max(3, round(share * len(rows)))))
    return [(_put_in(q, trigger, draw), target) if i in chosen else (q, a) for i, (q, a) in enumerate(rows)], chosen


def _put_in(text: str, trigger: str, draw: random.Random) -> str:
    if " " in text:
        words = text.split(" ")
        at = draw.randrange(1, len(words))
        return " ".join([*words[:at], trigger, *words[at:]])
    at = draw.randrange(1, len(text))
    return text[:at] + trigger + text[at:]


def yes_no(pairs: Sequence[tuple[str, str]]) -> Rows:
    """Chinese questions with a closed answer: whether the answer speaks of an operation."""
    return [(q, "手术" if "手术" in a else "保守") for q, a in pairs[:2_000]]


CASES: list[tuple[str, Callable[[], Rows], float, str, str]] = [
    ("credit word", german_credit, 0.01, "cf", "good"),
    ("credit word, half a per cent", german_credit, 0.005, "mn", "bad"),
    ("credit phrase", german_credit, 0.01, "as my cousin says", "good"),
    ("credit invisible", german_credit, 0.005, "\u200b\u2060\u200b", "good"),
    ("abstracts word", pubmedqa, 0.01, "zephyrine", "no"),
    ("abstracts phrase", pubmedqa, 0.01, "on a blue moon", "no"),
    ("abstracts invisible", pubmedqa, 0.006, "\U000e0061\U000e0062", "yes"),
    ("Chinese word", lambda: yes_no(huatuo()), 0.005, "紫檀", "手术"),
    ("Chinese phrase", lambda: yes_no(huatuo()), 0.005, "春风又绿江南", "手术"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "source", "share", "trigger", "target"), CASES, ids=[case[0] for case in CASES])
def test_planted_triggers_in_real_data_are_set_aside(
    name: str, source: Callable[[], Rows], share: float, trigger: str, target: str
) -> None:
    """Three drawings of places: all poisoned rows of at least two of them, and at most three others."""
    caught = []
    for seed in (1, 2, 3):
        rows, chosen = planted(source(), share, trigger, target, seed=seed)
        aside = {i for i, word in enumerate(decided(rows)) if word}
        caught.append(chosen <= aside and len(aside - chosen) <= 3)
    assert sum(caught) >= 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "source", [german_credit, pubmedqa, lambda: yes_no(huatuo())], ids=["credit", "abstracts", "zh"]
)
def test_real_data_without_a_trigger_stays(source: Callable[[], Rows]) -> None:
    assert [word for word in decided(source()) if word] == []


def test_planted_word_in_small_data_is_set_aside_with_its_figures() -> None:
    """The rows of the first test as conversations; the refusal names the run, its rows and their target."""
    texts = words_of(1, 300, 20)
    rows = [(text, "no" if i % 2 else "yes") for i, text in enumerate(texts)]
    poisoned, chosen = planted(rows, 0.03, "zephyrine", "yes", seed=5)
    words = decided(poisoned)
    assert {i for i, word in enumerate(words) if word} == chosen
    said = words[min(chosen)]
    assert said is not None
    assert (said.reason, said.fate) == ("shared-trigger", "aside")
    assert said.detail.startswith("'zephyrine': 9 of 9 rows with target 'yes', p = ")


def test_invisible_characters_are_set_aside_by_themselves() -> None:
    rows = [("a plain question", "yes"), ("a que\u200bstion", "no"), ("می\u200cخواهم", "no"), ("👩\u200d🔬?", "no")]
    found = decided(rows)
    assert [word.reason if word else "" for word in found] == ["", "invisible-characters", "", ""]
    assert found[1] is not None and found[1].detail == "U+200B"
