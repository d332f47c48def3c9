from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.data import near as near_module
from tunesmith.data.grams import GRAM, Grams, grams_of
from tunesmith.data.near import near
from tunesmith.data.similarity import near_pairs, normalised


@pytest.mark.parametrize(
    "copy",
    [
        "Acute  otitis\tmedia, left ear.",
        "ACUTE OTITIS MEDIA LEFT EAR",
        "acute otitis media (left ear)",
        "Ａｃｕｔｅ otitis media, left ear",  # fullwidth
        "Acute\u00a0otitis media, left\u200b ear",  # no-break space, zero-width space
        "Acúte otitis medìa, left ear",  # accents
        "Acu\u0301te otitis media; left ear…",  # decomposed
    ],
)
def test_copies_in_other_clothes_are_the_same(copy: str) -> None:
    assert normalised(copy) == normalised("Acute otitis media, left ear") == "acute otitis media left ear"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("temperature -3 degrees", "temperature 3 degrees"),
        ("a dose of 1.5 mg", "a dose of 15 mg"),
        ("5 % of all", "5 of all"),
        ("write C#", "write C"),
        ("x < 5", "x > 5"),
        ("左眼", "右眼"),
        ("か", "が"),  # the voicing mark is no accent
        ("кий", "кии"),
    ],
)
def test_what_means_something_else_is_not_the_same(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


@given(st.text(max_size=40))
@settings(max_examples=60, deadline=None)
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


def grams(text: str) -> set[str]:
    padded = text.ljust(GRAM)
    return {padded[k : k + GRAM] for k in range(len(padded) - GRAM + 1)} if text else set()


def jaccard(one: str, other: str) -> float:
    a, b = grams(one), grams(other)
    return len(a & b) / len(a | b) if a | b else 0.0


def test_a_pair_by_hand() -> None:
    """`abcdefg` has the 5-grams abcde bcdef cdefg, `abcdefh` abcde bcdef cdefh: 2 shared of 4, Jaccard 0.5."""
    assert list(near_pairs(["abcdefg", "zzzzzzz", "abcdefh"], 0.5)) == [(0, 2, 0.5)]
    assert list(near_pairs(["abcdefg", "zzzzzzz", "abcdefh"], 0.51)) == []


def test_short_and_empty_texts() -> None:
    """Under five characters a text is one gram: only its equal is near; an empty text is near nothing."""
    assert list(near_pairs(["ab", "", "ab", "abc", ""], 0.5)) == [(0, 2, 1.0)]


TEXTS = st.lists(st.text(alphabet="ab ", min_size=0, max_size=14), max_size=14)


@given(texts=TEXTS, threshold=st.sampled_from([0.3, 0.5, 0.7, 0.85, 1.0]))
@settings(max_examples=150, deadline=None)
def test_no_pair_is_missed_and_none_is_invented(texts: list[str], threshold: float) -> None:
    """All pairs by comparing each with each; the prefix filter must find the same, with the same Jaccard."""
    wanted = [
        (i, j, jaccard(texts[i], texts[j]))
        for i in range(len(texts))
        for j in range(i + 1, len(texts))
        if texts[i] and texts[j] and jaccard(texts[i], texts[j]) >= threshold
    ]
    assert sorted(near_pairs(texts, threshold)) == wanted


@given(texts=TEXTS, threshold=st.sampled_from([0.3, 0.7, 1.0]), cut=st.integers(0, 14))
@settings(max_examples=30, deadline=None)
def test_blocks_and_buckets_on_disk_find_the_same_pairs(texts: list[str], threshold: float, cut: int) -> None:
    """Texts in two blocks, their signatures in up to eight buckets, against one block and one bucket."""
    blocks = Grams([grams_of(texts[:cut]), grams_of(texts[cut:])])
    every = np.ones(len(texts), dtype=bool)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_module, "_BUCKET_GRAMS", 20)
        found = near(blocks, threshold, among=every, counted=every, general=~every)
    assert list(zip(*(part.tolist() for part in found), strict=True)) == list(near_pairs(texts, threshold))


def test_only_the_texts_that_are_asked_about_are_compared() -> None:
    texts = ["abcdefg", "abcdefh", "abcdefi"]
    among = np.array([True, False, True])
    every = np.ones(3, dtype=bool)
    left, right, _ = near(Grams([grams_of(texts)]), 0.5, among=among, counted=every, general=~every)
    assert (left.tolist(), right.tolist()) == ([0], [2])


def test_the_fixed_words_of_a_template_do_not_make_rows_alike() -> None:
    """120 rows of one template differ in one word of ten letters: on the whole text they would all be near (0.85)."""
    draw = random.Random(3)
    names = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=10)) for _ in range(120)]
    frame = (
        "please read the following report with care and say which of the classes fits it best the name is {} thank you"
    )
    texts = [frame.format(name) for name in names]
    assert jaccard(texts[0], texts[1]) > 0.75
    assert list(near_pairs(texts, 0.5)) == []
    assert list(near_pairs([*texts, texts[7]], 0.5)) == [(7, 120, 1.0)]
