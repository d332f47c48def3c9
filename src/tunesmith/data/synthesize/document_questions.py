"""Questions on documents with answers that rest on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from tunesmith.core.errors import Problem
from tunesmith.core.protocols import Context
from tunesmith.core.types import Drop, Example, Message, Refusal
from tunesmith.data.children import child
from tunesmith.data.synthesize import _checks as checks
from tunesmith.data.synthesize._asking import AT_ONCE, asking
from tunesmith.data.synthesize._novelty import Pool
from tunesmith.data.synthesize._parsing import items
from tunesmith.data.synthesize._parts import groups, passages
from tunesmith.data.synthesize._prompts import prompt
from tunesmith.data.synthesize._replies import Reply
from tunesmith.data.synthesize._teacher import Teacher
from tunesmith.data.synthesize._yield import Yield

_STEP = "synthesize.document_questions"
_SHOWN_EVIDENCE = 500


@dataclass(frozen=True)
class DocumentQuestions:
    """Questions on the plain texts among the training rows, answered from the text, with the sentence they rest on.

    A row is kept if its quotation stands in the document, every number and name of its answer too, most of its other
    words as well, if it copies no long run of it, if the question can be understood without the document, is in its
    language, and is unlike every other one. The quotation is kept as the attribute `evidence`. These are rules of form:
    read a sample before you train on it.

    Args:
        teacher: the model that writes, see the page on synthesis.
        per_passage: rows asked for from each passage.
        passage_characters: longest passage; longer documents are asked about in several.
        open_book: the passage stands before the question in the new row; else the question stands alone.
        shared: least share of an answer's telling words that stand in the passage.
        longest_copy: most words of an answer, in a row, that stand so in the passage.
        unlike: ROUGE-L of question and answer with those of another row from which on a row is thrown away; stricter
            than for instructions (0.7), because short questions on two things differ in one word.
    """

    teacher: Teacher
    per_passage: Annotated[int, Field(ge=1, le=50)] = 3
    passage_characters: Annotated[int, Field(ge=200)] = 4000
    open_book: bool = False
    shared: Annotated[float, Field(ge=0, le=1)] = 0.6
    longest_copy: Annotated[int, Field(ge=1)] = 25
    unlike: Annotated[float, Field(gt=0, le=1)] = 0.85

    def check(self, root: Path) -> list[Problem]:
        """See `Teacher.check`."""
        return self.teacher.check(root)

    def outside(self, root: Path) -> dict[str, str]:
        """See `Teacher.outside`."""
        return self.teacher.outside(root)

    def make(self, rows: Iterable[Example], context: Context) -> Iterator[Example | Drop]:
        """See `tunesmith.core.protocols.Maker`; rows that are no plain text are passed over."""
        count, pool = Yield(_STEP), Pool(self.unlike)
        with asking(self.teacher, context) as asker:
            for group in groups(self._passages(rows, count), AT_ONCE):
                count.asked += self.per_passage * len(group)
                replies = asker.ask([self._prompt(passage) for _, passage in group])
                for (parent, passage), reply in zip(group, replies, strict=True):
                    yield from self._rows(parent, passage, reply, pool=pool, count=count)
            count.end(context, asker.spent, self.teacher.price)

    def _passages(self, rows: Iterable[Example], count: Yield) -> Iterator[tuple[Example, str]]:
        for row in rows:
            if row.text is not None:
                count.sources += 1
                for passage in passages(row.text, self.passage_characters):
                    yield row, passage

    def _prompt(self, passage: str) -> tuple[Message, ...]:
        return prompt("document_questions", passage, document=passage, wanted=self.per_passage)

    def _rows(
        self, parent: Example, passage: str, reply: Reply, *, pool: Pool, count: Yield
    ) -> Iterator[Example | Drop]:
        found = [] if reply.failed else items(reply.text)
        if not found:
            yield count.silent(parent, reply)
        for item in found:
            refusal = self._refused(item, passage, pool)
            if refusal is not None:
                yield count.drop(parent, refusal)
                continue
            pool.add(f"{item['question']}\n{item['answer']}")
            yield count.keep(self._row(parent, passage, item))

    def _refused(self, item: Mapping[str, str], passage: str, pool: Pool) -> Refusal | None:
        question, answer, evidence = (item.get(name, "") for name in ("question", "answer", "evidence"))
        limits = checks.Limits(self.shared, self.longest_copy)
        both = f"{question}\n{answer}"
        alike, _ = pool.nearest(both)
        return (
            checks.good_question(question)
            or checks.good_answer(question, answer)
            or (None if self.open_book else checks.stands_alone(question))
            or checks.same_language(both, passage)
            or checks.quoted(evidence, both, passage)
            or checks.grounded(answer, passage, limits)
            or checks.not_copied(answer, passage, limits)
            or (Refusal(reason="like-another", detail=f"ROUGE-L {alike:.2f}") if alike else None)
        )

    def _row(self, parent: Example, passage: str, item: Mapping[str, str]) -> Example:
        asked = f"{passage}\n\n{item['question']}" if self.open_book else item["question"]
        messages = (Message(role="user", content=asked), Message(role="assistant", content=item["answer"]))
        return child(parent, messages, attributes={"evidence": item["evidence"][:_SHOWN_EVIDENCE]})
