"""Weak supervision: what many fallible functions say becomes one probability for each label.

Axes: N row, M function, K label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.errors import MissingLibrary, Problem, UserError
from tunesmith.data.label.functions import Votes
from tunesmith.data.label.merge import Floats, dawid_skene

LabelModel = Literal["dawid_skene", "snorkel", "majority"]

_FEWEST_FOR_SNORKEL = 3
_SMOOTHING = 1.0
_FEWEST_GOLD = 20


@dataclass(frozen=True)
class FunctionReport:
    """How one function did.

    Fields:
        name: of the function.
        labels: the labels that it ever said.
        coverage: share of rows on which it said something.
        overlap: share of rows on which another function said something too.
        conflict: share of rows on which another function said something else.
        accuracy: share of its labels that are those of people, over `gold` rows; None where there is no such row.
        failures: what went wrong -> rows.
        stopped: it failed so often that it was not asked any more.
    """

    name: str
    labels: tuple[str, ...]
    coverage: float
    overlap: float
    conflict: float
    accuracy: float | None
    gold: int
    failures: Mapping[str, int]
    stopped: bool


def reports(votes: Votes, labels: Sequence[str], gold: Mapping[str, str]) -> list[FunctionReport]:
    """Coverage, overlap and conflict (Ratner et al. 2017, arXiv:1711.10160), and accuracy where people labelled."""
    said_NM = votes.votes_NM >= 0
    rows = max(len(votes.rows), 1)
    place = {label: k for k, label in enumerate(labels)}
    gold_N = np.array([place.get(gold.get(row, ""), -1) for row in votes.rows], dtype=np.int64)
    found = []
    for m, name in enumerate(votes.names):
        own_N, said_N = votes.votes_NM[:, m], said_NM[:, m]
        others_NM = np.delete(votes.votes_NM, m, axis=1)
        other_N = (others_NM >= 0).any(axis=1)
        differs_N = ((others_NM >= 0) & (others_NM != own_N[:, None])).any(axis=1)
        judged_N = said_N & (gold_N >= 0)
        known = int(judged_N.sum())
        found.append(
            FunctionReport(
                name=name,
                labels=tuple(labels[k] for k in np.unique(own_N[said_N])),
                coverage=float(said_N.sum() / rows),
                overlap=float((said_N & other_N).sum() / rows),
                conflict=float((said_N & differs_N).sum() / rows),
                accuracy=float((own_N == gold_N)[judged_N].mean()) if known else None,
                gold=known,
                failures=votes.failures.get(name, {}),
                stopped=name in votes.stopped,
            )
        )
    return found


def probabilities(
    votes_NM: NDArray[np.int64], labels: int, *, model: LabelModel = "dawid_skene", seed: int = 0
) -> Floats:
    """probabilities_NK; a row of which no function said anything is all NaN.

    Args:
        votes_NM: index of the label, -1 for nothing.
        labels: number of labels.
        model: `dawid_skene`: a confusion matrix per function in which silence is one more outcome; `snorkel`: the label
            model of Ratner et al. 2019 (arXiv:1810.02840), by the library; `majority`: shares of votes.
        seed: of snorkel's training.

    Raises:
        MissingLibrary: snorkel is not installed.
        UserError: snorkel needs three functions.
    """
    voted_N = (votes_NM >= 0).any(axis=1)
    found_NK = np.full((len(votes_NM), labels), np.nan)
    if not voted_N.any():
        return found_NK
    if model == "majority":
        counts_NK = _one_hot(votes_NM, labels)[:, :, :labels].sum(axis=1)[voted_N]
        found_NK[voted_N] = counts_NK / counts_NK.sum(axis=1, keepdims=True)
    elif model == "snorkel":
        found_NK[voted_N] = _snorkel(votes_NM, labels, seed)[voted_N]
    else:
        spoken_NML = _one_hot(votes_NM, labels)[voted_N]
        found_NK[voted_N] = dawid_skene(spoken_NML, labels, smoothing=_SMOOTHING).posterior_NK
    return found_NK


@dataclass(frozen=True)
class Trust:
    """Whether rules are as right as they say, by the rows that people labelled too.

    Fields:
        gold: such rows with a rule label at the threshold or above; `right`: those on which both say the same.
        trusted: 20 rows or more, and what they show does not speak against the threshold.
        told: why, in words.
    """

    gold: int
    right: int
    trusted: bool
    told: str


def trust(best: Mapping[str, tuple[str, float]], gold: Mapping[str, str], *, threshold: float) -> Trust:
    """Compare rules with people; rules do not see what people said, so this is out of sample.

    Label models claim far too much where functions err together or are hardly better than chance, so a probability
    of theirs counts only after people have seen some of the rows: the upper end of Wilson's 95 % interval of the share
    that is right must reach the threshold.

    Args:
        best: row -> the likeliest label and its probability.
        gold: row -> label of people.
        threshold: least probability at which a rule's label is to stand for that of people.
    """
    from scipy.stats import binomtest

    both = [label == gold[row] for row, (label, p) in best.items() if row in gold and p >= threshold]
    right = sum(both)
    if len(both) < _FEWEST_GOLD:
        told = f"{len(both)} rows at {threshold:g} or above are labelled by people; {_FEWEST_GOLD} are needed"
        return Trust(len(both), right, False, f"{told} to trust rules")
    high = float(binomtest(right, len(both)).proportion_ci(0.95, method="wilson").high)
    share = f"{right} of {len(both)} rows at {threshold:g} or above are right by people ({right / len(both):.3f}"
    if high < threshold:
        return Trust(len(both), right, False, f"{share}, at most {high:.3f}): rules are not as sure as they say")
    return Trust(len(both), right, True, f"{share}): that does not speak against {threshold:g}")


def _one_hot(votes_NM: NDArray[np.int64], labels: int) -> Floats:
    """Outcomes one-hot; silence is the outcome after the last label."""
    outcomes = np.eye(labels + 1)
    return np.asarray(outcomes[np.where(votes_NM < 0, labels, votes_NM)])


def _snorkel(votes_NM: NDArray[np.int64], labels: int, seed: int) -> Floats:
    """Snorkel's label model; the states of the random generators that it sets are put back."""
    if votes_NM.shape[1] < _FEWEST_FOR_SNORKEL:
        message = f"snorkel's label model needs {_FEWEST_FOR_SNORKEL} functions, there are {votes_NM.shape[1]}"
        raise UserError(Problem("too-few-functions", message, "write more, or --model dawid_skene", "--model"))
    try:
        from snorkel.labeling.model import LabelModel as Snorkel
    except ModuleNotFoundError as error:
        hint = "pip install 'tunesmith[labels]', or --model dawid_skene"
        raise MissingLibrary(
            Problem("needs-library", f"'snorkel' needs the library '{error.name}'", hint, "--model")
        ) from None
    import random

    import torch

    kept, numpy_kept = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            model = Snorkel(cardinality=labels, verbose=False)
            model.fit(votes_NM, n_epochs=500, seed=seed, progress_bar=False)
            return np.asarray(model.predict_proba(votes_NM), dtype=np.float64)
    finally:
        random.setstate(kept)
        np.random.set_state(numpy_kept)
