from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.types import Example, Message, Split, example_id
from tunesmith.data.duplicates import copies
from tunesmith.data.index import NAMES, Index, index_of
from tunesmith.data.leak import leakage as leakage_of
from tunesmith.data.leak import placed
from tunesmith.data.spec import Duplicates
from tunesmith.data.split import assign_splits as assign
from tunesmith.data.split import cap_rows as cap

SHARES: dict[Split, float] = {"train": 0.8, "valid": 0.1, "test": 0.1}


def row(
    question: str, answer: str = "a", *, split: Split | None = None, group: str | None = None, place: str = ""
) -> Example:
    turns = (
        Message(role="system", content="The same long prompt for everybody, with all the labels in it."),
        Message(role="user", content=question),
        Message(role="assistant", content=answer),
    )
    place = place or question
    return Example(id=example_id(turns, answer), messages=turns, target=answer, split=split, group=group, place=place)


def splits_of(rows: list[Example], index: Index) -> list[Example]:
    """The rows that are still there, with their splits."""
    told = zip(rows, index.rows["split"].tolist(), index.kept.tolist(), strict=True)
    return [example.model_copy(update={"split": NAMES[code]}) for example, code, kept in told if kept]


def without_duplicates(rows: list[Example], spec: Duplicates) -> tuple[list[Example], list[tuple[str, str, str]]]:
    """(rows kept, (place, reason, detail) of the others)."""
    index = index_of(rows)
    found = copies(index, spec)
    told = [(rows[i].place, c.reason, c.detail(rows[c.keeper].place)) for i, c in sorted(found.items())]
    return splits_of(rows, index), told


def assign_splits(rows: list[Example], shares: dict[Split, float], *, near: float | None, seed: int) -> list[Example]:
    index = index_of(rows, seed=seed)
    assign(index, shares, near=None if near is None else index.near("asked", near))
    return splits_of(rows, index)


def cap_rows(rows: list[Example], at_most: dict[Split, int], *, seed: int) -> tuple[list[Example], int]:
    index = index_of(rows, seed=seed)
    gone = cap(index, at_most)
    return splits_of(rows, index), sum(len(numbers) for numbers in gone.values())


def leakage(rows: list[Example], threshold: float | None) -> dict[str, Any]:
    index = index_of(rows)
    near = None if threshold is None else index.near("asked", threshold)
    return placed(leakage_of(index, near, threshold), dict(enumerate(e.place for e in rows)))


def words(seed: int, n: int) -> list[str]:
    """`n` texts of five random words: no two of them near."""
    draw = random.Random(seed)
    return [" ".join("".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(5)) for _ in range(n)]


class TestDuplicates:
    def test_the_first_copy_stays_and_is_named(self) -> None:
        kept, drops = without_duplicates(
            [row("High fever", place="f:1"), row("high  FEVER!", place="f:2")], Duplicates()
        )
        assert [e.place for e in kept] == ["f:1"]
        assert drops == [("f:2", "exact-duplicate", "the same as f:1")]

    def test_near_copies(self) -> None:
        """One letter of 59: the texts (with answer) have 57 5-grams each, 52 shared, Jaccard 52/62 = 0.839."""
        one = "the patient complains of pain in the left knee since monday"
        rows = [row(one, place="f:1"), row(one.replace("left", "lefd"), place="f:2")]
        kept, drops = without_duplicates(rows, Duplicates(near=0.83))
        assert [e.place for e in kept] == ["f:1"]
        assert drops == [("f:2", "near-duplicate", "Jaccard 0.839 with f:1")]
        assert len(without_duplicates(rows, Duplicates(near=0.85))[0]) == 2

    def test_a_shared_system_prompt_does_not_make_rows_alike(self) -> None:
        assert len(without_duplicates([row(w) for w in ("cough", "fever", "rash")], Duplicates())[0]) == 3

    def test_the_same_question_with_another_answer_stays(self) -> None:
        rows = [row("fever", "good"), row("fever", "bad")]
        assert without_duplicates(rows, Duplicates())[0] == rows

    def test_a_chain_of_near_copies_does_not_vanish_as_a_whole(self) -> None:
        """b is near a, c is near b but not near a: only b goes."""
        a, b, c = "abcdefghijklmnopqrst", "abcdefghijklmnopqrsX", "abcdefghijklmnopqXsX"
        rows = [row(text, "", place=text) for text in (a, b, c)]
        kept, _ = without_duplicates(rows, Duplicates(exact=False, near=0.7))
        assert [e.place for e in kept] == [a, c]

    def test_copies_across_ready_made_splits_are_left_for_the_leak_check(self) -> None:
        rows = [row("fever", split="train"), row("fever", split="test"), row("fever", split="test")]
        kept, drops = without_duplicates(rows, Duplicates())
        assert [e.split for e in kept] == ["train", "test"]
        assert len(drops) == 1

    def test_equal_rows_are_near_ones_where_exact_ones_are_not_looked_for(self) -> None:
        rows = [row("a long enough question", place=f"f:{i}") for i in range(3)]
        kept, drops = without_duplicates(rows, Duplicates(exact=False))
        assert [e.place for e in kept] == ["f:0"]
        assert drops[1] == ("f:2", "near-duplicate", "Jaccard 1.000 with f:0")

    def test_both_can_be_switched_off(self) -> None:
        rows = [row("fever"), row("fever")]
        assert without_duplicates(rows, Duplicates(exact=False, near=None)) == (rows, [])


class TestSplit:
    def test_shares_are_reached_per_label(self) -> None:
        """1,000 rows, 700 of label a and 300 of b, groups of five: within a group of 800/100/100 and of 80 % each."""
        texts = words(1, 1000)
        rows = [row(t, "a" if i < 700 else "b", group=f"g{i // 5}") for i, t in enumerate(texts)]
        done = assign_splits(rows, SHARES, near=0.85, seed=1)
        count = Counter((e.split, e.target) for e in done)
        assert {k: v for k, v in count.items() if k[0] == "train"} == {("train", "a"): 560, ("train", "b"): 240}
        assert {k: v for k, v in count.items() if k[0] == "test"} == {("test", "a"): 70, ("test", "b"): 30}

    def test_a_label_with_one_group_is_trained_on(self) -> None:
        rows = [row(t, f"label {i // 5}", group=f"g{i // 5}") for i, t in enumerate(words(2, 50))]
        done = assign_splits(rows, SHARES, near=None, seed=1)
        assert {e.target for e in done if e.split == "train"} == {f"label {i}" for i in range(10)}

    def test_the_seed_decides_and_decides_alike(self) -> None:
        rows = [row(t) for t in words(3, 60)]
        splits = [[e.split for e in assign_splits(rows, SHARES, near=0.85, seed=s)] for s in (1, 1, 2)]
        assert splits[0] == splits[1] != splits[2]

    def test_rows_that_came_with_a_split_keep_it_and_take_their_group_along(self) -> None:
        rows = [row("x", group="g", split="test"), row("y", group="g"), *(row(w) for w in words(4, 10))]
        done = assign_splits(rows, SHARES, near=0.85, seed=1)
        assert [e.split for e in done[:2]] == ["test", "test"]

    def test_a_split_without_a_share_gets_nothing(self) -> None:
        done = assign_splits(
            [row(w) for w in words(5, 40)], {"train": 3.0, "valid": 0.0, "test": 1.0}, near=None, seed=1
        )
        assert Counter(e.split for e in done) == {"train": 30, "test": 10}

    @given(
        groups=st.lists(st.integers(0, 6) | st.none(), min_size=1, max_size=24),
        texts=st.lists(st.text(alphabet="ab", min_size=6, max_size=9), min_size=24, max_size=24),
        seed=st.integers(0, 3),
    )
    @settings(max_examples=40, deadline=None)
    def test_no_group_and_no_near_pair_straddles_splits(
        self, groups: list[int | None], texts: list[str], seed: int
    ) -> None:
        rows = [row(texts[i], group=None if g is None else f"g{g}") for i, g in enumerate(groups)]
        done = assign_splits(rows, SHARES, near=0.6, seed=seed)
        assert [e.id for e in done] == [e.id for e in rows]
        assert all(e.split for e in done)
        by_group: dict[str, set[str | None]] = defaultdict(set)
        for example in done:
            if example.group:
                by_group[example.group].add(example.split)
        assert all(len(splits) == 1 for splits in by_group.values())
        found = leakage(done, 0.6)
        assert [found[s][k] for s in ("valid", "test") for k in ("exact", "near")] == [0, 0, 0, 0]


class TestCap:
    def test_labels_keep_their_proportions(self) -> None:
        """60 a, 30 b, 10 c cut to 15: exact shares 9, 4.5 and 1.5; the half left over goes to b, first by name."""
        labels = ["a"] * 60 + ["b"] * 30 + ["c"] * 10
        rows = [row(t, label, split="train") for t, label in zip(words(6, 100), labels, strict=True)]
        kept, gone = cap_rows(rows, {"train": 15}, seed=1)
        assert Counter(e.target for e in kept) == {"a": 9, "b": 5, "c": 1}
        assert gone == 85

    def test_under_the_cap_nothing_happens(self) -> None:
        rows = [row(t, split="test") for t in words(7, 5)]
        assert cap_rows(rows, {"test": 5, "train": 1}, seed=1) == (rows, 0)


class TestLeak:
    def test_planted_copies_are_found_with_their_places(self) -> None:
        """Of 20 test rows 5 are copies in other clothes and 1 differs in one letter: exact 5 (25 %), near 1 (5 %)."""
        texts = words(8, 40)
        train = [row(t, split="train", place=f"train:{i}") for i, t in enumerate(texts[:20])]
        clothes = [
            texts[0],
            texts[1].upper(),
            texts[2].replace(" ", "\u00a0  "),
            texts[3] + "!",
            texts[4].replace("a", "á"),
        ]
        near = texts[5][:-1] + "é" + texts[5][-1]
        test = [row(t, split="test", place=f"test:{i}") for i, t in enumerate([*clothes, near, *texts[26:40]])]
        found = leakage([*train, *test], 0.85)["test"]
        assert (found["rows"], found["exact"], found["near"]) == (20, 5, 1)
        assert (found["exact_share"], found["near_share"]) == (0.25, 0.05)
        assert found["kinds"] == {
            "verbatim": 1, "folded": 4, "reordered": 0, "near": 1, "contained": 0, "reworded": 0, "meaning": None,
        }  # fmt: skip
        assert found["pairs"][0] == {"row": "test:0", "train": "train:0", "match": "verbatim", "score": 1.0}
        assert found["pairs"][5]["train"] == "train:5"
        assert found["pairs"][5]["match"] == "near"

    def test_the_same_question_with_another_answer_is_a_leak(self) -> None:
        found = leakage([row("fever", "good", split="train"), row("fever", "bad", split="test")], None)
        assert found["test"]["exact"] == 1

    def test_without_a_threshold_near_is_not_zero_but_unknown(self) -> None:
        assert leakage([row("fever", split="test")], None)["test"]["near"] is None

    def test_a_copy_between_valid_and_test_is_no_leak(self) -> None:
        found = leakage([row("fever", split="valid"), row("fever", split="test")], 0.85)
        assert found["valid"]["exact"] == found["test"]["exact"] == 0
