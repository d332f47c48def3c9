"""Annotators with known error rates, and the data of Dawid and Skene's paper."""

from __future__ import annotations

import random
from collections.abc import Sequence

# Table 1 of Dawid and Skene 1979: 45 patients, five anaesthetists of whom the first judged three times.
ANAESTHETISTS = """
111 1 1 1 1|333 4 3 3 4|112 2 1 2 2|222 3 1 2 1|222 3 2 2 2|222 3 3 2 2|122 2 1 1 1|333 3 4 3 3|222 2 2 2 3
232 2 2 2 3|444 4 4 4 4|222 3 3 4 3|111 1 1 1 1|222 3 2 1 2|121 1 1 1 1|111 2 1 1 1|111 1 1 1 1|111 1 1 1 1
222 2 2 2 1|222 1 3 2 2|222 2 2 2 2|222 2 2 2 1|222 3 2 2 2|221 2 2 2 2|111 1 1 1 1|111 1 1 1 1|232 2 2 2 2
111 1 1 1 1|111 1 1 1 1|112 1 1 2 1|111 1 1 1 1|333 3 2 3 3|111 1 1 1 1|222 2 2 2 2|222 3 2 3 2|433 4 3 4 3
221 2 2 3 2|232 3 2 3 3|333 3 4 3 2|111 1 1 1 1|111 1 1 1 1|121 2 1 1 1|232 2 2 2 2|121 1 1 1 1|222 2 2 2 2
"""


def anaesthetists() -> list[list[str]]:
    """Per patient, what each anaesthetist said."""
    return [patient.split() for patient in ANAESTHETISTS.replace("\n", "|").split("|") if patient]


def annotators(
    truth: Sequence[int], confusions: Sequence[Sequence[Sequence[float]]], *, seed: int, missing: float = 0.0
) -> dict[str, dict[str, str]]:
    """Row -> person -> label, drawn from each person's confusion matrix; a share of labels is missing."""
    chance = random.Random(seed)
    votes: dict[str, dict[str, str]] = {}
    for n, true in enumerate(truth):
        votes[str(n)] = {
            f"p{m}": str(chance.choices(range(len(shares)), confusion[true])[0])
            for m, confusion in enumerate(confusions)
            if (shares := confusion[true]) and chance.random() >= missing
        }
    return votes
