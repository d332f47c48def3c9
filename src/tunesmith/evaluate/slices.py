"""Where did the expert get worse? Every simple group of rows is tried, and their number is paid for.

Candidates are attributes, pairs of attributes, the expected label, and plain features of the question: its length,
whether it holds a number or a negation, the words that many rows share. Each is tested for a mean change other than
zero; the p-values are adjusted together (see `multiplicity`). Axes: N row, S slice, G cluster, R resample.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.types import Measure
from tunesmith.evaluate.metric import RowMetric
from tunesmith.evaluate.multiplicity import adjusted
from tunesmith.evaluate.rows import Row, paired
from tunesmith.evaluate.statistics import Floats, Sampling, cluster_codes

FEWEST_ROWS = 20
"""Rows below which a slice is not tried: hardly any change could be seen in it."""

MOST_VALUES = 40
_MOST_WORDS = 60
_MOST_SHARE = 0.9
_FLIPS = 9_999
_WORD = re.compile(r"[^\W\d_\u3400-\u9fff]{3,}")
_HAN_PAIR = re.compile(r"(?=([\u3400-\u9fff]{2}))")
_NEGATION = re.compile(r"\b(no|not|never|none|without|cannot|n't|neither|nor)\b|n't\b|[不没無无未非]", re.IGNORECASE)

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Found:
    """What the search came to.

    Args:
        tried: slices that were tested.
        worse: of those where the expert is worse after adjusting, the measured difference, most certain first;
            `p_adjusted` is set and `slice` is the slice's name (`sex=female`, `question=long`, `word=loan`).
    """

    tried: int
    worse: tuple[Measure, ...]


def find_worse(
    expert: Sequence[Row], base: Sequence[Row], metric: RowMetric, *, scorer: str, sampling: Sampling
) -> Found:
    """The slices on which the expert does worse than the base, by the score of each row.

    Args:
        expert: its scored rows.
        base: those of the base.
        metric: the main measure, which is then taken on each slice that was found.
        scorer: name of the scorer that gives each row its score (higher is better).
        sampling: its level is that of the search.
    """
    ours, theirs = paired(expert, base)
    scores = [(_score(a, scorer), _score(b, scorer)) for a, b in zip(ours, theirs, strict=True)]
    known = [place for place, pair in enumerate(scores) if None not in pair]
    ours, theirs = [ours[place] for place in known], [theirs[place] for place in known]
    change_N = np.array([(scores[k][0] or 0.0) - (scores[k][1] or 0.0) for k in known], dtype=np.float64)
    masks = _usable(candidates(ours)) if known else {}
    if not masks:
        return Found(0, ())
    inside_NS = np.stack(list(masks.values()), axis=1).astype(np.float64)
    codes_N = cluster_codes([row.cluster for row in ours])
    p_S = change_p(change_N, inside_NS, codes_N, seed=sampling.seed)
    mean_S = change_N @ inside_NS
    honest = adjusted([float(p) for p in p_S], "fdr_bh")
    order = sorted(range(len(masks)), key=lambda s: (honest[s], p_S[s], mean_S[s]))
    names = list(masks)
    worse = [
        _measured(metric, ours, theirs, names[s], masks[names[s]], sampling).model_copy(
            update={"p": float(p_S[s]), "p_adjusted": honest[s]}
        )
        for s in order
        if mean_S[s] < 0 and honest[s] < 1 - sampling.level
    ]
    return Found(len(masks), tuple(worse))


def _score(row: Row, scorer: str) -> float | None:
    return row.scores[scorer].value if scorer in row.scores else None


def _measured(
    metric: RowMetric, ours: Sequence[Row], theirs: Sequence[Row], name: str, mask: Mask, sampling: Sampling
) -> Measure:
    sides: list[list[Row]] = [
        [row for row, inside in zip(side, mask, strict=True) if inside] for side in (ours, theirs)
    ]
    return metric.difference(sides[0], sides[1], slice=name, sampling=sampling)


def change_p(change_N: Floats, inside_NS: Floats, codes_N: NDArray[np.int64], *, seed: int = 0) -> Floats:
    """Two-sided p-value per slice of "no change": exact McNemar for single rows that gain or lose 1, else sign flips.

    The flips of whole clusters are drawn once and shared by all slices.
    """
    if set(np.unique(change_N)) <= {-1.0, 0.0, 1.0} and int(codes_N.max()) + 1 == len(codes_N):
        return _mcnemar_all((change_N == 1) @ inside_NS, (change_N == -1) @ inside_NS)
    sums_GS = np.zeros((int(codes_N.max()) + 1, inside_NS.shape[1]))
    np.add.at(sums_GS, codes_N, change_N[:, None] * inside_NS)
    seen_S = np.abs(sums_GS.sum(axis=0)) - 1e-9
    random = np.random.default_rng(seed)
    beyond_S = np.ones(inside_NS.shape[1])
    for size in [1_000] * (_FLIPS // 1_000) + [_FLIPS % 1_000]:
        signs_RG = random.choice((-1.0, 1.0), size=(size, len(sums_GS)))
        beyond_S += (np.abs(signs_RG @ sums_GS) >= seen_S).sum(axis=0)
    return np.asarray(beyond_S / (_FLIPS + 1), dtype=np.float64)


def _mcnemar_all(gained_S: Floats, lost_S: Floats) -> Floats:
    from scipy.stats import binom

    p_S = 2 * binom.cdf(np.minimum(gained_S, lost_S), gained_S + lost_S, 0.5)
    return np.asarray(np.where(gained_S + lost_S > 0, np.minimum(p_S, 1.0), 1.0), dtype=np.float64)


# -- candidates -----------------------------------------------------------------------------------------


def candidates(rows: Sequence[Row]) -> dict[str, Mask]:
    """Every simple group of rows: name -> which rows are in it; those of the same rows stand once."""
    found: dict[str, Mask] = {}
    seen: set[bytes] = set()
    for name, mask in _all(rows):
        if mask.tobytes() not in seen:
            seen.add(mask.tobytes())
            found[name] = mask
    return found


def _usable(masks: dict[str, Mask]) -> dict[str, Mask]:
    return {name: m for name, m in masks.items() if m.sum() >= FEWEST_ROWS and m.mean() <= _MOST_SHARE}


def _all(rows: Sequence[Row]) -> Iterator[tuple[str, Mask]]:
    single = dict(_attributes(rows))
    yield from single.items()
    for (one, first), (two, second) in combinations(single.items(), 2):
        if one.partition("=")[0] != two.partition("=")[0]:
            yield f"{one} & {two}", first & second
    yield from ((f"label={value}", _where(row.expected == value for row in rows)) for value in _labels(rows))
    questions = [" ".join(m.content for m in row.example.prompt if m.role == "user") for row in rows]
    lengths = np.array([len(question) for question in questions])
    yield "question=short", np.asarray(lengths <= np.quantile(lengths, 0.25))
    yield "question=long", np.asarray(lengths >= np.quantile(lengths, 0.75))
    yield "question=number", _where(any(c.isdigit() for c in question) for question in questions)
    yield "question=negation", _where(_NEGATION.search(question) is not None for question in questions)
    yield "turns=several", _where(sum(m.role == "user" for m in row.example.prompt) > 1 for row in rows)
    yield from _words(questions)


def _where(found: Iterable[bool]) -> Mask:
    return np.fromiter(found, dtype=np.bool_)


def _attributes(rows: Sequence[Row]) -> Iterator[tuple[str, Mask]]:
    for name in sorted({name for row in rows for name in row.example.attributes}):
        values = [row.example.attributes.get(name) for row in rows]
        for value, _ in Counter(v for v in values if v is not None).most_common(MOST_VALUES):
            yield f"{name}={value}", _where(v == value for v in values)


def _labels(rows: Sequence[Row]) -> list[str]:
    return sorted({row.expected for row in rows if row.expected is not None})


def _words(questions: Sequence[str]) -> Iterator[tuple[str, Mask]]:
    """The words that most rows share, those that stand in nearly all left out; pairs of Chinese characters too."""
    sets = [{*_WORD.findall(q.casefold()), *_HAN_PAIR.findall(q)} for q in questions]
    counts = Counter(word for words in sets for word in words)
    common = [w for w, n in sorted(counts.items(), key=lambda p: (-p[1], p[0])) if n <= _MOST_SHARE * len(sets)]
    for word in common[:_MOST_WORDS]:
        yield f"word={word}", _where(word in words for words in sets)
