"""What a model's own computation says of a question, before it answers: the numbers that detectors look at.

One forward over the prompt gives them all. Of the base, only the likelihood is taken; that is the one extra forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.protocols import Conversation
from tunesmith.models.chat import Chat

Floats = NDArray[np.float64]

LAYERS = (0.5, 1.0)
"""Depths whose states are taken: the middle, where what a text is about is told best, and the last."""


@dataclass(frozen=True)
class Features:
    """N questions.

    Args:
        states_ND: mean over the question's own tokens of the hidden states, one layer of `LAYERS` beside the other.
        nats_N: mean negative log-probability of the question's own tokens under the expert, in nats.
        energy_N: mean over the same tokens of minus the log of the sum of exponentials of the logits.
        base_nats_N: as `nats_N`, under the base; the same values where there is no base to compare with.
    """

    states_ND: Floats
    nats_N: Floats
    energy_N: Floats
    base_nats_N: Floats

    def __len__(self) -> int:
        return len(self.nats_N)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Features:
        """Some of the questions."""
        at = np.asarray(rows, dtype=np.int64)
        return Features(self.states_ND[at], self.nats_N[at], self.energy_N[at], self.base_nats_N[at])

    @staticmethod
    def joined(parts: Sequence[Features]) -> Features:
        """All questions of all parts, in order."""
        names = ("states_ND", "nats_N", "energy_N", "base_nats_N")
        return Features(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def features_of(
    model: Any, chat: Chat, conversations: Sequence[Conversation], *, prefix: Sequence[int], at_most_tokens: int = 512
) -> Features:
    """The features of each question.

    Args:
        model: a causal language model in evaluation mode; a PEFT model whose adapter is not merged is compared with
            its own base, the adapter switched off.
        chat: its tokeniser with the chat template.
        conversations: what is asked; every one holds at least one token that `prefix` has not.
        prefix: the tokens that all questions of the domain begin with, see `common_start`; they are not counted.
        at_most_tokens: of a longer question only the last so many tokens are read.
    """
    rows = []
    for conversation in conversations:
        ids = chat.prompt(conversation)
        start = _shared(prefix, ids)
        ids, start = ids[-at_most_tokens:], max(0, start - max(0, len(ids) - at_most_tokens))
        rows.append(_features(model, ids, min(max(start, 1), len(ids) - 1)))
    return Features(
        np.stack([row[0] for row in rows]),
        np.array([row[1] for row in rows]),
        np.array([row[2] for row in rows]),
        np.array([row[3] for row in rows]),
    )


def answer_logs(
    model: Any, chat: Chat, asked: Sequence[tuple[Conversation, str]], *, context: int
) -> list[list[float]]:
    """Log-probability of every token of each answer, its end included; empty for one beyond the context.

    Args:
        model: a causal language model in evaluation mode.
        chat: its tokeniser with the chat template.
        asked: conversations, each with the answer to it.
        context: most tokens of prompt and answer together.
    """
    import torch

    found: list[list[float]] = []
    for conversation, answer in asked:
        prompt, said = chat.prompt(conversation), chat.completion(answer)
        if len(prompt) + len(said) > context:
            found.append([])
            continue
        with torch.inference_mode():
            tokens = torch.tensor([[*prompt, *said]], device=model.device)
            logits = model(input_ids=tokens, use_cache=False).logits[0, len(prompt) - 1 : -1].float()
        logs: list[float] = logits.log_softmax(-1).gather(-1, tokens[0, len(prompt) :, None])[:, 0].tolist()
        found.append(logs)
    return found


def common_start(chat: Chat, conversations: Sequence[Conversation]) -> list[int]:
    """The tokens that all prompts begin with: the template's own and a system message that all rows share."""
    prompts = [chat.prompt(conversation) for conversation in conversations]
    start = prompts[0] if prompts else []
    for prompt in prompts[1:]:
        start = start[: _shared(start, prompt)]
    return list(start)


def _shared(first: Sequence[int], second: Sequence[int]) -> int:
    pairs = zip(first, second, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def _features(model: Any, ids: Sequence[int], start: int) -> tuple[Floats, float, float, float]:
    """Of one prompt; `start` is the first token that counts, at least 1."""
    import torch

    with torch.inference_mode():
        tokens = torch.tensor([list(ids)], device=model.device)
        out = model(input_ids=tokens, output_hidden_states=True, use_cache=False)
        depth = len(out.hidden_states) - 1
        states = [out.hidden_states[round(share * depth)][0, start:].float().mean(0) for share in LAYERS]
        nats, energy = _likelihood(out.logits, tokens, start)
        base = nats
        if hasattr(model, "disable_adapter"):
            with model.disable_adapter():
                base, _ = _likelihood(model(input_ids=tokens, use_cache=False).logits, tokens, start)
    return torch.cat(states).double().cpu().numpy(), nats, energy, base


def _likelihood(logits: Any, tokens: Any, start: int) -> tuple[float, float]:
    total = logits[0, start - 1 : -1].float().logsumexp(-1)
    said = logits[0, start - 1 : -1].float().gather(-1, tokens[0, start:, None])[:, 0]
    return float((total - said).mean()), float(-total.mean())
