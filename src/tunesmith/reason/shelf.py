"""The shelves of this room, and what lies on each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from tunesmith.core.protocols import Conversation
from tunesmith.core.shelf import Shelf
from tunesmith.core.types import Example
from tunesmith.reason.chains import Chain, Finding, Fused

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tunesmith.reason.library import Solved
    from tunesmith.reason.line import Job, Line

PATHS = Shelf("paths", "tunesmith.reason.paths")
"""Ways of reasoning."""

RETRIEVERS = Shelf("retrievers", "tunesmith.reason.retrieve")
"""What finds solved examples that are like a question."""

CHECKS = Shelf("checks", "tunesmith.reason.checks")
"""What looks for mistakes in a chain."""

FUSIONS = Shelf("fusions", "tunesmith.reason.fusions")
"""Ways to make one answer of many chains."""


class Paths(Protocol):
    """A way of reasoning: how questions are put to the model, and how many chains are drawn."""

    def draw(self, job: Job, questions: Sequence[Conversation]) -> list[list[Chain]]:
        """The chains of each question, at least one, in the order they were drawn.

        The same job and questions give the same chains; what failed is an unscored chain.
        """
        ...

    def full(self) -> Paths:
        """The same without stopping early: how held-out rows are asked that fusion and stopping are taught on."""
        ...

    def fit(self, line: Line, rows: Sequence[Sequence[Chain]]) -> dict[str, Any]:
        """What held-out rows teach about stopping, JSON values for `Line.stopping`; empty where nothing stops early.

        Args:
            line: whose fusion is taught already.
            rows: the chains of each row, as many as `full` draws, in the order they were drawn.
        """
        ...

    def drawn(self, line: Line, chains: Sequence[Chain]) -> int:
        """How many of a question's chains would have been drawn; needs no model.

        Args:
            line: with what stopping was taught.
            chains: as many as `full` draws, in the order they were drawn.
        """
        ...

    def prepare(self, rows: Sequence[Example], job: Callable[[], Job]) -> list[Solved]:
        """The solved examples that it wants to have in the expert's library; empty where it needs none.

        Args:
            rows: training rows.
            job: opens the model, for those that let it solve questions; not called where nobody does.
        """
        ...


class Found(Protocol):
    """Solved examples, made ready to be found."""

    def scores(self, questions: Sequence[str]) -> NDArray[np.float64]:
        """How alike each question and each example are, in [0, 1]: [questions, examples]."""
        ...

    def alike(self, examples: Sequence[int]) -> NDArray[np.float64]:
        """How alike some examples are to each other, in [0, 1]: square, 1 on the diagonal."""
        ...

    def vectors(self) -> Any:
        """One row per example, dense or sparse, for clustering."""
        ...


class Retriever(Protocol):
    """A way to find solved examples. A cheap value; `index` loads what it needs."""

    def index(self, questions: Sequence[str]) -> Found:
        """The questions of the library, in order, ready to be found.

        Raises:
            UserError: a model that it needs cannot be had.
        """
        ...


class Check(Protocol):
    """Looks at a chain, never at the right answer. Deterministic; what it cannot judge it is silent about."""

    def look(self, question: Conversation, chain: Chain) -> list[Finding]:
        """What speaks for or against the chain, in the order of its text; empty is silent."""
        ...


class Fusion(Protocol):
    """Makes one answer of chains."""

    def learn(self, questions: Sequence[tuple[Sequence[Chain], str]]) -> dict[str, Any]:
        """What held-out questions teach: sources' records, checks' likelihood ratios, calibration.

        Args:
            questions: the chains of each question, and its right conclusion in canonical form.

        Returns:
            JSON values for `fuse`; empty where this fusion learns nothing.
        """
        ...

    def fuse(self, chains: Sequence[Chain], learnt: dict[str, Any]) -> Fused:
        """The chains' answer; chains that are unscored or without a conclusion have no vote.

        Args:
            chains: of one question, in the order they were drawn.
            learnt: of `learn`; empty: the fusion's defaults.
        """
        ...
