"""Batched generation on plain transformers modules: the shared prompt once, finished rows leave, no row waits long.

Greedy text equals `transformers.generate` on each row alone, up to ties of floating point.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from tunesmith.models.drawing import log_probabilities, pick, stream
from tunesmith.models.loops import loops
from tunesmith.models.prefix import PrefixMemory, SharedPrefix, common_prefix, sharing, visible

Progress = Callable[[int, int], None]
Dictate = Callable[[list[int]], Sequence[int]]
"""Given an answer's tokens so far, those that it must go on with; none where the model goes on."""

_LOOK_EVERY = 16
"""Tokens of an answer after which it is looked at for loops."""


@dataclass(frozen=True)
class Thought:
    """How long a model may think before it answers.

    Args:
        tokens: so many; then a thought that is still open is closed.
        is_open: whether an answer that begins with these tokens is still thinking.
        closing: the tokens that close it.
    """

    tokens: int
    is_open: Callable[[list[int]], bool]
    closing: tuple[int, ...]


@dataclass(frozen=True)
class Generation:
    """How to generate.

    Args:
        at_most_tokens: longest answer; longer ones stop with `length`.
        stop_ids: tokens that end an answer; not part of it.
        temperature: 0 takes the likeliest token; otherwise logits are divided by it and a token is drawn.
        top_p: draw from the smallest set of tokens with at least this probability (Holtzman et al., 2020).
        seed: of the draws; each row has its own stream, so an answer does not depend on its batch.
        token_budget: most tokens (prompt beyond the shared prefix, and answer) that a batch holds in its cache.
        rows_at_once: most rows of a batch.
        scored: whether log-probabilities are summed up.
        cut_loops: whether an answer that only repeats itself is cut.
        thought: None: the model thinks as long as it likes.
        dictate: asked after each token that the model chose; None: every token is the model's own.
    """

    at_most_tokens: int
    stop_ids: frozenset[int] = frozenset()
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    token_budget: int = 16_384
    rows_at_once: int = 64
    scored: bool = False
    cut_loops: bool = False
    thought: Thought | None = None
    dictate: Dictate | None = None


@dataclass
class Generated:
    """One answer.

    Args:
        ids: its tokens without the stop token.
        stop: why it ended.
        stop_id: the stop token, if one ended it.
        looped: it was cut because it only repeated itself; `stop` is `length`.
        log_probability: of the tokens that the model chose (stop token included), in nats, at temperature 1; 0 where
            `Generation.scored` is off.
        forced: tokens that closed its thought or were dictated; the model did not choose them.
    """

    ids: list[int] = field(default_factory=list)
    stop: Literal["end", "length"] = "length"
    stop_id: int | None = None
    looped: bool = False
    log_probability: float = 0.0
    forced: int = 0


@torch.inference_mode()
def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    how: Generation,
    *,
    numbers: Sequence[int] | None = None,
    on_progress: Progress | None = None,
    memory: PrefixMemory | None = None,
) -> list[Generated]:
    """One answer per prompt, in order.

    Args:
        model: a transformers causal language model in evaluation mode.
        prompts: token ids, none empty; together with the answer no longer than the model's context. Prompts that are
            the same (several draws of one question) are computed once in a batch.
        how: limits, stop tokens, sampling.
        numbers: which draw of its prompt each row is; the same prompt and number give the same draw. None: the rows of
            a prompt are its draws 0, 1, 2, ...
        on_progress: called with (answers done, answers wanted) after each batch.
        memory: keeps the shared prefix for the next call; only for a model that is not trained meanwhile.

    Raises:
        ValueError: a prompt is empty.
    """
    if any(not prompt for prompt in prompts):
        raise ValueError("a prompt has no tokens")
    answers = [Generated() for _ in prompts]
    if how.at_most_tokens < 1:
        return answers
    numbers = numbers if numbers is not None else _counted(prompts)
    done = 0
    with sharing(model, common_prefix(prompts), memory) as prefix:
        start = prefix.length if prefix else 0
        for rows in batches([len(p) - start + how.at_most_tokens for p in prompts], how.token_budget, how.rows_at_once):
            lines = [_Line(answers[row], how, prompts[row], numbers[row]) for row in rows]
            _answer(model, [prompts[row][start:] for row in rows], lines, how, prefix)
            done += len(rows)
            if on_progress:
                on_progress(done, len(prompts))
    return answers


def stop_ids_of(model: Any, turn_ends: frozenset[int]) -> frozenset[int]:
    """The tokens that end an answer: those of the chat template, and what the model's generation config says."""
    told = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    return turn_ends | frozenset([told] if isinstance(told, int) else told or ())


def batches(lengths: Sequence[int], token_budget: int, rows_at_once: int) -> Iterator[list[int]]:
    """Row numbers in groups of like length, longest first: rows times longest row stays within the budget."""
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    while order:
        size = max(1, min(rows_at_once, token_budget // max(1, lengths[order[0]])))
        yield order[:size]
        order = order[size:]


def pad_left(rows: Sequence[Sequence[int]], device: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids [B, T] with zeros before shorter rows, and True at real tokens [B, T]."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in rows], device=device)
    real = torch.tensor([[False] * (width - len(row)) + [True] * len(row) for row in rows], device=device)
    return ids, real


def positions_of(real: torch.Tensor, start: int) -> torch.Tensor:
    """Position of each token [B, T]: counted over real tokens, from `start`; `start` at padding."""
    return (real.long().cumsum(-1) - 1).clamp(min=0) + start


def _counted(prompts: Sequence[Sequence[int]]) -> list[int]:
    """For each prompt, how often it stood before."""
    seen: Counter[tuple[int, ...]] = Counter()
    numbers = []
    for prompt in map(tuple, prompts):
        numbers.append(seen[prompt])
        seen[prompt] += 1
    return numbers


class _Line:
    """One answer while it is made.

    Args:
        answer: what is filled.
        how: limits.
        prompt, number: what its random stream follows from.
    """

    def __init__(self, answer: Generated, how: Generation, prompt: Sequence[int], number: int) -> None:
        self.answer, self._how = answer, how
        self.draw = stream(how.seed, prompt, number) if how.temperature else None
        self.must_say: list[int] = []

    def add(self, token: int, log_probability: float) -> bool:
        """Take the next token, and its log-probability; False: the answer has ended."""
        answer, how = self.answer, self._how
        if self.must_say:
            answer.ids.append(self.must_say.pop(0))
            answer.forced += 1
            return True
        answer.log_probability += log_probability
        if token in how.stop_ids:
            answer.stop, answer.stop_id = "end", token
            return False
        answer.ids.append(token)
        if how.thought and len(answer.ids) == how.thought.tokens and how.thought.is_open(answer.ids):
            self.must_say = list(how.thought.closing)
        elif how.dictate:
            self.must_say = list(how.dictate(answer.ids))
        if how.cut_loops and len(answer.ids) % _LOOK_EVERY == 0 and loops(answer.ids):
            answer.looped = True
        return not answer.looped


def _answer(
    model: Any, prompts: Sequence[Sequence[int]], lines: list[_Line], how: Generation, prefix: SharedPrefix | None
) -> None:
    """Make one batch of answers: all prompts in one call, then a token a row and call until all have ended."""
    from tunesmith.models.cache import roomy_cache

    cache = roomy_cache(model.config.get_text_config())
    distinct = list(dict.fromkeys(map(tuple, prompts)))
    ids, real = pad_left(distinct, model.device)
    positions = positions_of(real, prefix.length if prefix else 0)
    for place_in_answer in range(how.at_most_tokens):
        logits = model(
            input_ids=ids,
            attention_mask=visible(real, ids.shape[1]) if prefix else real.long(),
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            **({"shared_prefix": prefix} if prefix else {}),
        ).logits[:, -1]
        if place_in_answer == 0 and len(distinct) < len(prompts):
            number = {prompt: place for place, prompt in enumerate(distinct)}
            asked = torch.tensor([number[tuple(prompt)] for prompt in prompts], device=model.device)
            cache.batch_select_indices(asked)
            logits, real, positions = logits[asked], real[asked], positions[asked]
        tokens = pick(logits, how.temperature, how.top_p, [line.draw for line in lines if line.draw])
        chances = log_probabilities(logits, tokens) if how.scored else [0.0] * len(tokens)
        keep = [place for place, line in enumerate(lines) if line.add(tokens[place], chances[place])]
        if not keep:
            return
        if len(keep) < len(lines):
            chosen = torch.tensor(keep, device=model.device)
            cache.batch_select_indices(chosen)
            real, positions = real[chosen], positions[chosen]
            lines = [lines[place] for place in keep]
        ids = torch.tensor([[line.answer.ids[-1]] for line in lines], device=model.device)
        real = torch.cat([real, torch.ones_like(real[:, :1])], 1)
        positions = positions[:, -1:] + 1
