"""Several labels of a row become one: Dawid and Skene's model of annotators, or the majority.

Axes: N row, M annotator, K label, L outcome (the labels, and where asked for, having said nothing).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.label.agreement import Votes

Floats = NDArray[np.float64]
Method = Literal["dawid_skene", "majority"]

_TINY = 1e-12


@dataclass(frozen=True)
class Fit:
    """What Dawid and Skene's model found.

    Fields:
        posterior_NK: probability of each label for each row.
        confusion_MKL: for each annotator the share of outcomes L given the true label K.
        prior_K: shares of the labels.
    """

    posterior_NK: Floats
    confusion_MKL: Floats
    prior_K: Floats


@dataclass(frozen=True)
class Merged:
    """One label for a row; `probability` is the model's, or for the majority the share of those who said so.

    `label` is None where two labels are equally good.
    """

    label: str | None
    probability: float


def dawid_skene(counts_NML: Floats, labels: int, *, smoothing: float = 0.01, most_steps: int = 500) -> Fit:
    """Maximum likelihood by expectation and maximisation (Dawid and Skene 1979, Applied Statistics 28, eq. 2.3-2.5).

    Starts from the shares of the labels in each row, as the paper does.

    Args:
        counts_NML: how often each annotator gave each outcome to each row; outcomes beyond `labels` are no labels but
            say something all the same, as a rule's silence does.
        labels: number K of labels; the first K outcomes are they.
        smoothing: added to every cell before shares are taken, so that what was never seen is not called impossible;
            0 is the paper.
        most_steps: ends there if the posterior still moves by more than 1e-8.
    """
    said_NK = counts_NML[:, :, :labels].sum(axis=1)
    total_N = said_NK.sum(axis=1, keepdims=True)
    posterior_NK = np.where(total_N > 0, said_NK / np.maximum(total_N, 1), 1 / labels)
    for _ in range(most_steps):
        prior_K = posterior_NK.sum(axis=0) + smoothing
        prior_K = prior_K / prior_K.sum()
        confusion_MKL = np.einsum("nk,nml->mkl", posterior_NK, counts_NML) + smoothing
        confusion_MKL = confusion_MKL / np.maximum(confusion_MKL.sum(axis=2, keepdims=True), _TINY)
        log_NK = np.log(np.maximum(prior_K, _TINY)) + np.einsum(
            "nml,mkl->nk", counts_NML, np.log(np.maximum(confusion_MKL, _TINY))
        )
        likely_NK = np.exp(log_NK - log_NK.max(axis=1, keepdims=True))
        before, posterior_NK = posterior_NK, likely_NK / likely_NK.sum(axis=1, keepdims=True)
        if np.abs(posterior_NK - before).max(initial=0.0) < 1e-8:
            break
    return Fit(posterior_NK, confusion_MKL, prior_K)


def merge(votes: Votes, labels: Sequence[str], *, method: Method = "dawid_skene") -> dict[str, Merged]:
    """One label for each row that has any."""
    rows = {row: given for row, given in votes.items() if given}
    if not rows:
        return {}
    if method == "majority":
        return {row: majority(given) for row, given in rows.items()}
    people = sorted({person for given in rows.values() for person in given})
    fit = dawid_skene(counts_of(rows, people, labels), len(labels))
    return {row: _best(fit.posterior_NK[n], labels) for n, row in enumerate(rows)}


def majority(given: Mapping[str, str]) -> Merged:
    """The label that most people gave; None where several were given equally often."""
    names, counts = np.unique(list(given.values()), return_counts=True)
    top = np.flatnonzero(counts == counts.max())
    return Merged(str(names[top[0]]) if len(top) == 1 else None, float(counts.max() / counts.sum()))


def counts_of(votes: Votes, people: Sequence[str], labels: Sequence[str]) -> Floats:
    """counts_NMK of the rows of `votes`, in order."""
    place = {label: k for k, label in enumerate(labels)}
    column = {person: m for m, person in enumerate(people)}
    counts_NMK = np.zeros((len(votes), len(people), len(labels)))
    for n, given in enumerate(votes.values()):
        for person, label in given.items():
            counts_NMK[n, column[person], place[label]] = 1
    return counts_NMK


def _best(posterior_K: Floats, labels: Sequence[str]) -> Merged:
    top = posterior_K.max()
    equal = np.flatnonzero(posterior_K > top - 1e-9)
    return Merged(labels[int(equal[0])] if len(equal) == 1 else None, float(top))
