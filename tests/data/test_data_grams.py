"""Grams on disk: the same as in memory, and nothing of them stays in memory."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

from tunesmith.core.types import Example, Message
from tunesmith.data.grams import Grams
from tunesmith.data.index import Piece, joined, piece_of

MAPS = Path("/proc/self/maps")
TEXTS = ["", "one text of some words", "another text of quite other words", "short"]


def pieces(folder: Path) -> tuple[Grams, Grams]:
    """The 5-grams of all that is said in four rows, twice: in memory, and read back from the disk."""
    rows = [Example(id=f"ex-{i}", messages=(Message(role="user", content=text),)) for i, text in enumerate(TEXTS)]
    made = piece_of(rows, (), seed=0, near=True)
    found = []
    for number in range(2):
        place = folder / str(number)
        place.mkdir()
        made.write(place)
        found.append(Piece.read(place))
    return joined([made, made]).grams["own"], joined(found).grams["own"]


def test_grams_on_disk_are_those_in_memory(tmp_path: Path) -> None:
    memory, disk = pieces(tmp_path)
    rows = np.array([1, 3, 5, 6, 7], dtype=np.int64)
    for grams in (disk, copy.copy(disk)):  # a copy is made as what is sent to another process
        assert grams.total == memory.total and grams.texts == memory.texts == 8
        for ours, theirs in zip(grams.of(rows), memory.of(rows), strict=True):
            assert ours.tolist() == theirs.tolist()
        for (first, flat, sizes), (first_too, flat_too, sizes_too) in zip(grams.each(), memory.each(), strict=True):
            assert (first, flat.tolist(), sizes.tolist()) == (first_too, flat_too.tolist(), sizes_too.tolist())


def test_grams_of_questions_that_are_all_that_is_said_are_written_once(tmp_path: Path) -> None:
    """A row that is only asked has one text; where one is answered, question and whole differ, and both are kept."""
    asked = Message(role="user", content="a question of some words")
    answered = (asked, Message(role="assistant", content="an answer"))
    for name, messages in (("asked", (asked,)), ("answered", answered)):
        (tmp_path / name).mkdir()
        made = piece_of([Example(id="ex-0", messages=messages)], (), seed=0, near=True)
        made.write(tmp_path / name)
        assert (tmp_path / name / "asked.npy").exists() == (name == "answered")
        found, memory = joined([Piece.read(tmp_path / name)]), joined([made])
        for column in ("own", "asked"):
            assert (
                found.grams[column].of(np.array([0]))[0].tolist() == memory.grams[column].of(np.array([0]))[0].tolist()
            )


@pytest.mark.skipif(not MAPS.exists(), reason="needs /proc/self/maps, which Linux has")
def test_nothing_stays_mapped_when_it_has_been_looked_at(tmp_path: Path) -> None:
    """5-grams are eight times the text, or twice that: were they left mapped, memory would grow with the text."""
    _, disk = pieces(tmp_path)
    assert sum(len(flat) for _, flat, _ in disk.each()) == sum(len(flat) for _, flat, _ in disk.stretches(10))
    assert len(disk.of(np.arange(8))[0]) == disk.total
    assert str(tmp_path) not in MAPS.read_text()
