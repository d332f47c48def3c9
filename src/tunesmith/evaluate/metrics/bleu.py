"""Metric: corpus BLEU through sacrebleu."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tunesmith.evaluate.metric import RowMetric, Statistic, score_called
from tunesmith.evaluate.rows import Row
from tunesmith.evaluate.scorers.rouge import has_han
from tunesmith.evaluate.statistics import Floats

_ORDERS = 4


@dataclass(frozen=True)
class Bleu(RowMetric):
    """Corpus BLEU in [0, 1]: `sacrebleu.corpus_bleu` divided by 100, exponential smoothing.

    Tokenised with `13a`, or with `zh` where any reference holds Chinese characters. Not the mean of sentence BLEU.
    """

    name: ClassVar[str] = "bleu"
    scorer: ClassVar[str] = "bleu"

    def statistic(self, rows: Sequence[Row]) -> Statistic:
        """Weighted sums of each row's n-gram counts; rows that the scorer `bleu` left unscored are counted."""
        read = score_called("bleu")
        kept = [row for row in rows if read(row).value is not None]
        unscored = Counter(read(row).unscored for row in rows if read(row).value is None)
        counts_NC = _counts(kept)

        def kernel(weights_RN: Floats) -> Floats:
            return np.array([_bleu(counts_C) for counts_C in weights_RN @ counts_NC], dtype=np.float64)

        return Statistic(tuple(kept), unscored, kernel)


def _counts(rows: Sequence[Row]) -> Floats:
    """Per row: right n-grams (4), n-grams (4), length of the answer, length of the reference; from sacrebleu itself."""
    from sacrebleu.metrics import BLEU

    scorer = BLEU(tokenize="zh" if any(has_han(row.example.reference) for row in rows) else "13a", effective_order=True)
    scores = [scorer.sentence_score(row.answer.text, [row.example.reference]) for row in rows]
    table = [[*s.counts, *s.totals, s.sys_len, s.ref_len] for s in scores]
    return np.array(table, dtype=np.float64).reshape(len(rows), 2 * _ORDERS + 2)


def _bleu(counts_C: Floats) -> float:
    from sacrebleu.metrics import BLEU

    whole = [round(c) for c in counts_C.tolist()]
    right, total = whole[:_ORDERS], whole[_ORDERS : 2 * _ORDERS]
    if whole[-1] == 0:
        return float("nan")
    score: Any = BLEU.compute_bleu(right, total, whole[-2], whole[-1], smooth_method="exp")
    return float(score.score) / 100
