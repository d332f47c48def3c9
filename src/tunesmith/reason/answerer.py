"""Opens a base model or an expert as something that answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.files import read_json
from tunesmith.core.protocols import Conversation, LikelihoodAnswerer
from tunesmith.core.types import Answer, Base, Expert, Likelihood, Sampling
from tunesmith.models.engines import Engine
from tunesmith.reason.calculator import calculated
from tunesmith.reason.chains import Chain
from tunesmith.reason.library import Library
from tunesmith.reason.line import Job, Line
from tunesmith.reason.stage import TAUGHT


class ExpertAnswerer:
    """A model that answers by an expert's way of reasoning.

    Args:
        model: the expert's model, which answers without reasoning of ours.
        line: its way of reasoning.
        at_most_tokens: the expert's own limit for one chain; a caller's lower limit counts.
    """

    def __init__(self, model: LikelihoodAnswerer, line: Line, *, at_most_tokens: int) -> None:
        self.name = model.name
        self.line = line
        self.model = model
        self._at_most_tokens = at_most_tokens

    def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        """One answer per conversation, in order, by the expert's way of reasoning."""
        return self._job(at_most_tokens).answer(conversations)

    def chains(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[list[Chain]]:
        """The chains of each conversation, checked, before they are fused."""
        return self._job(at_most_tokens).chains(conversations)

    def sample(
        self, conversations: Sequence[Conversation], *, draws: Sequence[range], at_most_tokens: int, how: Sampling
    ) -> list[list[Answer]]:
        """What the model itself draws, see `core.protocols.Sampler`: no way of reasoning is added."""
        job = self._job(at_most_tokens)
        return job.model.sample(conversations, draws=draws, at_most_tokens=job.at_most_tokens, how=how)

    def likelihood(
        self, conversations: Sequence[Conversation], options: Sequence[Sequence[str]]
    ) -> list[list[Likelihood]]:
        """The model's own likelihood: no path of reasoning comes before the option."""
        return self.model.likelihood(conversations, options)

    def text_likelihood(self, texts: Sequence[str]) -> list[Likelihood]:
        """The model's own likelihood of plain texts."""
        return self.model.text_likelihood(texts)

    def _job(self, at_most_tokens: int) -> Job:
        return Job.of(self.line, self.model, at_most_tokens=min(at_most_tokens, self._at_most_tokens))


@contextlib.contextmanager
def open_answerer(thing: Base | Expert) -> Iterator[LikelihoodAnswerer]:
    """A base model as it is, or an expert with its adapter, chat template and way of reasoning, until the block ends.

    An expert answers in its own engine and with a calculator where it has one, a base exactly and without.

    Raises:
        UserError: files are missing or unsafe, or the chat template is not the one that the expert was trained with.
    """
    from tunesmith.models.answerer import open_model

    expert = isinstance(thing, Expert)
    folder = thing.base_path if isinstance(thing, Expert) else thing.path
    adapter = thing.adapter_path if isinstance(thing, Expert) else None
    engine: Engine = thing.reasoning.get("engine", "exact") if isinstance(thing, Expert) else "exact"
    with open_model(folder, adapter, name=thing.id or ("expert" if expert else "base"), engine=engine) as model:
        _check_template(thing.chat_template_hash, model.chat.hash, folder)
        if not isinstance(thing, Expert):
            yield model
            return
        if thing.reasoning.get("calculator"):
            model.calculator = calculated
        limit = int(thing.reasoning.get("at_most_tokens", model.context))
        yield ExpertAnswerer(model, line_of(thing), at_most_tokens=limit)


def line_of(expert: Expert) -> Line:
    """An expert's way of reasoning, with what it was taught and its library; opens no model.

    Raises:
        UserError: a component is unknown or its settings are wrong.
    """
    taught: dict[str, Any] = {}
    library = Library()
    if expert.folder is not None:
        file: Path = expert.file(TAUGHT)
        taught = read_json(file) if file.is_file() else {}
        library = Library.read(expert.folder)
    return Line.of(expert.reasoning, taught=taught, library=library)


def _check_template(trained: str, found: str, folder: str) -> None:
    """Training with one chat template and answering with another is the commonest way to ship a worse model."""
    if trained and trained != found:
        message = f"the chat template has changed: it was {trained[:12]}, and is {found[:12]}"
        raise UserError(Problem("template-changed", message, "bring the model's own files back, or run again", folder))
