"""Answering: our generation (shared prefix once, finished rows leave) against `transformers.generate` on one batch.

Greedy on both sides with the same stop tokens and limit, so the texts must be the same up to ties of floating point.
Rates count answers.
"""

from __future__ import annotations

import random
import time
from typing import Any

import torch
from bench._frame import Asked, Column, Outcome

from tunesmith.core.types import Message
from tunesmith.models.answerer import LocalAnswerer
from tunesmith.models.chat import Chat
from tunesmith.models.generate import Generation, generate, pad_left
from tunesmith.models.load import load_model
from tunesmith.project.recipes.medical_coding import diagnoses, system_prompt

ROUNDS = 3
ROW_SEED = 0
PROMPTS = 64
AT_MOST_TOKENS = 24


def run(asked: Asked) -> Outcome:
    """All prompts in each round, by ours and then by transformers."""
    torch.set_num_threads(asked.threads)
    loaded, chat = load_model(asked.model), Chat.of(asked.model)
    stops = LocalAnswerer(loaded, chat, "bench").stop_ids
    prompts = [chat.prompt(messages) for messages in conversations(PROMPTS)]
    outcome = Outcome((Column("answers_per_second", "answers/s", 2),))
    ours: list[list[int]] = []
    theirs: list[list[int]] = []
    for _ in range(asked.rounds or ROUNDS):
        began = time.monotonic()
        ours = [answer.ids for answer in generate(loaded, prompts, Generation(AT_MOST_TOKENS, stops))]
        outcome.add("tunesmith", {"answers_per_second": PROMPTS / (time.monotonic() - began)})
        began = time.monotonic()
        theirs = _generated(loaded, prompts, stops)
        outcome.add("transformers.generate", {"answers_per_second": PROMPTS / (time.monotonic() - began)})
    same = sum(a == b for a, b in zip(ours, theirs, strict=True))
    length = sum(map(len, prompts)) / PROMPTS
    outcome.notes = [
        f"{PROMPTS} prompts of {length:.0f} tokens in one batch, answers of at most {AT_MOST_TOKENS} tokens",
        f"{same} of {PROMPTS} greedy answers are the same, token by token",
    ]
    return outcome


def conversations(count: int) -> list[tuple[Message, ...]]:
    """`count` questions of the medical-coding recipe, drawn by a fixed seed: system prompt, diagnosis."""
    system = Message(role="system", content=system_prompt())
    rows = random.Random(ROW_SEED).sample(diagnoses(), count)
    return [(system, Message(role="user", content=row.diagnosis)) for row in rows]


@torch.inference_mode()
def _generated(model: Any, prompts: list[list[int]], stops: frozenset[int]) -> list[list[int]]:
    """What transformers answers to all prompts in one batch, padded on the left; stop tokens taken off."""
    ids, real = pad_left(prompts, model.device)
    made = model.generate(
        input_ids=ids,
        attention_mask=real.long(),
        do_sample=False,
        max_new_tokens=AT_MOST_TOKENS,
        eos_token_id=sorted(stops),
        pad_token_id=min(stops),
        temperature=None,
        top_p=None,
        top_k=None,
    )
    answers = []
    for row in made[:, ids.shape[1] :].tolist():
        end = next((place for place, token in enumerate(row) if token in stops), len(row))
        answers.append(row[:end])
    return answers
