"""Asking a teacher: what was answered before is read, what is missing is asked, everything is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from tunesmith.core.errors import UserError
from tunesmith.core.ids import content_id
from tunesmith.core.protocols import Context, Conversation
from tunesmith.core.types import Answer
from tunesmith.data.synthesize._replies import Replies, Reply
from tunesmith.data.synthesize._teacher import Price, Teacher
from tunesmith.models.endpoint import SEED, Endpoint, EndpointAnswerer
from tunesmith.models.spec import ModelSpec

FILE = "replies.jsonl"
AT_ONCE = 16
"""Prompts that makers give at a time; bounds what is in memory and, on this machine, what a kill can cost."""
_MOST_FAILURES = 5


@dataclass
class Spent:
    """What asking cost; the same answers give the same figures, whenever they were asked."""

    prompts: int = 0
    answered: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    without_usage: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    seconds: float = 0.0

    def count(self, reply: Reply) -> None:
        """One more prompt and what came of it."""
        self.prompts += 1
        if reply.failed:
            self.failed[reply.failed] += 1
            return
        self.answered += 1
        self.cut += reply.stop == "length"
        self.without_usage += reply.prompt_tokens is None or reply.answer_tokens is None
        self.prompt_tokens += reply.prompt_tokens or 0
        self.answer_tokens += reply.answer_tokens or 0
        self.seconds += reply.seconds

    def told(self, price: Price) -> dict[str, Any]:
        """The figures as JSON values; tokens of answers that came without usage are in no sum."""
        cost = (self.prompt_tokens * price.input + self.answer_tokens * price.output) / 1e6
        plain = {**vars(self), "failed": dict(sorted(self.failed.items())), "seconds": round(self.seconds, 1)}
        return {**plain, "cost": round(cost, 6), "currency": price.currency}


class Asker:
    """Asks one teacher.

    Args:
        ask: answers questions that were never asked, in order, and writes down what was said.
        replies: what was said before.
        key: what an answer depends on besides the conversation.
        at_most: most prompts; 0: no bound.
    """

    def __init__(
        self, ask: Callable[[Sequence[tuple[str, Conversation]]], list[Reply]], replies: Replies, key: Any, at_most: int
    ) -> None:
        self._ask, self._replies, self._key, self._at_most = ask, replies, key, at_most
        self._asked: set[str] = set()
        self.spent = Spent()

    def ask(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """One reply per conversation, in order; one that was asked before costs nothing.

        Raises:
            UserError: see `EndpointAnswerer.say`; the model on this machine cannot be opened.
        """
        asked = {self._id(conversation): conversation for conversation in conversations}
        new = [key for key in asked if key not in self._asked]
        left = max(0, self._at_most - len(self._asked)) if self._at_most else len(new)
        spent = Reply(failed="prompts-spent", detail="teacher.at_most_prompts")
        found = {key: spent if key in new[left:] else self._replies.find(key) for key in asked}
        missing = [key for key in asked if found[key] is None]
        found |= dict(zip(missing, self._ask([(key, asked[key]) for key in missing]), strict=True))
        for key in new[:left]:
            self._asked.add(key)
            self.spent.count(found[key] or spent)
        return [found[self._id(conversation)] or spent for conversation in conversations]

    def _id(self, conversation: Conversation) -> str:
        said = [[message.role, message.content] for message in conversation]
        return content_id("said", {"by": self._key, "said": said})


@contextmanager
def asking(teacher: Teacher, context: Context) -> Iterator[Asker]:
    """A teacher that can be asked until the block ends; a model on this machine is opened when first needed.

    Raises:
        UserError: the endpoint's key, or the model, cannot be had.
    """
    with ExitStack() as stack:
        replies = stack.enter_context(Replies(context.scratch / FILE))
        if teacher.endpoint is None:
            ask, key = _local(teacher, context, replies, stack)
        else:
            if problems := teacher.check(context.root):
                raise UserError(problems)
            ask, key = _remote(teacher, teacher.endpoint, replies, stack)
        yield Asker(ask, replies, {**key, "at_most_tokens": teacher.at_most_tokens}, teacher.at_most_prompts)


_Asks = tuple[Callable[[Sequence[tuple[str, Conversation]]], list[Reply]], dict[str, Any]]


def _remote(teacher: Teacher, endpoint: Endpoint, replies: Replies, stack: ExitStack) -> _Asks:
    model = stack.enter_context(EndpointAnswerer(endpoint, teacher.model, where="teacher.endpoint"))
    pool = ThreadPoolExecutor(endpoint.at_once)
    stack.callback(pool.shutdown, cancel_futures=True)
    failures = 0  # in a row; threads may miscount by a few, which only moves the moment of giving up

    def one(question: tuple[str, Conversation]) -> Reply:
        nonlocal failures
        if failures >= _MOST_FAILURES:
            return Reply(failed="endpoint-given-up", detail=f"{_MOST_FAILURES} prompts in a row were not answered")
        reply = _reply(model.say(question[1], at_most_tokens=teacher.at_most_tokens))
        if reply.failed:
            failures += reply.failed != "prompt-refused"
        else:
            failures = 0
            replies.keep(question[0], reply)
        return reply

    key = {"model": model.name, "url": endpoint.url, "temperature": endpoint.temperature, "seed": SEED}
    return lambda questions: list(pool.map(one, questions)), key


def _local(teacher: Teacher, context: Context, replies: Replies, stack: ExitStack) -> _Asks:
    from tunesmith.models.stage import run

    base = run(ModelSpec(use=teacher.model), context=context)
    opened: list[Any] = []

    def ask(questions: Sequence[tuple[str, Conversation]]) -> list[Reply]:
        if questions and not opened:
            opened.append(stack.enter_context(context.open(base)))
        said = opened[0].answer([c for _, c in questions], at_most_tokens=teacher.at_most_tokens) if questions else []
        found = [_reply(answer) for answer in said]
        for (key, _), reply in zip(questions, found, strict=True):
            if not reply.failed:
                replies.keep(key, reply)
        return found

    return ask, {"model": base.digest, "template": base.chat_template_hash}


def _reply(answer: Answer) -> Reply:
    if answer.stop == "error":
        told = answer.evidence
        return Reply(failed=str(told["error"]), detail=str(told.get("detail", told)))
    usage, known = answer.usage, answer.evidence.get("usage") != "unknown"
    return Reply(
        text=answer.text,
        stop=answer.stop,
        prompt_tokens=usage.prompt_tokens if known else None,
        answer_tokens=usage.answer_tokens + usage.reasoning_tokens if known else None,
        seconds=round(usage.seconds, 3),
    )
