"""Scoring options: all options of all prompts as trees in one batch, against each option in a call of its own.

The prompts share their beginning, the options theirs: both are computed once. The other two ways compute prompt and
option anew for every pair, one by one or in batches padded on the right. Rates are options a second of processor time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from bench._frame import Asked, Column, Outcome
from bench.generation import conversations

from tunesmith.models.chat import Chat
from tunesmith.models.likelihood import option_likelihood
from tunesmith.models.load import load_model
from tunesmith.project.recipes.medical_coding import CHAPTERS

ROUNDS = 2
PROMPTS = 2
AT_ONCE = 16

Scores = list[list[float]]


def run(asked: Asked) -> Outcome:
    """All options in each round, in every way."""
    torch.set_num_threads(asked.threads)
    model, chat = load_model(asked.model), Chat.of(asked.model)
    torch.set_num_threads(asked.threads)
    prompts = [chat.prompt(messages) for messages in conversations(PROMPTS)]
    options = [chat.completion(chapter) for chapter in CHAPTERS.values()]
    outcome = Outcome((Column("rate", "options/s", 2),))
    found: dict[str, Scores] = {}
    for _ in range(asked.rounds or ROUNDS):
        for name, score in (("tunesmith", _ours), ("padded batches", _padded), ("one by one", _one_by_one)):
            began = time.process_time()
            found[name] = score(model, prompts, options)
            outcome.add(name, {"rate": PROMPTS * len(options) / (time.process_time() - began)})
    pairs = list(zip(found["tunesmith"], found["one by one"], strict=True))
    furthest = max(abs(a - b) for ours, theirs in pairs for a, b in zip(ours, theirs, strict=True))
    same = sum(ours.index(max(ours)) == theirs.index(max(theirs)) for ours, theirs in pairs)
    length = sum(map(len, prompts)) / PROMPTS
    outcome.notes = [
        f"{PROMPTS} prompts of {length:.0f} tokens, {len(options)} options of {min(map(len, options))} to "
        f"{max(map(len, options))} tokens each",
        f"{same} of {PROMPTS} likeliest options are the same; log-probabilities differ by at most {furthest:.5f} nats",
    ]
    return outcome


def _ours(model: Any, prompts: Sequence[list[int]], options: Sequence[list[int]]) -> Scores:
    found = option_likelihood(model, prompts, [options] * len(prompts))
    return [[one.log_probability for one in some] for some in found]


def _one_by_one(model: Any, prompts: Sequence[list[int]], options: Sequence[list[int]]) -> Scores:
    return [[_rows(model, [(prompt, option)])[0] for option in options] for prompt in prompts]


def _padded(model: Any, prompts: Sequence[list[int]], options: Sequence[list[int]]) -> Scores:
    flat = [(prompt, option) for prompt in prompts for option in options]
    scores = [score for a in range(0, len(flat), AT_ONCE) for score in _rows(model, flat[a : a + AT_ONCE])]
    return [scores[a : a + len(options)] for a in range(0, len(flat), len(options))]


@torch.inference_mode()
def _rows(model: Any, pairs: Sequence[tuple[list[int], list[int]]]) -> list[float]:
    """Log-probability of each option after its prompt, all in one call."""
    width = max(len(prompt) + len(option) for prompt, option in pairs)
    ids = torch.tensor([[*prompt, *option, *[0] * (width - len(prompt) - len(option))] for prompt, option in pairs])
    keep = width - min(len(prompt) for prompt, _ in pairs) + 1
    logs = model(input_ids=ids, logits_to_keep=keep).logits.float().log_softmax(-1)
    first = width - keep
    return [
        sum(float(logs[row, len(prompt) - 1 - first + n, token]) for n, token in enumerate(option))
        for row, (prompt, option) in enumerate(pairs)
    ]
