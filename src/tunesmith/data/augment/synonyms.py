"""Questions in which some words are others that mean the same."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from tunesmith.core.protocols import Context
from tunesmith.core.types import Example
from tunesmith.data.augment import _chinese, _english
from tunesmith.data.augment._guard import Corpus, Guard, answer_text, answer_words
from tunesmith.data.augment._making import (
    Copies,
    Draft,
    Likeness,
    Share,
    chosen,
    copies_of,
    dice_of,
    reworded,
    tell,
    unfit,
)
from tunesmith.data.augment._rewording import Rewording
from tunesmith.data.augment._swaps import Swap
from tunesmith.data.chinese import han_share
from tunesmith.data.meaning import CHINESE

_NEAREST = 2


@dataclass(frozen=True)
class Synonyms(Rewording):
    """Replaces some words of a question by synonyms of the same part of speech and form.

    English by WordNet 3.0 and spaCy (extra `augment`), Chinese by Cilin and CC-CEDICT where both agree; the tables are
    brought on first use. Only words with one meaning are replaced. Answers stay as they are, and so do names, numbers,
    denials, quotations, code, options, `name: value` records and templates that rows share, and every word that the
    answer or a label has too.

    Args:
        copies: children of a row, at most.
        share: share of the rows that get children.
        rate: share of the replaceable words that are replaced, at least one.
        keep: words that are never replaced: terms of the domain.
        encoder: judges whether the meaning was kept: a catalog name or a local folder; null: character pairs alone.
        alike: cosine that the changed sentences must have with the old ones.
    """

    name: ClassVar[str] = "synonyms"

    copies: Copies = 1
    share: Share = 1.0
    rate: Annotated[float, Field(gt=0, le=1)] = 0.5
    keep: tuple[str, ...] = ()
    encoder: str | None = "all-minilm-l6-v2"
    alike: Likeness = 0.8

    def _drafts(self, rows: Iterable[Example], context: Context, corpus: Corpus) -> Iterator[Draft]:
        left: Counter[str] = Counter()
        for row in chosen(rows, context, self.name, self.share):
            why = unfit(row) or ("are records of a template" if corpus.is_record(row) else "")
            places = {} if why else self._places(row, corpus)
            if why or not places:
                left[why or "with nothing to replace"] += 1
                continue
            made = copies_of(
                row,
                lambda dice, row=row, places=places: reworded(row, lambda text: self._with_others(text, places, dice)),  # type: ignore[misc]
                copies=self.copies,
                dice=lambda number, row=row: dice_of(context, self.name, row, number),  # type: ignore[misc]
            )
            yield from ((row, new) for new in made)
        tell(context, self.name, left)

    def _places(self, row: Example, corpus: Corpus) -> dict[str, list[Swap]]:
        """Text of a turn -> its replaceable words."""
        kept = {*(word.casefold() for word in self.keep), *corpus.template_words(row)}
        words, answer = answer_words(row, corpus.labels), answer_text(row, corpus.labels)
        found: dict[str, list[Swap]] = {}
        for text in {turn.content for turn in row.messages if turn.role == "user"}:
            chinese, guard = han_share(text) >= CHINESE, Guard(text)
            swaps = _chinese.swaps(text) if chinese else _english.swaps(text)
            for swap in swaps:
                word = text[swap.start : swap.end].casefold()
                answered = word in answer if chinese else word in words
                if word not in kept and not answered and guard.free(swap.start, swap.end):
                    found.setdefault(text, []).append(swap)
        return found

    def _with_others(self, text: str, places: dict[str, list[Swap]], dice: random.Random) -> str:
        """The text with some of its words replaced, the same word everywhere by the same other one."""
        swaps = places.get(text, [])
        words = sorted({text[swap.start : swap.end] for swap in swaps})
        taken = set(dice.sample(words, max(1, round(self.rate * len(words))))) if words else set()
        others = {
            word: dice.choice(next(s.others for s in swaps if text[s.start : s.end] == word)[:_NEAREST])
            for word in sorted(taken)
        }
        parts, end = [], 0
        for swap in swaps:
            if (word := text[swap.start : swap.end]) in others:
                parts += [text[end : swap.start], others[word]]
                end = swap.end
        return "".join([*parts, text[end:]])
