"""Whether a question is one that the verdict rests on: told from hashes, so that no held-out text is carried along."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_WORD = re.compile(r"[\u3400-\u9fff]|\d+(?:[.,]\d+)*|\w+")
_RUN = 3
SHARE = 0.8
"""Of a held-out question's runs of three words: so many in another question, with the same numbers, make it near."""


def folded(text: str) -> tuple[str, ...]:
    """The words of a text without case, punctuation and compatibility forms; a Chinese character is a word."""
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


class HeldOut:
    """Questions as hashes.

    Two questions are the same where their folded words are; near where one has at least 80 % of the other's runs of
    three words and both have the same numbers: a word problem with other numbers has another answer.

    Args:
        rows: for each question the hash of its words, the hash of its numbers, and the hashes of its runs.
    """

    def __init__(self, rows: Sequence[tuple[str, str, Sequence[str]]] = ()) -> None:
        self._rows = [(whole, numbers, tuple(runs)) for whole, numbers, runs in rows]
        self._same = {whole for whole, _, _ in self._rows}
        self._of_run: dict[str, list[int]] = defaultdict(list)
        for n, (_, _, runs) in enumerate(self._rows):
            for run in runs:
                self._of_run[run].append(n)

    @classmethod
    def of(cls, questions: Iterable[str]) -> HeldOut:
        """The hashes of some questions; those without words are left out."""
        return cls([_hashed(words) for question in questions if (words := folded(question))])

    def __len__(self) -> int:
        return len(self._rows)

    def refuses(self, question: str) -> str:
        """`held-out`, `near-held-out`, or nothing where the question is another one."""
        words = folded(question)
        if not words or not self._rows:
            return ""
        whole, numbers, runs = _hashed(words)
        if whole in self._same:
            return "held-out"
        shared = Counter(n for run in runs for n in self._of_run.get(run, ()))
        for n, count in shared.items():
            _, its_numbers, its_runs = self._rows[n]
            if its_numbers == numbers and count >= SHARE * len(its_runs):
                return "near-held-out"
        return ""

    def as_dict(self) -> dict[str, Any]:
        """Its hashes as JSON values."""
        return {"rows": [[whole, numbers, list(runs)] for whole, numbers, runs in self._rows]}

    @classmethod
    def of_dict(cls, value: Mapping[str, Any]) -> HeldOut:
        """What `as_dict` gave."""
        return cls([(whole, numbers, runs) for whole, numbers, runs in value["rows"]])


def _hashed(words: Sequence[str]) -> tuple[str, str, tuple[str, ...]]:
    numbers = sorted(word for word in words if word[0].isdigit())
    runs = {" ".join(words[n : n + _RUN]) for n in range(max(1, len(words) - _RUN + 1))}
    return _hash(" ".join(words)), _hash(" ".join(numbers)), tuple(sorted(map(_hash, runs)))


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
