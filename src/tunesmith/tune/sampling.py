"""Answers of the model that is being trained, made between two steps, as the rows of the next one."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.types import Answer, Usage
from tunesmith.models.chat import Chat
from tunesmith.models.generate import Generated, Generation, generate, stop_ids_of
from tunesmith.models.trunk import base_model
from tunesmith.tune.batches import Batch, Plan, Row, Step, cut_batches, micro_batch_numbers, pack_rows, shared_prefix
from tunesmith.tune.forward import Forward, PackedForward, at_rest
from tunesmith.tune.loop import STAGE
from tunesmith.tune.objective import Companion, Job
from tunesmith.tune.optimise import trained_weights
from tunesmith.tune.policy import advantages
from tunesmith.tune.rewards import Prompt, Rewards, prompts_of
from tunesmith.tune.rollouts import SAMPLED, Sampled, as_tensors, from_tensors, grouped, row_of
from tunesmith.tune.tokens_likelihood import token_log_probabilities
from tunesmith.tune.watch import Watch

if TYPE_CHECKING:
    from tunesmith.tune.terms.policy_gradient import PolicyGradient

GENERATED_TOKENS = 16_384
"""Most tokens, prompts and answers, that the cache of one generation batch holds; halved where memory runs out."""

LEAST_TOKENS = 64
"""Where not even so few tokens fit, more halving would not help."""

T = TypeVar("T")


@dataclass(frozen=True)
class Asking:
    """How the sampler asks.

    Args:
        settings: of the term that reads the answers.
        mixed: every step has its supervised rows too.
        context_tokens: longest prompt and answer together.
        share_prefix: a prompt is computed once for all its answers.
    """

    settings: PolicyGradient
    mixed: bool
    context_tokens: int
    share_prefix: bool = True


class Sampler(Companion):
    """What there is to do in a phase with rewards: see `loop.Work`.

    Step s belongs to the sampling s // updates. When it begins, the model as it is then gives `samples` answers to
    each of its prompts, drawn from streams that follow from seed and sampling alone; they are scored and compared
    inside their group. What a run needs to go on in the middle of a sampling is in its state, so that a run that was
    killed and resumed is bitwise the run that was not.

    Args:
        plan: the supervised rows; without `mixed` only its general rows (replay) are trained on.
        job: model, forward, examples, scorers.
        asking: how to ask.

    Raises:
        UserError: no prompt can be used; a scorer is unknown.
    """

    def __init__(self, plan: Plan, job: Job, asking: Asking) -> None:
        self.plan, self.job, self.asking, self.settings = plan, job, asking, asking.settings
        self.rewards = Rewards.build(self.settings.reward, job.scorer)
        self.chat = Chat.of(job.base_path)
        self.prompts = self._usable()
        self.questions = self._questions()
        self.watch = Watch(job.events, self.rewards.highest)
        self.tokens_at_once = GENERATED_TOKENS
        self._first = {name: weight.detach().clone() for name, weight in self._reference_weights().items()}
        self._sampling: tuple[int, tuple[Row, ...]] | None = None

    @property
    def steps(self) -> int:
        """See `Work`: with supervised rows so many as they take, else `updates` for each sampling."""
        return self.plan.steps if self.asking.mixed else self.questions.steps * self.settings.updates

    @property
    def steps_per_epoch(self) -> int:
        """See `Work`: of the supervised rows where there are any, else of the prompts."""
        mixed = self.asking.mixed
        return self.plan.steps_per_epoch if mixed else self.questions.steps_per_epoch * self.settings.updates

    @property
    def seed(self) -> int:
        """See `Work`."""
        return self.plan.seed

    def work(self, step: int, micro_tokens: int | None = None) -> tuple[Step, list[Batch]]:
        """Step `step`; asking twice gives the same answers.

        All answers are among its items; those of a group that teaches nothing, and those that could not be scored,
        are in no micro-batch.
        """
        limit, plan = micro_tokens or self.plan.micro_tokens, self.plan
        numbers = [n for n in plan.numbers(step) if self.asking.mixed or plan.rows[n].part == "general"]
        own = cut_batches(plan.rows, numbers, plan.prefix, limit)
        rows = self._rows(step // self.settings.updates)
        sampled = [batch for batch, _ in self._packed(rows, limit) if self._teaches(batch.items)]
        return Step(step, self.steps, (*(plan.rows[n] for n in numbers), *rows)), own + sampled

    def tensors(self) -> dict[str, Tensor]:
        """See `Companion`: figures, and the answers while there are steps to come that read them."""
        state = {"state": torch.tensor([self.watch.dead, self.tokens_at_once])}
        if self._sampling is None or self.settings.updates == 1:
            return state
        number, rows = self._sampling
        prompts = [prompt.ids for prompt in self._asked(number)]
        told = as_tensors(rows, [len(prompts[row.about.group]) for row in rows])
        return {**state, "sampling": torch.tensor([number]), **told}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See `Companion`."""
        if "state" in tensors:
            self.watch.dead, self.tokens_at_once = map(int, tensors["state"].tolist())
        self._sampling = None
        if "sampling" in tensors:
            number = int(tensors["sampling"])
            prompts = [(prompt.example.id, prompt.ids) for prompt in self._asked(number)]
            self._sampling = number, tuple(from_tensors(tensors, prompts))

    # -- prompts ------------------------------------------------------------------------------------

    def _usable(self) -> list[Prompt]:
        longest = self.asking.context_tokens - self.settings.at_most_tokens
        rows = [(number, row.id) for number, row in enumerate(self.plan.rows) if row.part == "supervised"]
        prompts, dropped = prompts_of(rows, self.job.examples(), self.chat, longest=longest)
        told = "; ".join(f"{count:,} {reason}" for reason, count in dropped.items())
        if not prompts:
            found = f"no prompt can be sampled: {told or 'there is no supervised training row'}"
            hint = "lower at_most_tokens, or look at the rows with `tunesmith data preview`"
            raise UserError(Problem("nothing-to-sample", found, hint, "tune.phases"))
        if dropped:
            self._tell("warning", f"prompts left out of sampling: {told}", dropped=dict(dropped))
        return prompts

    def _questions(self) -> Plan:
        """Which prompts belong to which sampling; the row numbers of this plan count `prompts`."""
        plan, hard = self.plan, self.plan.difficulty
        rows = [Row(prompt.example.id, prompt.ids, ()) for prompt in self.prompts]
        difficulty = None if hard is None else [hard[prompt.number] for prompt in self.prompts]
        per_step = self.settings.prompts_per_step or plan.rows_per_step
        return replace(
            plan, rows=rows, rows_per_step=per_step, units=None, replayed=(), replay_rows=0, difficulty=difficulty
        )

    def _asked(self, number: int) -> list[Prompt]:
        return [self.prompts[place] for place in self.questions.numbers(number)]

    # -- answers ------------------------------------------------------------------------------------

    def _rows(self, number: int) -> tuple[Row, ...]:
        """The answers of a sampling, made when it is first asked for."""
        if self._sampling is None or self._sampling[0] != number:
            asked = self._asked(number)
            with answering(self.job.model, self.job.forward):
                said = self._say(number, asked)
            rows = self._judged(asked, said)
            with at_rest(self.job.model):
                rows = self._with_likelihoods(rows)
            self._sampling = number, rows
        return self._sampling[1]

    def _say(self, number: int, asked: Sequence[Prompt]) -> list[list[Generated]]:
        """For each prompt its answers."""
        model, samples = base_model(self.job.model), self.settings.samples
        prompts = [prompt.ids for prompt in asked for _ in range(samples)]
        how = Generation(
            self.settings.at_most_tokens,
            stop_ids_of(model, self.chat.stop_ids),
            temperature=self.settings.temperature,
            seed=_mixed_seed(self.seed, number),
            rows_at_once=len(prompts),
        )

        def told(done: int, total: int) -> None:
            more = f"sampling {number + 1}"
            self._tell("progress", "sampling answers", done=done, total=total, unit="answers", more=more)

        told(0, len(prompts))
        said = self._with_room(
            lambda tokens: generate(model, prompts, replace(how, token_budget=tokens), on_progress=told)
        )
        return [said[start : start + samples] for start in range(0, len(said), samples)]

    def _with_room(self, make: Callable[[int], T]) -> T:
        """What `make` gives for the tokens that it may hold at once: fewer of them each time memory runs out."""
        while True:
            try:
                return make(self.tokens_at_once)
            except torch.OutOfMemoryError:
                if self.tokens_at_once <= LEAST_TOKENS:
                    raise
                self.tokens_at_once //= 2
                message = f"out of memory while sampling: at most {self.tokens_at_once} tokens at once from now on"
                self._tell("incident", message, tokens=self.tokens_at_once)
            torch.cuda.empty_cache()

    def _judged(self, asked: Sequence[Prompt], said: Sequence[Sequence[Generated]]) -> tuple[Row, ...]:
        """The answers as rows with rewards and advantages; what looks wrong is told."""
        rows: list[Row] = []
        for group, (prompt, answers) in enumerate(zip(asked, said, strict=True)):
            spoken = [self._answer(prompt, one) for one in answers]
            judged = [self.rewards.of(prompt.example, answer) for answer in spoken]
            better = iter(advantages([r for r, why in judged if not why], self.settings.normalise))
            for one, answer, (reward, why) in zip(answers, spoken, judged, strict=True):
                about = Sampled(group, reward, 0.0 if why else next(better), one.stop == "end")
                rows.append(row_of((prompt.example.id, prompt.ids), _tokens(one), about))
                self.watch.see(prompt.example, answer, reward, why)
        self.watch.end([any(row.about.advantage for row in group) for group in grouped(rows)])
        return tuple(rows)

    def _answer(self, prompt: Prompt, one: Generated) -> Answer:
        reasoning, text = self.chat.parse(self.chat.tokenizer.decode(one.ids, skip_special_tokens=False))
        usage = Usage(prompt_tokens=len(prompt.ids), answer_tokens=len(one.ids))
        return Answer(text=text, reasoning=reasoning, usage=usage, stop=one.stop, route="sampled")

    # -- micro-batches and likelihoods --------------------------------------------------------------

    def _teaches(self, rows: Sequence[Row]) -> bool:
        """Whether the group of these rows gives a gradient."""
        return bool(self.settings.kl) or any(row.about.advantage for row in rows)

    def _packed(self, rows: Sequence[Row], limit: int) -> Iterator[tuple[Batch, list[Row]]]:
        """Micro-batches of one prompt's scored answers each, the prompt once; and the rows in packed order."""
        for group in grouped([row for row in rows if row.part == SAMPLED]):
            prefix = shared_prefix(group) if self.asking.share_prefix else 0
            for part in micro_batch_numbers(group, range(len(group)), prefix, limit):
                chosen = [group[number] for number in part]
                yield pack_rows(chosen, prefix), chosen

    def _with_likelihoods(self, rows: tuple[Row, ...]) -> tuple[Row, ...]:
        """The rows with the log-probabilities that the term will need: of the sampling policy, of the reference."""
        if self.settings.updates > 1:
            rows = self._told(rows, "old")
        if self.settings.kl:
            with weights_of(self._reference_weights(), self._first):
                rows = self._told(rows, "reference")
        return rows

    def _told(self, rows: tuple[Row, ...], name: str) -> tuple[Row, ...]:
        """The scored rows with their tokens' log-probabilities, by the weights as they are, under `name`."""

        def make(tokens: int) -> dict[int, Row]:
            found = {}
            for batch, chosen in self._packed(rows, min(tokens, self.plan.micro_tokens)):
                made = self.job.forward.predictions(batch)
                numbers = token_log_probabilities(
                    made.hidden_ND, made.targets_N, made.head, temperature=self.settings.temperature
                )
                values = iter(numbers.tolist())
                for row in chosen:
                    own = tuple(next(values) for _ in row.trained)
                    found[id(row)] = replace(row, about=replace(row.about, **{name: own}))
            return found

        with torch.no_grad():
            found = self._with_room(make)
        return tuple(found.get(id(row), row) for row in rows)

    def _reference_weights(self) -> dict[str, Tensor]:
        return trained_weights(self.job.model) if self.settings.kl else {}

    def _tell(self, kind: Any, message: str, **data: Any) -> None:
        self.job.events.tell(kind, STAGE, message, **data)


@contextlib.contextmanager
def answering(model: Any, forward: Forward) -> Iterator[None]:
    """The model at rest and with its own attention, which takes batches and a cache; the packed one does not."""
    attention = forward.trunk.released if isinstance(forward, PackedForward) else contextlib.nullcontext
    with at_rest(model), attention():
        yield


@contextlib.contextmanager
def weights_of(weights: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> Iterator[None]:
    """`weights` with the values of `others` inside the block, then with their own again, bit for bit."""
    own = {name: weight.detach().clone() for name, weight in weights.items()}
    _copy(weights, others)
    try:
        yield
    finally:
        _copy(weights, own)


@torch.no_grad()
def _copy(weights: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, weight in weights.items():
        weight.copy_(values[name])


def _tokens(one: Generated) -> list[int]:
    """All tokens that the model drew, the one that ended its turn among them."""
    return one.ids if one.stop_id is None else [*one.ids, one.stop_id]


def _mixed_seed(seed: int, number: int) -> int:
    """32 bits that differ for every seed and sampling."""
    return int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:4], "big")
