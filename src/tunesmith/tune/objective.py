"""The objective: a weighted list of terms, each with a curve of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from tunesmith.core.shelf import Shelf
from tunesmith.tune.curriculum import Shares

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.core.events import Events
    from tunesmith.core.protocols import Scorer
    from tunesmith.core.types import Example, Profile
    from tunesmith.tune.batches import Batch, Row, Step
    from tunesmith.tune.forward import Forward
    from tunesmith.tune.gathered import Gathered

TERMS = Shelf("terms", "tunesmith.tune.terms")
WEIGHTINGS = Shelf("weightings", "tunesmith.tune.weightings")


@dataclass(frozen=True)
class Predictions:
    """What the model says of a micro-batch: its last states, and where in them the trained tokens are predicted.

    Axes: T token of the packed sequence, N trained position, B row of the micro-batch, D hidden, V vocabulary.

    Args:
        states_TD: normed last states, from which `head` makes logits.
        sources_N: the place in `states_TD` that predicts each trained token.
        batch: rows and targets.
        spans: for each row the start and the end of its own states; the first `prefix` states belong to all rows.
        prefix: how many states the rows share.
        head: hidden [n, D] -> logits [n, V].
    """

    states_TD: Tensor
    sources_N: Tensor
    batch: Batch
    spans: tuple[tuple[int, int], ...]
    prefix: int
    head: Callable[[Tensor], Tensor]

    @cached_property
    def hidden_ND(self) -> Tensor:
        """The states that predict the trained tokens."""
        return self.states_TD[self.sources_N]

    @cached_property
    def targets_N(self) -> Tensor:
        """The token that should come at each trained position."""
        return self.batch.targets.to(self.states_TD.device)

    def of(self, parts: Iterable[str]) -> tuple[Tensor, Tensor, Tensor]:
        """States [n, D], targets [n] and row of the micro-batch [n] at the trained positions of rows of `parts`."""
        wanted = set(parts)
        rows_N = self.batch.row_of.to(self.states_TD.device)
        if all(row.part in wanted for row in self.batch.items):
            return self.hidden_ND, self.targets_N, rows_N
        keep = [row.part in wanted for row in self.batch.items]
        chosen = rows_N.new_tensor(keep, dtype=rows_N.dtype).bool()[rows_N]
        return self.hidden_ND[chosen], self.targets_N[chosen], rows_N[chosen]

    def pooled_BD(self) -> Tensor:
        """The mean of each row's last states over all tokens that were read, the shared prefix included; float32."""
        import torch

        shared = self.states_TD[: self.prefix].float().sum(0)
        own = [self.states_TD[start:end].float().sum(0) for start, end in self.spans]
        means = [(shared + sum_D) / (self.prefix + end - start)
                 for sum_D, (start, end) in zip(own, self.spans, strict=True)]  # fmt: skip
        return torch.stack(means)


class Companion:
    """What goes along with the model through every step, and is saved and resumed with it.

    Terms, weightings and strategies with a state of their own are companions; the methods say "nothing" here.
    """

    def penalty(self) -> Tensor | None:
        """A scalar that depends on the weights alone, asked for once a step; None: there is none."""
        return None

    def after_step(self, step: int) -> None:
        """The optimiser has taken step `step` (counted from 0); state may change here and nowhere else."""

    def tensors(self) -> dict[str, Tensor]:
        """The state, as copies."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `tensors` gave, bit for bit."""

    def files(self) -> dict[str, Path]:
        """Name -> file that is kept with the checkpoint, in its folder `terms/`."""
        return {}


class Running(Companion):
    """A term at work in one training."""

    rewarded: ClassVar[bool] = False
    """Whether it rewards what the model said itself; a curriculum gives such terms what the supervised ones lose."""

    @property
    def supervised(self) -> bool:
        """Whether it shows the model answers to learn; a curriculum takes from its weight."""
        return False

    seen: Gathered | None = None
    """What is gathered over the micro-batches of a step for `told` or `after_step`, if anything is; where several
    processes share the step, it holds the sums of all of them by then."""

    def begin(self, step: Step) -> None:
        """Step `step` begins, or begins anew with smaller micro-batches: forget what was gathered for `told`."""

    def told(self) -> dict[str, float]:
        """Finite figures for the curve, asked for once all micro-batches of a step are done; `after_step` follows."""
        return {}

    def value(self, predictions: Predictions, step: Step) -> Tensor | None:
        """This micro-batch's share of the term in step `step`: a float32 scalar with gradient; None: reads nothing.

        The shares of all micro-batches of a step add up to the term's value, whatever the step is cut into: what a
        mean is taken over is counted for the whole step (`Step`).
        """
        return None


@runtime_checkable
class Term(Protocol):
    """One part of the objective as it stands on the shelf: settings only.

    A term that wants general rows in the steps has an attribute `general_share`: how many go along with every step, as
    a share of its own rows.
    """

    def bind(self, job: Job) -> Running:
        """The term at work in the training `job`; what it must know of the untrained model is looked up here.

        Raises:
            UserError: the term does not fit the rows, the strategy or the model.
        """
        ...


@dataclass(frozen=True)
class Job:
    """What a term may look at when a training begins.

    Args:
        model: the model, PEFT or plain, weights as they are before the first step.
        forward: makes predictions of a batch.
        rows: all training rows of the phase; `Batch.rows` counts them.
        batches: cuts rows with given numbers into micro-batches.
        folder: scratch folder of this phase that survives a kill.
        events: where to tell what happens.
        seed: of the training.
        examples: by row id; read when first asked for.
        scorer: makes a scorer of `{use: ...}`.
        base_path: folder of the base model.
        profile: the task, its labels, the groups to protect.
        general: the general rows, whether or not any of them goes along with the steps; read when first asked for.
        untrained: no weight has moved yet: this is the first phase.
    """

    model: Any
    forward: Forward
    rows: Sequence[Row]
    batches: Callable[[Sequence[int]], list[Batch]]
    folder: Path
    events: Events
    seed: int
    examples: Callable[[], Mapping[str, Example]]
    scorer: Callable[[Any], Scorer]
    base_path: Path
    profile: Profile
    general: Callable[[], Sequence[Row]] = tuple
    untrained: bool = True


@dataclass(frozen=True)
class Part:
    """A term of the objective: its name (unique), its weight, and the term at work."""

    name: str
    weight: float
    term: Running


class Weighting(Companion):
    """How the weights of the terms move; here: they stay."""

    wants_norms = False
    """Whether the norms of the terms' gradients are needed; then each term's gradient is kept apart for a moment."""

    def factors(self, step: Step) -> Mapping[str, float]:
        """Name -> factor on the term's weight in this step; what is not named has 1."""
        return {}

    def learn(self, values: Mapping[str, float], norms: Mapping[str, float]) -> None:
        """Take note of a step's values and gradient norms (at the last states); called before `after_step`."""


@dataclass(frozen=True)
class Objective:
    """`sum(weight * factor * share * term)`.

    Args:
        parts: in the order of the project file.
        weighting: how the factors move.
        shares: how weight moves from supervised to rewarded terms.
    """

    parts: tuple[Part, ...]
    weighting: Weighting
    shares: Shares = field(default_factory=Shares)

    @classmethod
    def build(
        cls, uses: Sequence[Any], job: Job, *, weighting: Weighting | None = None, shares: Shares | None = None
    ) -> Objective:
        """From `[{use: cross_entropy, weight: 1.0, ...}, ...]`; `weight` is 1 where it is not given.

        Raises:
            UserError: unknown term or setting, or one that does not fit the job.
        """
        parts: list[Part] = []
        for number, use in enumerate(uses):
            name, weight, settings = weighted(use)
            same = sum(part.name.partition("#")[0] == name for part in parts)
            term = TERMS.build(settings, where=f"tune.objective[{number}]").bind(job)
            parts.append(Part(f"{name}#{same + 1}" if same else name, weight, term))
        shares = shares or Shares()
        shares.check(parts)
        return cls(tuple(parts), weighting or Weighting(), shares)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the terms, in order."""
        return tuple(part.name for part in self.parts)

    def weights(self, step: Step) -> dict[str, float]:
        """The weight of every term in this step."""
        factors, shares = self.weighting.factors(step), self.shares.factors(self.parts, step)
        return {
            part.name: part.weight * factors.get(part.name, 1.0) * shares.get(part.name, 1.0) for part in self.parts
        }

    def backward(self, predictions: Predictions, step: Step) -> tuple[dict[str, float], dict[str, float]]:
        """Add this micro-batch's gradients: first of all terms down to the last states, then once through the model.

        Returns:
            Each term's share of the step's value before its weight, and the squared norm of its unweighted gradient
            at the last states (empty where the weighting does not want it).
        """
        import torch

        states, weights = predictions.states_TD, self.weights(step)
        leaf = states.detach().requires_grad_(states.requires_grad)
        values: dict[str, float] = {}
        norms: dict[str, float] = {}
        total = None
        for part in self.parts:
            # each term its own predictions: what one caches of them hangs on a graph that its backward pass frees
            value = part.term.value(replace(predictions, states_TD=leaf), step)
            if value is None:
                continue
            values[part.name] = float(value.detach())
            if value.requires_grad:
                torch.autograd.backward(weights[part.name] * value)
            if self.weighting.wants_norms and leaf.grad is not None:
                size = weights[part.name] or 1.0
                norms[part.name] = float(leaf.grad.float().square().sum()) / size**2
                total, leaf.grad = leaf.grad if total is None else total + leaf.grad, None
        grad = leaf.grad if total is None else total
        if states.requires_grad:  # even where no term read anything: sharded weights need every process's pass
            torch.autograd.backward(states, torch.zeros_like(states) if grad is None else grad)
        return values, norms

    def begin(self, step: Step) -> None:
        """A step begins, or begins anew: see `Running.begin`."""
        for part in self.parts:
            part.term.begin(step)

    def told(self) -> dict[str, float]:
        """What the terms tell beside their values, as `TERM.FIGURE`."""
        return {f"{part.name}.{name}": value for part in self.parts for name, value in part.term.told().items()}

    def gathered(self) -> dict[str, Gathered]:
        """Name of each term that gathers something over a step -> what it gathered."""
        return {part.name: part.term.seen for part in self.parts if part.term.seen is not None}

    def penalties(self, step: Step) -> dict[str, float]:
        """Add the gradients of the terms that depend on the weights alone; their values before weighting."""
        import torch

        values, weights = {}, self.weights(step)
        for part in self.parts:
            penalty = part.term.penalty()
            if penalty is not None:
                values[part.name] = float(penalty.detach())
                if penalty.requires_grad:
                    torch.autograd.backward(weights[part.name] * penalty)
        return values

    def total(self, values: Mapping[str, float], step: Step) -> float:
        """The weighted sum of the terms' values."""
        weights = self.weights(step)
        return sum(weights[name] * value for name, value in values.items())

    def companions(self) -> dict[str, Companion]:
        """Everything here that has a state, by name."""
        return {**{f"term.{part.name}": part.term for part in self.parts}, "weighting": self.weighting}


def general_share(uses: Sequence[Any]) -> float:
    """How many general rows go along with every step, as a share of its own rows: what the greediest term wants."""
    terms = [TERMS.build(weighted(use)[2], where=f"tune.objective[{number}]") for number, use in enumerate(uses)]
    return max((float(getattr(term, "general_share", 0.0)) for term in terms), default=0.0)


def weighted(use: Any) -> tuple[str, float, dict[str, Any]]:
    """Name, weight and settings without the weight of one term of the project file."""
    settings = dict(use.model_dump() if hasattr(use, "model_dump") else use)
    weight = float(settings.pop("weight", 1.0))
    return str(settings["use"]), weight, settings
