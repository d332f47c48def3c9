"""Reasoning: 8 paths of one prompt of about 500 tokens, ours against `transformers.generate` with 8 sequences.

Both draw with the same temperature and nucleus, and make the same number of tokens: nothing ends early. Before that
both answer greedily, 8 rows of the same prompt, and the texts must be the same token by token.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from bench._frame import Asked, Column, Outcome
from bench.generation import conversations

from tunesmith.models.chat import Chat
from tunesmith.models.generate import Generation, generate
from tunesmith.models.load import load_model

ROUNDS = 3
PATHS = 8
PROMPT_TOKENS = 500
NEW_TOKENS = 64
TEMPERATURE, TOP_P = 0.6, 0.95


def run(asked: Asked) -> Outcome:
    """The paths in each round, by ours and then by transformers."""
    torch.set_num_threads(asked.threads)
    model, chat = load_model(asked.model), Chat.of(asked.model)
    prompt = [token for messages in conversations(PATHS) for token in chat.prompt(messages)][:PROMPT_TOKENS]
    ours, theirs = _ours(model, prompt, 0.0), _theirs(model, prompt, greedy=True)
    outcome = Outcome((Column("tokens_per_second", "new tokens/s", 1),))
    for _ in range(asked.rounds or ROUNDS):
        for name, make in (("tunesmith", _ours), ("transformers.generate", _theirs)):
            began = time.monotonic()
            made = make(model, prompt)
            seconds = time.monotonic() - began
            outcome.add(name, {"tokens_per_second": sum(map(len, made)) / seconds})
    outcome.notes = [
        f"{PATHS} paths of one prompt of {len(prompt)} tokens, {NEW_TOKENS} new tokens each, top-p {TOP_P}",
        f"{sum(a == b for a, b in zip(ours, theirs, strict=True))} of {PATHS} greedy texts are the same",
    ]
    return outcome


def _ours(model: Any, prompt: Sequence[int], temperature: float = TEMPERATURE) -> list[list[int]]:
    how = Generation(NEW_TOKENS, temperature=temperature, top_p=TOP_P)
    return [made.ids for made in generate(model, [prompt] * PATHS, how)]


@torch.inference_mode()
def _theirs(model: Any, prompt: Sequence[int], *, greedy: bool = False) -> list[list[int]]:
    """What transformers makes; it refuses several greedy sequences of one prompt, so those are rows of their own."""
    rows = PATHS if greedy else 1
    ids = torch.tensor([list(prompt)] * rows, device=model.device)
    drawn: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    if not greedy:
        drawn = {"do_sample": True, "temperature": TEMPERATURE, "top_p": TOP_P, "top_k": 0}
    made = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=NEW_TOKENS,
        min_new_tokens=NEW_TOKENS,
        num_return_sequences=PATHS // rows,
        eos_token_id=-1,
        pad_token_id=0,
        **drawn,
    )
    return [row[len(prompt) :] for row in made.tolist()]
