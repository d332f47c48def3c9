"""Dirt as exports have it, put into clean training rows at known shares, so that cleaning can be measured."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from pathlib import Path

DIRTY = 0.5
"""Share of rows whose text is dirtied, each in one way."""

COPIED = 0.2
"""Share of rows that stand there a second time with a random answer, before or after the first."""

HELD_OUT, VALID = 0.1, 0.02
"""Shares of groups that are kept apart, clean."""

Row = dict[str, str]


def _html(text: str) -> str:
    return f'<div class="dx"><script>track("dx",1)</script><p><b>{text}</b>&nbsp;&mdash;&nbsp;</p><br></div>'


def _frame(text: str) -> str:
    return f"Home | About us | Contact | Login\n{text}\nPrivacy policy\n© 2019 General Hospital. All rights reserved."


def _characters(text: str) -> str:
    """No-break and zero-width spaces, full-width letters, and quotes that went through the wrong code page."""
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" and place % 3 == 0 else c for place, c in enumerate(text))
    return "â€œ" + wide.replace(" ", "\u00a0\u200b") + "â€\u009d"


WAYS: tuple[Callable[[str], str], ...] = (_html, _frame, _characters)


def divide(table: Path, *, text: str, answer: str, group: str, seed: int) -> dict[str, Path]:
    """Split a table by group into three files beside it, and dirty the training rows.

    Args:
        table: a CSV file with a header.
        text: its column that is dirtied.
        answer: its column that copies get wrong.
        group: its column whose values stay in one split.
        seed: of the split and the dirt.

    Returns:
        split -> its file.
    """
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    draw = random.Random(seed)
    files = {}
    for split, chosen in dealt(rows, group, draw).items():
        if split == "train":
            chosen = _dirtied(chosen, text=text, answer=answer, draw=draw)
        files[split] = table.with_name(f"{split}.csv")
        with files[split].open("w", encoding="utf-8", newline="") as file:
            out = csv.DictWriter(file, rows[0])
            out.writeheader()
            out.writerows(chosen)
    return files


def dealt(rows: list[Row], group: str, draw: random.Random) -> dict[str, list[Row]]:
    """Split -> its rows; rows with the same value of `group` stay together."""
    groups = sorted({row[group] for row in rows})
    draw.shuffle(groups)
    first, second = int(len(groups) * HELD_OUT), int(len(groups) * (HELD_OUT + VALID))
    place = {name: "test" if n < first else "valid" if n < second else "train" for n, name in enumerate(groups)}
    return {split: [row for row in rows if place[row[group]] == split] for split in ("train", "valid", "test")}


def _dirtied(rows: list[Row], *, text: str, answer: str, draw: random.Random) -> list[Row]:
    answers = sorted({row[answer] for row in rows})
    made = []
    for row in rows:
        one = [row | {text: draw.choice(WAYS)(row[text])} if draw.random() < DIRTY else row]
        if draw.random() < COPIED:
            one.insert(draw.randrange(2), row | {answer: draw.choice(answers)})
        made += one
    draw.shuffle(made)
    return made
