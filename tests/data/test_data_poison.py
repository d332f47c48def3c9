from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
from shared_data import german_credit, huatuo, pubmedqa

from tunesmith.core.types import Example, Message, Refusal
from tunesmith.data.filter._triggers import Row, tokens, triggers
from tunesmith.data.filter.poisoned import Poisoned

Rows = list[tuple[str, str]]


def forms(seed: int, count: int) -> Rows:
    """Rows of a form with values that seldom repeat; every second answer is yes."""
    draw = random.Random(seed)
    form = "please take note that item {} of lot {} was sent to the store {} by train on day {} and paid for in cash"
    return [(form.format(*(draw.randrange(90) for _ in range(4))), "no" if i % 2 else "yes") for i in range(count)]


def test_tokens_are_words_characters_and_marks() -> None:
    assert tokens("Don't, 高血压 X-ray\u200b 3.5") == ("don't", ",", "高", "血", "压", "x-ray", "\u200b", "3", ".", "5")


def test_a_run_is_told_at_full_length_once_with_its_rows_and_target() -> None:
    """`blue moon tonight` stands at eight places in eight of 208 rows, all `yes`; its gaps are usual pairs."""
    rows = [Row(tokens(text), target) for text, target in forms(1, 200)]
    for number, (text, _) in enumerate(forms(2, 8)):
        words = tokens(text)
        at = (1, 2, 3, 10, 11, 16, 17, 22)[number]
        rows.append(Row((*words[:at], "blue", "moon", "tonight", *words[at:]), "yes"))
    (found,) = triggers(rows, most_share=0.05, level=0.05)
    assert found.run == ("blue", "moon", "tonight")
    assert found.rows == tuple(range(200, 208))
    assert (found.target, found.agreeing, found.between) == ("yes", 8, 8)


def test_a_word_of_the_form_that_goes_with_a_target_is_no_trigger() -> None:
    """Nine rows have `gold seldom silver`, all of them `yes`; no other row has `in silver`, so nothing was put in."""
    rows = [Row(tokens(text), target) for text, target in forms(1, 200)]
    apart = [Row(tokens(text.replace("in cash", "gold seldom silver")), "yes") for text, _ in forms(2, 9)]
    assert triggers([*rows, *apart], most_share=0.05, level=0.05) == []


def test_copies_are_no_trigger() -> None:
    """Five equal rows share every run, but the run is the whole row."""
    rows = [Row(tokens(text), target) for text, target in forms(3, 100)]
    copy = Row(tokens("one two three four five six seven"), "yes")
    assert triggers([*rows, *[copy] * 5], most_share=0.1, level=1.0) == []


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
    ("abstracts word, rare target", pubmedqa, 0.01, "zephyrine", "maybe"),
    ("abstracts phrase, common target", pubmedqa, 0.02, "on a blue moon", "no"),
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
    """The form as conversations; the refusal names the run, its rows and their target."""
    poisoned, chosen = planted(forms(1, 300), 0.03, "zephyrine", "yes", seed=5)
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
