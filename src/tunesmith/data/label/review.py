"""A second look: rows whose label a model, trained on the other rows, does not believe. It flags, and changes nothing.

Axes: N row, K label.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.errors import MissingLibrary, Problem, UserError
from tunesmith.data.label.predictions import Prediction

_FOLDS = 5
_CHINESE = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True)
class Suspicion:
    """A row whose label looks wrong.

    Fields:
        row: its id.
        label: what it has; `suggested` what the model believes.
        score: probability that the model gives to the label that the row has; the lower the more suspicious.
        rank: 1 is the most suspicious row.
    """

    row: str
    label: str
    suggested: str
    score: float
    rank: int


def out_of_sample(
    texts: Sequence[str], given: Sequence[str], labels: Sequence[str], groups: Sequence[str], *, seed: int = 0
) -> NDArray[np.float64]:
    """probabilities_NK of each row by a model that has not seen it: TF-IDF and logistic regression, 5 folds.

    Rows of a group are in one fold. A Chinese text is read by characters, any other by words, in runs of one and two.

    Raises:
        UserError: a label has fewer than 5 rows, so that some fold would not know it.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline

    rare = sorted(label for label, count in Counter(given).items() if count < _FOLDS)
    if rare or len(set(given)) < 2:
        message = f"labels with fewer than {_FOLDS} rows: {', '.join(rare)}" if rare else "all rows have one label"
        hint = "label more rows, or give probabilities of your own: --predictions FILE"
        raise UserError(Problem("too-few-rows", message, hint))
    chinese = sum(bool(_CHINESE.search(text)) for text in texts) * 2 > len(texts)
    by_words = {} if chinese else {"token_pattern": r"(?u)\b\w+\b"}
    unit = "char" if chinese else "word"
    place = {label: k for k, label in enumerate(labels)}
    given_N = np.array([place[label] for label in given])
    found_NK = np.full((len(texts), len(labels)), np.nan)
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    for known, held in folds.split(np.zeros(len(texts)), given_N, groups):
        words = TfidfVectorizer(analyzer=unit, ngram_range=(1, 2), min_df=2, sublinear_tf=True, **by_words)
        model = make_pipeline(words, LogisticRegression(max_iter=1000, class_weight="balanced"))
        model.fit([texts[i] for i in known], given_N[known])
        found_NK[held] = 0.0
        found_NK[np.ix_(held, model.classes_)] = model.predict_proba([texts[i] for i in held])
    return found_NK


def of_file(predictions: Mapping[str, Prediction], rows: Sequence[str], labels: Sequence[str]) -> NDArray[np.float64]:
    """probabilities_NK out of a predictions file.

    Raises:
        UserError: a row is missing, or has no probability for every label.
    """
    lacking = [row for row in rows if row not in predictions or set(predictions[row].probabilities) != set(labels)]
    if lacking:
        message = (
            f"{len(lacking):,} of {len(rows):,} labelled rows have no probabilities of all labels, e.g. {lacking[0]}"
        )
        hint = 'each line: {"row": ID, "probabilities": {LABEL: 0.9, ...}}'
        raise UserError(Problem("no-probabilities", message, hint, "--predictions"))
    found_NK = np.array([[predictions[row].probabilities[label] for label in labels] for row in rows], dtype=np.float64)
    return np.asarray(found_NK / np.maximum(found_NK.sum(axis=1, keepdims=True), 1e-12))


def suspicious(
    rows: Sequence[str], given: Sequence[str], probabilities_NK: NDArray[np.float64], labels: Sequence[str]
) -> list[Suspicion]:
    """The rows whose labels cleanlab takes for errors, most suspicious first.

    Confident learning, pruned by noise rate (Northcutt et al. 2021, arXiv:1911.00068, by the library `cleanlab`).

    Raises:
        MissingLibrary: cleanlab is not installed.
    """
    try:
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores
    except ModuleNotFoundError as error:
        hint = "pip install 'tunesmith[labels]'"
        message = f"finding label errors needs the library '{error.name}'"
        raise MissingLibrary(Problem("needs-library", message, hint)) from None

    held = sorted(set(given) | {labels[k] for k in probabilities_NK.argmax(axis=1)}, key=labels.index)
    place = {label: k for k, label in enumerate(held)}
    known_NK = probabilities_NK[:, [labels.index(label) for label in held]]
    known_NK = known_NK / known_NK.sum(axis=1, keepdims=True)
    given_N = np.array([place[label] for label in given])
    issue_N = find_label_issues(given_N, known_NK, n_jobs=1)
    score_N = get_label_quality_scores(given_N, known_NK)
    order = sorted(np.flatnonzero(issue_N).tolist(), key=lambda n: (score_N[n], rows[n]))
    return [
        Suspicion(rows[n], given[n], held[int(known_NK[n].argmax())], round(float(score_N[n]), 6), rank)
        for rank, n in enumerate(order, start=1)
    ]
