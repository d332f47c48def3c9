"""Questions asked in another way: other words, other order, slips, carelessness, politeness."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tunesmith.core.protocols import Context
from tunesmith.core.types import Example
from tunesmith.data.augment._guard import Corpus, answer_text, answer_words
from tunesmith.data.augment._making import (
    Copies,
    Draft,
    Likeness,
    Share,
    asks,
    chosen,
    dice_of,
    tell,
    unfit,
    with_turns,
)
from tunesmith.data.augment._noise import careless, moved
from tunesmith.data.augment._options import reordered
from tunesmith.data.augment._rewording import Rewording
from tunesmith.data.augment._typos import mistyped
from tunesmith.data.augment._wording import framed, worded
from tunesmith.data.chinese import HAN

Kind = Literal["wording", "polite", "options", "sentences", "typos", "noise"]


@dataclass(frozen=True)
class Perturb(Rewording):
    """Asks the last question of a row in another way; each child has one change, named in its attribute `perturbed`.

    `wording`: rules and frames for asking; `polite`: the same with thanks; `options`: options in another order, where
    the answer names a letter it moves along; `sentences`: two neighbouring sentences exchanged; `typos`: slips of the
    keyboard, in Chinese characters of the same sound (extra `augment`); `noise`: capitals, punctuation, spaces (where
    copies are looked for, such a row is one of its parent). But for a letter that moved, the answer stays as it is.

    Args:
        copies: children of a row, at most; each of another kind as long as there are kinds.
        share: share of the rows that get children.
        kinds: what may be done; of those that change a row one is drawn.
        rate: share of the words that get a slip, at least one.
        keep: words that get no slip: terms of the domain.
        encoder: judges whether the meaning was kept: a catalog name or a local folder; null: character pairs alone.
        alike: cosine that the changed sentences must have with the old ones.
    """

    name: ClassVar[str] = "perturb"

    copies: Copies = 1
    share: Share = 1.0
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)] = ("wording", "polite", "options", "typos")
    rate: Annotated[float, Field(gt=0, le=1)] = 0.05
    keep: tuple[str, ...] = ()
    encoder: str | None = "all-minilm-l6-v2"
    alike: Likeness = 0.7

    def _drafts(self, rows: Iterable[Example], context: Context, corpus: Corpus) -> Iterator[Draft]:
        left: Counter[str] = Counter()
        for row in chosen(rows, context, self.name, self.share):
            made = [] if unfit(row) else list(self._children(row, dice_of(context, self.name, row), corpus))
            if not made:
                left[unfit(row) or "with nothing to change"] += 1
            for new in made:  # options say the same in another order, and their answer may be another letter
                yield (new if new.attributes["perturbed"] == "options" else row), new
        tell(context, self.name, left)

    def _children(self, row: Example, dice: random.Random, corpus: Corpus) -> Iterator[Example]:
        seen, turns = {row.id}, 0
        kinds = dice.sample(self.kinds, len(self.kinds))
        for kind in [kind for _ in range(self.copies) for kind in kinds]:
            if turns == self.copies:
                return
            new = self._changed(row, kind, dice, corpus)
            if new is not None and new.id not in seen:
                turns += 1
                seen.add(new.id)
                yield new

    def _changed(self, row: Example, kind: Kind, dice: random.Random, corpus: Corpus) -> Example | None:
        if kind == "options":
            return reordered(row, dice)
        last = max(i for i, turn in enumerate(row.messages) if asks(turn))
        text = self._rewritten(row.messages[last].content, kind, dice, (row, corpus))
        turns = list(row.messages)
        turns[last] = turns[last].model_copy(update={"content": text})
        return with_turns(row, turns, attributes={"perturbed": kind})

    def _rewritten(self, text: str, kind: Kind, dice: random.Random, known: tuple[Example, Corpus]) -> str:
        if kind == "wording":
            return worded(text, dice)
        if kind == "polite":
            return framed(text, "polite", dice)
        if kind == "sentences":
            return moved(text, dice)
        return (
            careless(text, dice) if kind == "noise" else mistyped(text, dice, rate=self.rate, kept=self._kept(*known))
        )

    def _kept(self, row: Example, corpus: Corpus) -> frozenset[str]:
        words = {word.casefold() for word in self.keep} | corpus.template_words(row)
        answer = {answer_text(row, corpus.labels)} if HAN.search(row.reference) else answer_words(row, corpus.labels)
        return frozenset(words | answer)
