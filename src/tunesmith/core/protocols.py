"""What rooms ask of each other without knowing each other.

Components are frozen values that satisfy one of these protocols; the law batteries in `tests/laws`
run over every component of a kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from tunesmith.core.events import Events
from tunesmith.core.types import (
    Answer,
    Base,
    DataKind,
    Drop,
    Example,
    Expert,
    Likelihood,
    Measure,
    Message,
    Profile,
    Refusal,
    Sampling,
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


@runtime_checkable
class Sampler(Answerer, Protocol):
    """An answerer that can also draw several answers to one conversation."""

    def sample(
        self, conversations: Sequence[Conversation], *, draws: Sequence[range], at_most_tokens: int, how: Sampling
    ) -> list[list[Answer]]:
        """For conversation n its answers number `draws[n]`, in order.

        An answer is a function of the seed, the conversation and its number: it depends neither on the other
        conversations nor on what was drawn before, up to rounding. What cannot be answered is an answer that stops
        with `error` and says why. A prompt's tokens are counted once a call, in its first answer.

        Args:
            conversations: what is asked.
            draws: for each conversation, the numbers of its answers.
            at_most_tokens: of one answer, reasoning included.
            how: temperature and the like.
        """
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


class Filter(Protocol):
    """Decides of one row, from that row alone, whether it goes on."""

    def judge(self, example: Example) -> Refusal | None:
        """None: the row goes on as it is. The same row gets the same word, whatever was judged before it."""
        ...


class CorpusFilter(Protocol):
    """Decides of each row in the light of all rows: copies, a trigger that many rows share, shares of a source.

    Two passes, so that the outcome depends on the rows and their order alone, never on shards and workers: `note` sees
    one row, in any process; `decide` sees every note, in the order of the rows, in one process.
    """

    def note(self, example: Example) -> Any:
        """What `decide` must know of this row, as a small JSON value; notes lie on disk between the passes."""
        ...

    def decide(self, notes: Iterable[Any]) -> Iterable[Refusal | None]:
        """One word per note, in order, as `Filter.judge`.

        Args:
            notes: of all rows, in order; read from disk anew each time they are gone through, which may be several
                times. Whoever keeps less than all of them in memory stays small on large inputs.
        """
        ...


class DocumentFormat(Protocol):
    """Takes the text out of one kind of document."""

    kind: ClassVar[DataKind]
    risky: ClassVar[bool]
    """Whether a document can make it hang, crash or swell: then it runs in a process of its own, within limits."""

    def knows(self, head: bytes, name: str) -> bool:
        """Whether this is such a document, by its content; by its name only where no content could tell. Quick.

        Args:
            head: the first 4,096 bytes; for a zip archive, the names of its members after them.
            name: name of the file.
        """
        ...

    def pieces(self, content: bytes) -> Iterator[tuple[int | None, str]]:
        """(number of the page, or None for a document that has none; its text), in order.

        Raises:
            ValueError: the document cannot be read; the message says why. Any other error is taken for that too.
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
    """Runs a function over shards: in this process, in several, on a cluster. Where it runs never shows in a result."""

    def map(self, function: Callable[[Any], Any], shards: Iterable[Any]) -> Iterator[Any]:
        """`function(shard)` for every shard, in the order of the shards, each given out when those before it were.

        What `function` raises for a shard is raised at that shard's turn; no shard is begun after that, and none after
        the iterator was closed. Results are small: what is large is written to files that a result names.

        Args:
            function: a function of a module or a `partial` of one, with values that can be sent to another process.
            shards: values that can be sent to another process.
        """
        ...


class Here:
    """The executor that every other one must agree with: this process, one shard after the other."""

    def map(self, function: Callable[[Any], Any], shards: Iterable[Any]) -> Iterator[Any]:
        """See `Executor.map`."""
        return map(function, shards)


class Maker(Protocol):
    """Makes new training rows out of training rows: other wordings, wrong answers, more turns, questions on a text."""

    def make(self, rows: Iterable[Example], context: Context) -> Iterator[Example | Drop]:
        """New rows, each made by `child`, and a drop for each one that was made but does not hold.

        Held-out rows are never seen. What is made is checked afterwards: copies, and what stands in held-out rows or
        comes near to it, are dropped and counted. The same rows and context give the same new rows; what a model said
        is kept in `context.scratch`, so that a run that was killed does not ask again.

        Args:
            rows: the training rows, in order; read from disk anew each time they are gone through.
            context: `root`, `seed`, `events` and `scratch` may be used.

        Raises:
            UserError: a library, a model or a file of the project is missing or cannot be used.
        """
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
        workers: processes that will share the training; what they need together is judged before.
        executor: where work on shards is done.
    """

    root: Path
    out: Path
    scratch: Path
    events: Events
    seed: int
    run: str
    open: Callable[[Base | Expert], AbstractContextManager[LikelihoodAnswerer]]
    scorer: Callable[[Any, Profile], Scorer] = _no_scorer
    workers: int = 1
    executor: Executor = Here()  # noqa: RUF009 - it has no state
