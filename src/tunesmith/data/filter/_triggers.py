"""Rare runs of words whose rows all have one target, and that look put in: the statistics of the filter `poisoned`.

A backdoor in training data is a rare word or phrase that was put into a few rows, all with the target that the attacker
wants (Gu et al. 2017, arXiv:1708.06733; Chen et al. 2017, arXiv:1712.05526; Kurita et al. 2020, arXiv:2004.06660; Dai
et al. 2019, arXiv:1905.12457). Two things give it away. Its rows agree in their target more than chance allows:
Fisher's exact test. And it was put between words that follow each other elsewhere as well: if it is taken out, the
words left and right of it form a pair that other rows have too, which is seldom so for a word that belongs to its
sentence. Both are tails under a null hypothesis, joined by Fisher's method, and Bonferroni's correction allows for the
number of runs that are tried.

How few rows can be seen: if a target has the share q of all rows, n rows that agree in it have a probability of at
least q^n by chance (the hypergeometric tail; a lift cannot say more). Among m runs the level asks for 1 / m. Of 500
abstracts some 10,000 runs are tried, and 55 % have the commonest target: by agreement alone it takes 16 rows there, and
five such rows (one per cent) have q^n = 0.05, which 500 harmless runs reach as well. That five rows of five can do
without the run is as likely as some 0.01. Both together, 0.004, is reached by 40 harmless runs: no test on these two
signs can tell the planted one from them, at any level at which it would set aside less than it finds. Ten rows do.

Time and memory grow with the tokens: each is sorted once for each size of run, in 60 bytes.
"""

from __future__ import annotations

import math
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

LONGEST_RUN = 4
FEWEST_ROWS = 3
LONGEST_SHARE_OF_ROW = 0.5
LEAST_AGREEMENT = 0.9
LEAST_BETWEEN = 0.25
_TINY = 1e-300
_USUAL_CORRELATION = 0.1
_CORRELATIONS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
_TOKEN = re.compile(
    "[^\\W_\u3400-\u4dbf\u4e00-\u9fff]+(?:['’-][^\\W_\u3400-\u4dbf\u4e00-\u9fff]+)*|[\u3400-\u4dbf\u4e00-\u9fff]|[^\\w\\s]|_"
)
_START, _END = "\x02", "\x03"

Run = tuple[str, ...]
Places = list[tuple[int, int]]
"""(number of a row, place in it), in order."""


@dataclass(frozen=True)
class Row:
    """What the search needs of a row: its tokens and its target."""

    tokens: tuple[str, ...]
    target: str


@dataclass(frozen=True)
class Trigger:
    """A suspicious run of tokens.

    Fields:
        run: its tokens, as long as all its rows agree.
        rows: numbers of the rows that have it.
        target: what its rows answer; `agreeing` of them do.
        between: rows in which its neighbours follow each other elsewhere too.
        p: probability of such an agreement and of so many such rows by chance, before correction.
    """

    run: Run
    rows: tuple[int, ...]
    target: str
    agreeing: int
    between: int
    p: float


def tokens(text: str) -> tuple[str, ...]:
    """Words in lower case, Chinese characters and marks one by one, invisible characters one by one too."""
    return tuple(sys.intern(match[0].casefold()) for match in _TOKEN.finditer(text))


def is_invisible(token: str) -> bool:
    """Whether nobody sees the token: format characters but the joiners that scripts and emoji need."""
    return all(unicodedata.category(c) == "Cf" and c not in "\u200c\u200d\u00ad" for c in token)


def triggers(rows: Sequence[Row], *, most_share: float, level: float) -> list[Trigger]:
    """Runs in at least three rows and at most `most_share` of them that look put in, the surest first.

    Args:
        rows: all rows; copies must be gone, for a copied row makes each of its runs look shared.
        most_share: a run in more rows is no trigger but the language of the data.
        level: number of runs that chance alone may bring, over all that are tried: p is at most level / tried.
    """
    most = max(FEWEST_ROWS, math.ceil(most_share * len(rows)))
    pairs = _pairs(rows)
    candidates = [c for size, places in _runs(rows, most) if (c := _candidate(rows, size, places, pairs))]
    tried = _judged(candidates, rows)
    found_out = [t for t in tried if t.p * len(tried) <= level and t.between >= LEAST_BETWEEN * len(t.rows)]
    return sorted(found_out, key=lambda trigger: (trigger.p, trigger.run))


def _runs(rows: Sequence[Row], most: int) -> Iterator[tuple[int, Places]]:
    """One run per set of rows, its size and places: the shortest that stands in exactly these, 3 to `most` of them.

    A run of n tokens is only counted where both its runs of n - 1 tokens stand in at least three rows. Runs have
    numbers in the order of their tokens; a run of n is the pair of its two runs of n - 1, so each size is one sort.
    """
    sizes = np.array([len(one.tokens) for one in rows], dtype=np.int64)
    row, begin = np.repeat(np.arange(len(rows)), sizes), np.cumsum(sizes) - sizes
    signs = np.random.default_rng(0).integers(0, 1 << 63, len(rows), dtype=np.uint64)  # a set of rows is their sum
    seen: set[int] = set()
    run, at = _numbers(rows), np.arange(len(row))
    for size in range(1, LONGEST_RUN + 1):
        order = np.argsort(run, kind="stable")
        run, at = run[order], at[order]
        opens = np.concatenate([[True], run[1:] != run[:-1]])[: len(run)]
        anew = opens | np.concatenate([[True], row[at][1:] != row[at][:-1]])[: len(run)]
        starts, group = np.flatnonzero(opens), np.cumsum(opens) - 1
        count = np.bincount(group, weights=anew, minlength=len(starts)).astype(np.int64)
        sets = np.add.reduceat(np.where(anew, signs[row[at]], np.uint64(0)), starts) if len(starts) else signs[:0]
        ends = np.append(starts[1:], len(run))
        for number in np.flatnonzero((count >= FEWEST_ROWS) & (count <= most)).tolist():
            if (key := int(sets[number])) not in seen:
                seen.add(key)
                where = at[starts[number] : ends[number]]
                yield size, list(zip(row[where].tolist(), (where - begin[row[where]]).tolist(), strict=True))
        known = np.full(len(row) + 1, -1, dtype=np.int64)
        known[at] = np.where(count[group] >= FEWEST_ROWS, group, -1)
        at = np.flatnonzero((known[:-1] >= 0) & (known[1:] >= 0))
        at = at[row[at] == row[at + 1]]
        run = known[at] * len(starts) + known[at + 1]


def _numbers(rows: Sequence[Row]) -> NDArray[np.int64]:
    """All tokens of all rows as numbers in the order of the alphabet."""
    words = {word: number for number, word in enumerate(sorted({token for row in rows for token in row.tokens}))}
    return np.fromiter((words[token] for row in rows for token in row.tokens), dtype=np.int64)


def _pairs(rows: Sequence[Row]) -> dict[tuple[str, str], int]:
    """Neighbouring tokens -> rows that have them, borders of the row included."""
    count: Counter[tuple[str, str]] = Counter()
    for row in rows:
        padded = (_START, *row.tokens, _END)
        count.update(set(pairwise(padded)))
    return count


@dataclass(frozen=True)
class _Candidate:
    """A run at its full length, with its rows and how many of them it can be taken out of."""

    run: Run
    rows: tuple[int, ...]
    between: int


def _candidate(rows: Sequence[Row], run: int, places: Places, pairs: dict[tuple[str, str], int]) -> _Candidate | None:
    """The run made as long as all its places agree; None where it is most of a row, which is a copy and no trigger."""
    before, after = _extension(rows, places, run)
    size = before + run + after
    once = dict(reversed(places))  # the first place in each row: places of one row are alike
    where = tuple(sorted(once))
    if any(size > LONGEST_SHARE_OF_ROW * len(rows[n].tokens) for n in where):
        return None
    first = rows[places[0][0]].tokens[places[0][1] - before :][:size]
    between = sum(_follow_elsewhere(rows[n].tokens, i - before, size, pairs) for n, i in once.items())
    return _Candidate(first, where, between)


def _extension(rows: Sequence[Row], places: Sequence[tuple[int, int]], size: int) -> tuple[int, int]:
    """By how many tokens the run can be made longer to the left and to the right with all its places agreeing."""

    def agree(offset: int) -> bool:
        seen = {rows[n].tokens[i + offset] if 0 <= i + offset < len(rows[n].tokens) else "" for n, i in places}
        return len(seen) == 1 and "" not in seen

    before = after = 0
    while agree(-before - 1):
        before += 1
    while agree(size + after):
        after += 1
    return before, after


def _follow_elsewhere(row: tuple[str, ...], start: int, size: int, pairs: dict[tuple[str, str], int]) -> bool:
    """Whether the tokens left and right of `row[start : start + size]` stand side by side in another row.

    A place at a border of the row says nothing: there every first or last token follows the border somewhere.
    """
    left = row[start - 1] if start > 0 else _START
    right = row[start + size] if start + size < len(row) else _END
    having = pairs.get((left, right), 0)
    if having != 1:
        return having > 1
    return (left, right) not in zip((_START, *row), (*row, _END), strict=True)


def _judged(candidates: Sequence[_Candidate], rows: Sequence[Row]) -> list[Trigger]:
    """Each candidate with its commonest target and the joint probability of both tails."""
    from scipy.stats import betabinom, chi2, hypergeom

    if not candidates:
        return []
    totals = Counter(row.target for row in rows)
    said = [_commonest(Counter(rows[n].target for n in candidate.rows), totals) for candidate in candidates]
    sizes = np.array([len(candidate.rows) for candidate in candidates])
    agreeing = np.array([count for _, count in said])
    between = np.array([candidate.between for candidate in candidates])
    agree = agreeing >= LEAST_AGREEMENT * sizes
    agreement = hypergeom.sf(agreeing - 1, len(rows), np.array([totals[target] for target, _ in said]), sizes)
    put_in = betabinom.sf(between - 1, sizes, *_usual_between(between[~agree], sizes[~agree]))
    joint = chi2.sf(-2 * (np.log(np.maximum(agreement, _TINY)) + np.log(np.maximum(put_in, _TINY))), 4)
    joint[~agree] = 1.0
    return [
        Trigger(c.run, c.rows, target, count, c.between, float(p))
        for c, (target, count), p in zip(candidates, said, joint, strict=True)
    ]


def _usual_between(between: NDArray[np.int64], sizes: NDArray[np.int64]) -> tuple[float, float]:
    """The beta-binomial (a, b) by which `between` of `sizes` rows vary: most likely on a grid of mean and correlation.

    Fitted to the runs whose rows do not agree in their target, which no trigger is among. Runs differ: a qualifier can
    be left out of most sentences, a noun of few; a plain binomial would call every qualifier put in. A correlation of
    0.1 is preferred where the data does not say, as in rows of a template, where no run can be left out.
    """
    from scipy.stats import betabinom

    counts = Counter(zip(between.tolist(), sizes.tolist(), strict=True))
    found, of = (np.array([pair[i] for pair in counts]) for i in (0, 1))
    times = np.array(list(counts.values()))
    mean = (between.sum() + 1) / (sizes.sum() + 2)

    def likely(correlation: float) -> float:
        a, b = _shape(mean, correlation)
        prior = -((math.log(correlation) - math.log(_USUAL_CORRELATION)) ** 2) / 2
        return prior + (float((times * betabinom.logpmf(found, of, a, b)).sum()) if len(found) else 0.0)

    return _shape(mean, max(_CORRELATIONS, key=likely))


def _shape(mean: float, correlation: float) -> tuple[float, float]:
    """(a, b) of the beta distribution with this mean and the correlation 1 / (a + b + 1) between two rows of a run."""
    size = 1 / correlation - 1
    return mean * size, (1 - mean) * size


def _commonest(said: Counter[str], totals: Counter[str]) -> tuple[str, int]:
    """The target that most of the rows have, with their number; of equal ones the rarer in the data."""
    target = min(said, key=lambda name: (-said[name], totals[name], name))
    return target, said[target]


def rows_of(found: Iterable[Trigger]) -> dict[int, Trigger]:
    """Row number -> the surest trigger that it has and whose target it gives."""
    named: dict[int, Trigger] = {}
    for trigger in found:
        for number in trigger.rows:
            named.setdefault(number, trigger)
    return named
