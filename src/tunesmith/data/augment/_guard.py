"""What of a question no augmenter may touch: quotations, code, addresses, records, options, words of the answer."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tunesmith.core.types import Example

Span = tuple[int, int]

_QUOTED = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|\"[^\"\n]{1,400}\"|“[^”\n]{1,400}”|‘[^’\n]{1,400}’|「[^」\n]{1,400}」|『[^』\n]{1,400}』|"
    r"《[^》\n]{1,200}》|(?<!\w)'[^'\n]{1,400}'(?!\w)|\$[^$\n]{1,200}\$|<[^<>\n]{1,200}>|\{[^{}\n]{0,200}\}|"
    r"\b(?:https?|ftp)://\S{1,2000}|\b[\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]{1,64}",
    re.DOTALL,
)
OPTION = re.compile(r"(?m)^[ \t]*\(?([A-Ja-j])[.)）、:：][ \t]*(?=\S)(.+)$")
_FIELD = re.compile(
    r"[^\s:：=,;，；。.?？!！][^:：=,;，；\n。?？!！]{0,40}[ \t]*[:：=][ \t]*"
    r"(?:[^:：=,;，；\n。?？!！.]|\.(?=\d)){1,60}(?=[,;，；\n]|$)"
)
_LABEL = re.compile(r"(?m)^[ \t]*[^\W\d][^:：\n.。?？]{0,40}[:：]")
_WORD = re.compile(r"[^\W\d_]{2,}")
_PAIR_SHARE, _PAIR_ROWS = 0.5, 20
_RECORD_SHARE = 0.3
_TEMPLATE_ROWS = 1000
_MOST_LABELS = 20
_READ = 20_000


def guarded(text: str) -> list[Span]:
    """Stretches of `text` that stay as they are, ascending: quotations, code, mathematics, tags, addresses, options.

    And records: a line of `name: value` fields as a whole; of a line that begins with `Question:` only that label.
    """
    found = [match.span() for pattern in (_QUOTED, OPTION, _LABEL) for match in pattern.finditer(text)]
    start = 0
    for line in text.split("\n"):
        fields = [match.span() for match in _FIELD.finditer(line)]
        covered = sum(end - begin for begin, end in fields)
        if fields and covered >= 0.8 * len(line.strip()):
            found.append((start, start + len(line)))
        start += len(line) + 1
    return sorted(found)


class Guard:
    """Says whether a stretch of a text may change.

    Args:
        text: the text.
    """

    def __init__(self, text: str) -> None:
        self._spans: list[Span] = []
        for start, end in guarded(text):
            if self._spans and start <= self._spans[-1][1]:
                self._spans[-1] = (self._spans[-1][0], max(end, self._spans[-1][1]))
            else:
                self._spans.append((start, end))
        self._starts = [start for start, _ in self._spans]

    def free(self, start: int, end: int) -> bool:
        """Whether nothing between `start` and `end` is guarded."""
        before = bisect_right(self._starts, start) - 1
        if before >= 0 and self._spans[before][1] > start:
            return False
        return before + 1 >= len(self._spans) or self._starts[before + 1] >= end


def answer_text(row: Example, labels: Sequence[str] = ()) -> str:
    """All that the row answers and could answer, folded: what stands in it is not replaced in its question."""
    said = [turn.content for turn in row.messages if turn.role == "assistant"]
    rejected = [row.rejected.content] if row.rejected else []
    return "\n".join([*said, *rejected, row.target or "", *labels]).casefold()


def answer_words(row: Example, labels: Sequence[str] = ()) -> frozenset[str]:
    """The words of `answer_text`."""
    return frozenset(_WORD.findall(answer_text(row, labels)))


@dataclass(frozen=True)
class Corpus:
    """What only many rows together can tell.

    Fields:
        labels: the answers, where they look like a closed set.
        pairs: source -> neighbouring words that more than half of its rows share: pieces of a template; `words`: the
            words in them.
    """

    labels: tuple[str, ...] = ()
    pairs: Mapping[str, frozenset[str]] = field(default_factory=dict)
    words: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @staticmethod
    def of(rows: Iterable[Example]) -> Corpus:
        """Goes through the rows once; a template is looked for in the first 1,000 rows of each source."""
        answers: Counter[str] = Counter()
        found: dict[str, Counter[str]] = defaultdict(Counter)
        count: Counter[str] = Counter()
        for row in rows:
            if len(answers) <= _MOST_LABELS or row.reference in answers:
                answers[row.reference] += 1
            if count[row.source] < _TEMPLATE_ROWS:
                count[row.source] += 1
                found[row.source].update(set(_pairs(row)))
        pairs = {
            source: frozenset(pair for pair, rows in all_pairs.items() if rows > _PAIR_SHARE * count[source])
            for source, all_pairs in found.items()
            if count[source] >= _PAIR_ROWS
        }
        words = {source: frozenset(w for pair in shared for w in pair.split(" ")) for source, shared in pairs.items()}
        return Corpus(closed_set(answers), pairs, words)

    def template_words(self, row: Example) -> frozenset[str]:
        """Words of a template that the row's source shares."""
        return self.words.get(row.source, frozenset())

    def is_record(self, row: Example) -> bool:
        """Whether a structured row is a template with values: nearly a third of its word pairs are the source's."""
        pairs, shared = _pairs(row), self.pairs.get(row.source, frozenset())
        return row.kind == "structured" and sum(p in shared for p in pairs) > _RECORD_SHARE * max(1, len(pairs))


def closed_set(answers: Counter[str]) -> tuple[str, ...]:
    """The answers as labels: at most 20 different ones of at most 40 characters, on average at least five times."""
    if len(answers) < 2 or len(answers) > _MOST_LABELS or answers.total() < 5 * len(answers):
        return ()
    return () if any(not a.strip() or len(a) > 40 for a in answers) else tuple(sorted(answers))


def _pairs(row: Example) -> list[str]:
    asked = " ".join(turn.content[:_READ] for turn in row.messages if turn.role == "user")
    words = _WORD.findall(asked.casefold())
    return [f"{one} {two}" for one, two in pairwise(words)]
