"""Wrong answers beside right ones, refusals, and the same case with another attribute."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.protocols import Context
from tunesmith.core.types import Drop, Example
from tunesmith.data.augment._guard import Corpus
from tunesmith.data.augment._making import Copies, Share, chosen, dice_of, tell, unfit
from tunesmith.data.augment._refusals import Refusals
from tunesmith.data.augment._swapping import Rules, counterfactual
from tunesmith.data.augment._wrong import Pool, other_label, other_number
from tunesmith.data.children import child

Kind = Literal["labels", "answers", "numbers", "refusals", "counterfactuals"]

_NAME = "negatives"


@dataclass(frozen=True)
class Negatives:
    """Makes preference pairs with a plausible wrong answer, refusals, and counterfactual cases.

    `labels`: another label of a closed set; `answers`: another row's answer of similar length to a question of the same
    topic; `numbers`: the right answer with one number changed. These keep the conversation and add the rejected answer.
    `refusals`: the question beside another row's text, answered by why it cannot be answered from that (where answers
    are open). `counterfactuals`: the question with the words of `swap` exchanged and the numbers of `shift` moved, the
    answer as it was: only you know that it stays right, so nothing is done without these rules. A child names its kind
    in the attribute `negative`.

    Example:
        {use: negatives, kinds: [counterfactuals], swap: [[he, she], [male, female]], shift: {age: 5}}

    Args:
        copies: children of a row, at most; each of another kind.
        share: share of the rows that get children.
        kinds: what is made; of those that a row allows one is drawn.
        swap: pairs of words that are exchanged, all in one row at once.
        shift: words after which a number stands -> by how much it may be moved, up or down.
    """

    copies: Copies = 1
    share: Share = 1.0
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)] = ("labels", "answers", "numbers")
    swap: tuple[tuple[str, str], ...] = ()
    shift: dict[str, float] | None = None

    def __post_init__(self) -> None:
        """Refuses counterfactuals without a rule, and rules that nobody uses."""
        wanted, given = "counterfactuals" in self.kinds, bool(self.swap or self.shift)
        if wanted and not given:
            hint = "write swap: [[he, she]] or shift: {age: 5}, or leave 'counterfactuals' out"
            raise UserError(
                Problem("no-rule", "counterfactuals need a rule under which the answer stays", hint, "kinds")
            )
        if given and not wanted:
            hint = "add 'counterfactuals' to kinds, or leave the rules out"
            raise UserError(Problem("unused-rule", "swap and shift are for counterfactuals", hint, "kinds"))

    def make(self, rows: Iterable[Example], context: Context) -> Iterator[Example | Drop]:
        """See `core.protocols.Maker`."""
        corpus, pool, refusals = Corpus.of(rows), Pool(), Refusals()
        for row in rows:
            if not unfit(row):
                pool.add(row)
                refusals.add(row)
        left: Counter[str] = Counter()
        for row in chosen(rows, context, _NAME, self.share):
            why = unfit(row) or _no_pair(row)
            dice = dice_of(context, _NAME, row)
            made = [] if why else list(self._children(row, dice, (corpus, pool, refusals)))
            if not made:
                left[why or "that allow none of the kinds"] += 1
            yield from made
        tell(context, _NAME, left)

    def _children(
        self, row: Example, dice: random.Random, known: tuple[Corpus, Pool, Refusals]
    ) -> Iterator[Example | Drop]:
        done = 0
        for kind in dice.sample(self.kinds, len(self.kinds)):
            if done == self.copies:
                return
            made = self._child(row, kind, dice, known)
            if made is not None:
                done += 1
                yield made

    def _child(
        self, row: Example, kind: Kind, dice: random.Random, known: tuple[Corpus, Pool, Refusals]
    ) -> Example | Drop | None:
        corpus, pool, refusals = known
        if kind == "counterfactuals":
            return counterfactual(row, Rules(self.swap, self.shift or {}), dice, step=_NAME)
        if kind == "refusals":
            return None if corpus.labels else refusals.refused(row, dice)
        said = row.messages[-1].content
        if kind == "labels":
            wrong = other_label(said, row.reference, corpus.labels, dice)
        elif kind == "numbers":
            wrong = "" if corpus.labels else other_number(said, dice)
        else:
            wrong = "" if corpus.labels or row.target not in (None, said) else pool.other_answer(row, dice)
        if not wrong or wrong == said:
            return None
        rejected = row.messages[-1].model_copy(update={"content": wrong})
        return child(row, row.messages, target=row.target, rejected=rejected, attributes={"negative": kind})


def _no_pair(row: Example) -> str:
    """Why a row cannot be the better half of a pair; empty where it can."""
    last = row.messages[-1]
    if row.rejected is not None:
        return "with a rejected answer"
    if last.role != "assistant" or not last.content.strip():
        return "without an answer"
    return "with reasoning or tool calls" if last.reasoning or last.tool_calls else ""
