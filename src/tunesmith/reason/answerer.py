"""Opens a base model or an expert as something that answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.protocols import Conversation, LikelihoodAnswerer
from tunesmith.core.types import Answer, Base, Expert, Likelihood
from tunesmith.reason.shelf import PATHS, Paths


class ExpertAnswerer:
    """A model that answers by an expert's way of reasoning.

    Args:
        model: the expert's model.
        paths: its way of reasoning.
        at_most_tokens: the expert's own limit; a caller's lower limit counts.
    """

    def __init__(self, model: LikelihoodAnswerer, paths: Paths, *, at_most_tokens: int) -> None:
        self.name = model.name
        self._model = model
        self._paths = paths
        self._at_most_tokens = at_most_tokens

    def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        """One answer per conversation, in order, by the expert's way of reasoning."""
        limit = min(at_most_tokens, self._at_most_tokens)
        return self._paths.answer(self._model, conversations, at_most_tokens=limit)

    def likelihood(
        self, conversations: Sequence[Conversation], options: Sequence[Sequence[str]]
    ) -> list[list[Likelihood]]:
        """The model's own likelihood: no path of reasoning comes before the option."""
        return self._model.likelihood(conversations, options)

    def text_likelihood(self, texts: Sequence[str]) -> list[Likelihood]:
        """The model's own likelihood of plain texts."""
        return self._model.text_likelihood(texts)


@contextlib.contextmanager
def open_answerer(thing: Base | Expert) -> Iterator[LikelihoodAnswerer]:
    """A base model as it is, or an expert with its adapter, chat template and way of reasoning, until the block ends.

    Raises:
        UserError: files are missing or unsafe, or the chat template is not the one that the expert was trained with.
    """
    from tunesmith.models.answerer import open_model

    expert = isinstance(thing, Expert)
    folder = thing.base_path if isinstance(thing, Expert) else thing.path
    adapter = thing.adapter_path if isinstance(thing, Expert) else None
    with open_model(folder, adapter, name=thing.id or ("expert" if expert else "base")) as model:
        _check_template(thing.chat_template_hash, model.chat.hash, folder)
        if not isinstance(thing, Expert):
            yield model
            return
        recipe = {**thing.reasoning} or {"use": "direct"}
        limit = int(recipe.pop("at_most_tokens", model.context))
        yield ExpertAnswerer(model, PATHS.build(recipe, where="expert.reasoning"), at_most_tokens=limit)


def _check_template(trained: str, found: str, folder: str) -> None:
    """Training with one chat template and answering with another is the commonest way to ship a worse model."""
    if trained and trained != found:
        message = f"the chat template has changed: it was {trained[:12]}, and is {found[:12]}"
        raise UserError(Problem("template-changed", message, "bring the model's own files back, or run again", folder))
