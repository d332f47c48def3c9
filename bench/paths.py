"""Reasoning: 8 paths of one prompt of about 500 tokens in every engine, against `transformers.generate` and llama.cpp.

All draw with the same temperature and nucleus and make the same number of tokens: nothing ends early. Before that ours
and transformers answer greedily in float32, 8 rows of the same prompt, and the texts must be the same token by token.
Rates are tokens a second of processor time, so what else runs here counts for less. Beside each engine stands what its
arithmetic costs on written answers (`bench._cost`); of llama.cpp it is that of the weights in its file.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from bench import _cost, _llama
from bench._frame import Asked, Column, Outcome
from bench.generation import conversations

from tunesmith.models.chat import Chat
from tunesmith.models.engines import Engine, engine_problem, load_in_engine
from tunesmith.models.generate import Generation, generate
from tunesmith.models.load import load_model

ROUNDS = 3
PATHS = 8
PROMPT_TOKENS = 500
NEW_TOKENS = 64
TEMPERATURE, TOP_P = 0.6, 0.95
EXACT, PEER, LLAMA = "tunesmith exact", "transformers.generate", "llama.cpp q8_0"
FAST: dict[str, Engine] = {"tunesmith bf16": "bf16", "tunesmith int8": "int8"}
COLUMNS = (
    Column("rate", "new tokens/s", 1),
    Column("loss", "loss of answers", 4, compared=False),
    Column("same", "same likeliest", 4, compared=False),
)


def run(asked: Asked) -> Outcome:
    """The paths in each round, by every contender in turn."""
    chat, outcome = Chat.of(asked.model), Outcome(COLUMNS)
    prompt = [token for messages in conversations(PATHS) for token in chat.prompt(messages)][:PROMPT_TOKENS]
    rows, source = _cost.written(asked.model)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        exact, plain = load_in_engine(asked.model, "exact"), load_model(asked.model)
        torch.set_num_threads(asked.threads)
        same = sum(a == b for a, b in zip(_ours(exact, prompt, 0.0), _theirs(plain, prompt, greedy=True), strict=True))
        contenders, costs = _contenders(asked, (exact, plain), rows, Path(folder))
        for name, draw in contenders.items():
            if name not in (EXACT, PEER):  # what is made at first use is not timed; those two have answered greedily
                draw(prompt)
        for _ in range(asked.rounds or ROUNDS):
            for name, draw in contenders.items():
                began = time.process_time()
                made = draw(prompt)
                outcome.add(name, {"rate": made / (time.process_time() - began), **costs[name]})
    outcome.notes = [
        f"{PATHS} paths of one prompt of {len(prompt)} tokens, {NEW_TOKENS} new tokens each, top-p {TOP_P}",
        f"{same} of {PATHS} greedy texts are the same in float32",
        f"loss (nats) and likeliest token on {sum(len(row['trained']) for row in rows)} tokens of {len(rows)} {source}",
        *(f"{name} over {PEER}: {_over(outcome, name)}" for name in outcome.runs if name != PEER),
    ]
    return outcome


Draw = Callable[[Sequence[int]], int]
"""Makes all paths of a prompt; how many tokens those are."""


def _contenders(
    asked: Asked, models: tuple[Any, Any], rows: list[dict[str, Any]], folder: Path
) -> tuple[dict[str, Draw], dict[str, dict[str, float]]]:
    """Who takes part, ours first, and what each one's arithmetic costs; `models`: ours as it answers, and theirs."""
    exact, plain = models
    truth = _cost.read(exact, rows)
    exactly = {"loss": truth.loss, "same": 1.0}
    draws: dict[str, Draw] = {EXACT: _counted(_ours, exact)}
    costs = {EXACT: exactly, PEER: exactly}

    def judged(model: Any) -> dict[str, float]:
        found = _cost.read(model, rows)
        return {"loss": found.loss, "same": found.same(truth)}

    for name, engine in FAST.items():
        if engine_problem(engine) is None:
            model = load_in_engine(asked.model, engine)
            draws[name], costs[name] = _counted(_ours, model), judged(model)
    draws[PEER] = _counted(_theirs, plain)
    if _llama.installed():
        from tunesmith.models.gguf_file import opened_gguf, write_gguf

        file = folder / "model.gguf"
        write_gguf(asked.model, file, weights="q8_0")
        costs[LLAMA] = judged(opened_gguf(file))
        llama = _llama.Llama(file, slots=PATHS, context=PROMPT_TOKENS + NEW_TOKENS + 4, threads=asked.threads)
        draws[LLAMA] = lambda prompt: llama.draw(prompt, tokens=NEW_TOKENS, temperature=TEMPERATURE, top_p=TOP_P)
    return draws, costs


def _counted(make: Callable[[Any, Sequence[int]], list[list[int]]], model: Any) -> Draw:
    return lambda prompt: sum(map(len, make(model, prompt)))


def _over(outcome: Outcome, name: str) -> str:
    """The rate of `name` over that of transformers, round by round: median, least, most."""
    pairs = zip(outcome.runs[name], outcome.runs[PEER], strict=True)
    ratios = [ours["rate"] / theirs["rate"] for ours, theirs in pairs]
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


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
