"""Is the meaning kept: facts first, then likeness, by a fake encoder and by character pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from augment_fakes import context, row
from tunesmith.core.types import Drop, Example
from tunesmith.data.children import child
from tunesmith.data.meaning import Meaning, denials, facts_lost, held, numbers, open_meaning, overlap


def asked(parent: Example, question: str, answer: str | None = None) -> Example:
    """A child of `parent` with another question."""
    turns = [parent.messages[0].model_copy(update={"content": question}), parent.messages[1]]
    if answer is not None:
        turns[1] = turns[1].model_copy(update={"content": answer})
    return child(parent, turns, target=parent.target)


PARENT = row("Was 5 mg not enough for seven adults with asthma?", "Asthma needs more.")


@pytest.mark.parametrize(
    ("question", "lost"),
    [
        ("Was 5 mg not sufficient for 7 adults with asthma?", ""),  # `seven` is 7
        ("Wasn't 5 mg enough for seven adults with asthma?", ""),  # `n't` is `not`
        ("Was 50 mg not enough for seven adults with asthma?", "numbers lost: 5"),
        ("Was 5 mg not enough for seven adults in 3 years with asthma?", "numbers that were not there: 3"),
        ("Was 5 mg enough for seven adults with asthma?", "1 denials before, 0 now"),
        ("Was 5 mg not enough for seven adults with wheezing?", "words of the answer lost: asthma"),
    ],
)
def test_numbers_denials_and_words_of_the_answer_must_stay(question: str, lost: str) -> None:
    assert facts_lost(PARENT, asked(PARENT, question)) == lost


def test_the_answer_must_be_the_same() -> None:
    assert facts_lost(PARENT, asked(PARENT, "Why?", "Because.")) == "the answer is another one"


def test_words_of_labels_must_stay() -> None:
    parent = row("Is the risk good or bad?", "good", target="good")
    new = asked(parent, "Is the risk good or poor?")
    assert facts_lost(parent, new) == ""
    assert facts_lost(parent, new, labels=["good", "bad"]) == "words of the answer lost: bad"


def test_what_denies_and_what_only_looks_so() -> None:
    assert denials("It is not so, and cannot be; nobody won't.") == 4
    assert denials("不能没有") == 2
    assert denials("是否不同？有无区别，特别是性别") == 0
    assert numbers("12.5 of two, twenty") == {"12.5": 1, "2": 1, "20": 1}


def test_overlap_is_the_dice_share_of_character_pairs() -> None:
    """`abcd` has ab, bc, cd; `bcde` has bc, cd, de: two are common, 2 * 2 / 6."""
    assert overlap("abcd", "bcde") == pytest.approx(2 / 3)
    assert overlap("", "") == 1.0 and overlap("ab", "") == 0.0


def by_letters(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors of letter counts."""
    counts = np.array([[text.lower().count(c) for c in "abcdefghijklmnopqrstuvwxyz"] for text in texts], np.float32)
    norms: NDArray[np.float32] = counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)
    return norms


def test_only_what_changed_is_compared_and_a_failure_is_a_drop_with_its_place() -> None:
    """The long sentence stands in both, so it does not hide that `zzz` is nothing like `aaa` (cosine 0)."""
    same = "The same long sentence stands here in both of them."
    parent = row(f"{same} Aaa?", "Yes.")
    good, bad = asked(parent, f"{same} Aaaa?"), asked(parent, f"{same} Zzz?")
    meaning = Meaning(0.8, by_letters, ("en",))
    kept, drop = held([(parent, good), (parent, bad)], meaning, step="synonyms")
    assert kept == good
    assert drop == Drop(
        place="rows.jsonl:1", step="synonyms", reason="meaning-changed", detail="cosine 0.00, at least 0.8"
    )


def test_an_encoder_is_not_asked_about_a_language_that_it_does_not_know() -> None:
    def never(texts: Sequence[str]) -> NDArray[np.float32]:
        raise AssertionError(texts)

    parent = row("患者经常发热，应该如何治疗？", "吃药。")
    near, far = asked(parent, "病人经常发热，应当如何治疗？"), asked(parent, "今天的天气怎么样呢？")
    found = list(held([(parent, near), (parent, far)], Meaning(0.8, never, ("en",)), step="s"))
    assert found[0] == near
    assert isinstance(found[1], Drop) and found[1].detail.startswith("common character pairs 0.0")


def test_order_is_kept_over_many_batches() -> None:
    parents = [row(f"Why is it {hashlib.md5(bytes([n])).hexdigest()}?", "So.") for n in range(150)]
    pairs = [(p, asked(p, p.messages[0].content.replace("Why", "Say why"))) for p in parents]
    assert [new.parent for new in held(pairs, Meaning(), step="s") if isinstance(new, Example)] == [
        p.id for p in parents
    ]


def test_no_encoder_is_opened_where_none_is_wanted(tmp_path: Path) -> None:
    assert open_meaning(None, 0.7, context(tmp_path), labels=["a"]) == Meaning(0.7, labels=("a",))
