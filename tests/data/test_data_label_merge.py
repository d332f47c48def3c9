"""Merging labels: Dawid and Skene's published figures, a second implementation, annotators with known errors."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from label_fakes import anaesthetists, annotators

from tunesmith.data.label.merge import Merged, counts_of, dawid_skene, majority, merge


def counts() -> np.ndarray:
    table = np.zeros((45, 5, 4))
    for n, patient in enumerate(anaesthetists()):
        for m, said in enumerate(patient):
            for one in said:
                table[n, m, int(one) - 1] += 1
    return table


def test_the_anaesthetists_of_the_paper() -> None:
    """Shares 0.40, 0.42, 0.11, 0.07, and the first anaesthetist's error rates, as in Dawid and Skene 1979, Table 2."""
    fit = dawid_skene(counts(), 4, smoothing=0.0)
    assert np.round(fit.prior_K, 2).tolist() == [0.40, 0.42, 0.11, 0.07]
    assert np.round(fit.confusion_MKL[0], 2).tolist() == [
        [0.89, 0.11, 0.0, 0.0],
        [0.07, 0.88, 0.05, 0.0],
        [0.0, 0.34, 0.66, 0.0],
        [0.0, 0.0, 0.56, 0.44],
    ]


def test_a_second_implementation_agrees() -> None:
    """The same model in plain loops over dictionaries, from the paper's equations, with the same smoothing."""
    fit = dawid_skene(counts(), 4, smoothing=0.01)
    said = [[list(map(int, word)) for word in patient] for patient in anaesthetists()]
    believed = [{k: sum(w.count(k) for w in p) / sum(map(len, p)) for k in (1, 2, 3, 4)} for p in said]
    for _ in range(200):
        prior = {k: sum(b[k] for b in believed) + 0.01 for k in (1, 2, 3, 4)}
        rates: dict[tuple[int, int, int], float] = {}
        for m in range(5):
            for k in (1, 2, 3, 4):
                row = {
                    j: 0.01 + sum(b[k] * p[m].count(j) for b, p in zip(believed, said, strict=True))
                    for j in (1, 2, 3, 4)
                }
                rates |= {(m, k, j): value / sum(row.values()) for j, value in row.items()}
        for n, patient in enumerate(said):
            odds = {
                k: prior[k] * math.prod(rates[m, k, j] for m, word in enumerate(patient) for j in word)
                for k in (1, 2, 3, 4)
            }
            believed[n] = {k: value / sum(odds.values()) for k, value in odds.items()}
    second = np.array([[b[k] for k in (1, 2, 3, 4)] for b in believed])
    assert np.abs(second - fit.posterior_NK).max() < 1e-6


GOOD = [[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]]
POOR = [[0.5, 0.3, 0.2], [0.3, 0.5, 0.2], [0.25, 0.25, 0.5]]
BIASED = [[0.2, 0.8, 0.0], [0.0, 1.0, 0.0], [0.0, 0.7, 0.3]]  # says 1 whenever in doubt


def test_known_error_rates_are_recovered_and_majority_is_beaten() -> None:
    """Two good annotators, two poor and one that leans to 1, 2,000 rows, a fifth of labels missing.

    Every cell of every confusion matrix within 0.06 (three standard errors of a share over 500 rows are 0.067).
    """
    chance = random.Random(0)
    truth = [chance.randrange(3) for _ in range(2000)]
    people = [GOOD, GOOD, POOR, POOR, BIASED]
    votes = annotators(truth, people, seed=1, missing=0.2)
    votes = {row: given for row, given in votes.items() if given}
    fit = dawid_skene(counts_of(votes, [f"p{m}" for m in range(5)], ["0", "1", "2"]), 3)
    assert np.abs(fit.confusion_MKL - np.array(people)).max() < 0.06
    right = {
        method: sum(said.label == str(truth[int(row)]) for row, said in merged.items())
        for method in ("dawid_skene", "majority")
        for merged in [merge(votes, ["0", "1", "2"], method=method)]
    }
    assert right["dawid_skene"] > right["majority"] + 100  # 5 points of 2,000


def test_probabilities_are_calibrated() -> None:
    """Of the rows to which the model gives 0.6 to 0.9, about as many are right as it says."""
    chance = random.Random(3)
    truth = [chance.randrange(2) for _ in range(3000)]
    votes = annotators(truth, [[[0.75, 0.25], [0.25, 0.75]]] * 3, seed=4)
    merged = merge(votes, ["0", "1"])
    between = [(m.probability, m.label == str(truth[int(row)])) for row, m in merged.items() if m.probability < 0.9]
    assert np.mean([p for p, _ in between]) == pytest.approx(np.mean([good for _, good in between]), abs=0.04)


def test_majority_ties_are_nobodys_label() -> None:
    assert majority({"p": "a", "q": "b"}) == Merged(None, 0.5)
    assert majority({"p": "a", "q": "b", "r": "b"}) == Merged("b", 2 / 3)
    assert merge({"1": {}}, ["a", "b"]) == {}


def test_two_people_who_contradict_each_other_evenly_settle_nothing() -> None:
    """p says a, q says b, and nothing tells them apart: no label, probability one half."""
    votes = {"1": {"p": "a", "q": "b"}, "2": {"p": "b", "q": "a"}}
    assert {row: m.label for row, m in merge(votes, ["a", "b"]).items()} == {"1": None, "2": None}


def test_silence_can_say_something() -> None:
    """A rule that only ever says 1, and is silent on all rows of 0: as one more outcome its silence speaks for 0.

    A second, accurate rule, silent on every fourth row, fixes what is what.
    """
    truth = [n % 2 for n in range(200)]
    table = np.zeros((200, 2, 3))
    for n, true in enumerate(truth):
        table[n, 0, 1 if true and n % 10 else 2] = 1
        table[n, 1, true if n % 4 else 2] = 1
    fit = dawid_skene(table, 2, smoothing=1.0)
    silent = [n for n in range(200) if table[n, 1, 2] == 1 and table[n, 0, 2] == 1 and not truth[n]]
    assert silent and all(fit.posterior_NK[n, 0] > 0.7 for n in silent)
