"""The objective: a weighted list of terms over the predictions at trained positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tunesmith.core.shelf import Shelf

if TYPE_CHECKING:
    from torch import Tensor

TERMS = Shelf("terms", "tunesmith.tune.terms")


@dataclass(frozen=True)
class Predictions:
    """What the model says at the N trained positions of a micro-batch; nothing else of it is ever computed.

    Args:
        hidden_ND: normed last states, from which `head` makes logits.
        targets_N: the token that should come at each position.
        head: hidden [n, D] -> logits [n, V].
    """

    hidden_ND: Tensor
    targets_N: Tensor
    head: Callable[[Tensor], Tensor]


class Term(Protocol):
    """One part of the objective."""

    def sum(self, predictions: Predictions) -> Tensor:
        """The term summed over the trained tokens, a scalar with gradient.

        A sum, not a mean: the sums of micro-batches add up to the sum of the step, and the loop divides once by the
        number of trained tokens of the whole step, so the result does not depend on how a step is cut up.
        """
        ...


@dataclass(frozen=True)
class Objective:
    """`sum(weight * term)`.

    Args:
        terms: (name, weight, term), in the order of the project file.
    """

    terms: tuple[tuple[str, float, Term], ...]

    @classmethod
    def build(cls, uses: Sequence[Any], *, where: str = "tune.objective") -> Objective:
        """From `[{use: cross_entropy, weight: 1.0, ...}, ...]`; `weight` is 1 where it is not given.

        Raises:
            UserError: unknown term or setting.
        """
        built = []
        for number, use in enumerate(uses):
            settings = dict(use.model_dump() if hasattr(use, "model_dump") else use)
            weight = float(settings.pop("weight", 1.0))
            built.append((str(settings["use"]), weight, TERMS.build(settings, where=f"{where}[{number}]")))
        return cls(tuple(built))

    def backward(self, predictions: Predictions, tokens: int) -> dict[str, float]:
        """Add this micro-batch's gradients; returns each term's share of the step's mean, before its weight.

        Args:
            predictions: of the micro-batch.
            tokens: trained tokens of the whole step.
        """
        sums = [(name, weight, term.sum(predictions)) for name, weight, term in self.terms]
        total = sum(weight * value for _, weight, value in sums) / tokens
        total.backward()  # type: ignore[union-attr]  # at least one term, so it is a tensor
        return {name: float(value.detach()) / tokens for name, _, value in sums}

    def total(self, values: dict[str, float]) -> float:
        """The weighted sum of the terms' values."""
        return sum(weight * values[name] for name, weight, _ in self.terms)
