"""What rooms ask of each other without knowing each other.

Components are frozen values that satisfy one of these protocols; the law batteries in `tests/laws`
run over every component of a kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from tunesmith.core.events import Events
from tunesmith.core.types import (
    Answer,
    Base,
    Drop,
    Example,
    Expert,
    Likelihood,
    Measure,
    Message,
    Profile,
    Score,
    Triple,
)

Conversation = Sequence[Message]


@runtime_checkable
class Answerer(Protocol):
    """Anything that answers conversations: base model, expert, endpoint, a fake in a test."""

    name: str

    def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        """One answer per conversation, in order. Same conversations and settings give the same answers."""
        ...


@runtime_checkable
class LikelihoodAnswerer(Answerer, Protocol):
    """An answerer that can also say how likely it finds given texts."""

    def likelihood(
        self, conversations: Sequence[Conversation], options: Sequence[Sequence[str]]
    ) -> list[list[Likelihood]]:
        """For conversation n, the likelihood of each of `options[n]` as the assistant's whole turn (end included)."""
        ...

    def text_likelihood(self, texts: Sequence[str]) -> list[Likelihood]:
        """The likelihood of plain texts, given their first token; no chat template."""
        ...


class Cleaner(Protocol):
    """Repairs a text, or refuses it. Idempotent: cleaning twice changes nothing more."""

    def clean(self, text: str) -> str:
        """The repaired text; an empty string means that nothing was left."""
        ...


class Source(Protocol):
    """Where rows come from: reads files of the project and yields examples, and drops for what cannot be read."""

    def read(self, root: Path, labels: Sequence[str]) -> Iterator[Example | Drop]:
        """Every row of the source exactly once, as an example or as a drop with its reason.

        Args:
            root: project folder; paths are resolved under it.
            labels: closed set of answers, empty if open; a row with another one is a drop `unknown-label`.

        Raises:
            UserError: the file as a whole cannot be used (missing, wrong format, missing column).
        """
        ...


class Extractor(Protocol):
    """Reads out of a text what it states. A cheap value; `open` loads the parser or the files that it needs."""

    def open(self, root: Path) -> Callable[[str], list[Triple]]:
        """The function that reads one text: its triples in the order of the text, evidence without row and place.

        The same text gives the same triples.

        Args:
            root: project folder; paths are resolved under it.

        Raises:
            UserError: a library, a model file or a file of the project is missing or cannot be used.
        """
        ...


class Scorer(Protocol):
    """Judges one answer. Shared by evaluation and by rewards in training."""

    def score(self, example: Example, answer: Answer) -> Score:
        """A value, or unscored with the reason."""
        ...


class Metric(Protocol):
    """An aggregate over scored rows; does not depend on their order."""

    def measure(self, rows: Sequence[Any]) -> Measure:
        """One number with its interval."""
        ...


class Executor(Protocol):
    """Runs a function over shards; results come back in the order of the shards."""

    def map(self, function: Callable[[Any], Any], shards: Iterable[Any]) -> list[Any]:
        """`[function(shard) for shard in shards]`, wherever that is computed."""
        ...


def _no_scorer(*_: Any) -> Scorer:
    raise LookupError("this context was made without scorers")


@dataclass(frozen=True)
class Context:
    """What a stage may use besides its spec and inputs.

    Args:
        root: the project folder; what the project file names is resolved under it.
        out: the temporary folder for this stage's files; renamed into the run store when the stage ends well.
        scratch: folder of this run id that survives a kill: training keeps its step checkpoints here.
        events: where to tell what happens.
        seed: the project's seed.
        run: id of this run of the stage.
        open: makes an answerer of a base or an expert; a context manager, so that its memory is freed.
        scorer: makes a scorer of `{use: NAME, ...}` for a task with this profile; rewards in training are scorers.
    """

    root: Path
    out: Path
    scratch: Path
    events: Events
    seed: int
    run: str
    open: Callable[[Base | Expert], AbstractContextManager[LikelihoodAnswerer]]
    scorer: Callable[[Any, Profile], Scorer] = _no_scorer
