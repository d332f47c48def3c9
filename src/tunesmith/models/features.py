"""What a model's own computation says of a question, before it answers: the numbers that detectors look at.

One forward over the prompt gives them all. Of the base, only the likelihood is taken; that is the one extra forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.protocols import Conversation
from tunesmith.models.chat import Chat

if TYPE_CHECKING:
    from tunesmith.models.generate import Progress

Floats = NDArray[np.float64]

LAYERS = (0.1, 0.5, 1.0)
"""Depths whose states are taken: near the words, the middle, where what a text is about is told best, and the last."""

_LOGITS = 1 << 26
"""Most logits (float32, 256 MiB) that one call may make."""

_MOST_TOKENS = 4096
"""Most tokens of one call, whose hidden states are all held at once."""


@dataclass(frozen=True)
class Features:
    """N questions.

    Args:
        states_ND: mean over the question's own tokens of the hidden states, one layer of `LAYERS` beside the other.
        nats_N: negative log-probability of the question's own tokens and of the end that the template puts behind
            them, under the expert, in nats for each of `ids`: the rest of that end is all but certain, and would make
            short questions likelier.
        energy_N: mean over the same tokens of minus the log of the sum of exponentials of the logits.
        base_nats_N: as `nats_N`, under the base; the same values where there is no base to compare with.
        ids: of each question its own tokens up to the one that ends it, without what the chat template puts behind.
        more_ids: own tokens of further questions of the same kind, which were not run through the model: words are many
            and cheap, states are dear.
    """

    states_ND: Floats
    nats_N: Floats
    energy_N: Floats
    base_nats_N: Floats
    ids: tuple[tuple[int, ...], ...]
    more_ids: tuple[tuple[int, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.nats_N)

    def layer(self, place: int) -> Floats:
        """The states [N, width of the model] of one of `LAYERS`."""
        width = self.states_ND.shape[1] // len(LAYERS)
        return self.states_ND[:, place * width : (place + 1) * width]

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Features:
        """Some of the questions, without the further ones."""
        at = np.asarray(rows, dtype=np.int64)
        arrays: Any = {name: getattr(self, name)[at] for name in _ARRAYS}
        return Features(**arrays, ids=tuple(self.ids[n] for n in at))

    @staticmethod
    def joined(parts: Sequence[Features]) -> Features:
        """All questions of all parts, in order; without the further ones."""
        arrays: Any = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
        return Features(**arrays, ids=tuple(own for part in parts for own in part.ids))


_ARRAYS = ("states_ND", "nats_N", "energy_N", "base_nats_N")


def features_of(  # what is read, of which questions, and how much of it
    model: Any,
    chat: Chat,
    conversations: Sequence[Conversation],
    *,
    prefix: Sequence[int],
    base: Any = None,
    at_most_tokens: int = 512,
    on_progress: Progress | None = None,
) -> Features:
    """The features of each question. What all prompts begin with is computed once, where the model lets us.

    Args:
        model: a causal language model in evaluation mode; a PEFT model whose adapter is not merged is compared with
            its own base, the adapter switched off.
        chat: its tokeniser with the chat template.
        conversations: what is asked, at least one; every one holds at least one token that `prefix` has not.
        prefix: the tokens that all questions of the domain begin with, see `common_start`; they are not counted.
        base: the base model, where `model` is an expert whose adapter was merged.
        at_most_tokens: of a longer question only the last so many own tokens are read, behind the prefix.
        on_progress: called with (questions read, questions to read); one that the base reads too counts twice.
    """
    import torch

    rows, own = [], []
    for conversation in conversations:
        before, counted = _divided(chat, conversation, prefix, at_most_tokens)
        rows.append([*before, *counted])
        own.append(len(counted))
    passes = 2 if base is not None or hasattr(model, "disable_adapter") else 1
    told = _Told(on_progress, passes * len(rows))
    with torch.inference_mode():
        found: Any = _read(model, rows, own, LAYERS, told)
        if base is not None:
            found["base_nats_N"] = _read(base, rows, own, (), told)["nats_N"]
        elif hasattr(model, "disable_adapter"):
            with model.disable_adapter():
                found["base_nats_N"] = _read(model, rows, own, (), told)["nats_N"]
        else:
            found["base_nats_N"] = found["nats_N"]
    end = _after_the_end(chat)
    ids = tuple(_without(row[-n:], end) for row, n in zip(rows, own, strict=True))
    share = np.array([n / len(kept) for n, kept in zip(own, ids, strict=True)])
    return Features(**found | {name: found[name] * share for name in ("nats_N", "base_nats_N")}, ids=ids)


def own_tokens(
    chat: Chat, conversations: Sequence[Conversation], *, prefix: Sequence[int], at_most_tokens: int = 512
) -> tuple[tuple[int, ...], ...]:
    """The `ids` of `features_of`; no model is asked."""
    end = _after_the_end(chat)
    return tuple(_without(_divided(chat, one, prefix, at_most_tokens)[1], end) for one in conversations)


def _after_the_end(chat: Chat) -> int:
    """How many tokens the chat template puts behind the one that ends a question."""
    from tunesmith.core.types import Message

    one, other = (chat.prompt((Message(role="user", content=text),))[::-1] for text in ("apple", "What?"))
    return max(0, _shared(one, other) - 1)


def _without(own: Sequence[int], end: int) -> tuple[int, ...]:
    """A question's tokens without the last `end`; all of them where no other are left."""
    return tuple(own[: len(own) - end]) or tuple(own)


def _divided(
    chat: Chat, conversation: Conversation, prefix: Sequence[int], at_most_tokens: int
) -> tuple[list[int], list[int]]:
    """A prompt's tokens up to its own ones, at least one, and the last so many of its own, at least one."""
    ids = chat.prompt(conversation)
    start = min(max(_shared(prefix, ids), 1), len(ids) - 1)
    return ids[:start], ids[max(start, len(ids) - at_most_tokens) :]


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


@dataclass
class _Told:
    """Questions read so far, of `total`."""

    listener: Progress | None
    total: int
    done: int = 0

    def more(self, rows: int) -> None:
        self.done += rows
        if self.listener is not None:
            self.listener(self.done, self.total)


def _read(
    model: Any, rows: Sequence[list[int]], own: Sequence[int], layers: Sequence[float], told: _Told
) -> dict[str, Floats]:
    """Arrays of `Features` by name, without the base's; the last `own[n]` tokens of `rows[n]` count."""
    from tunesmith.models.generate import batches
    from tunesmith.models.prefix import can_share, common_prefix, sharing

    first = min(len(row) - n for row, n in zip(rows, own, strict=True))
    together = can_share(model, [*rows[0], *rows[0]])
    at_once = max(1, min(_MOST_TOKENS, _LOGITS // model.config.get_text_config().vocab_size))
    found: dict[int, list[Floats]] = {}
    # The token before the first that counts is not shared: its logits are wanted.
    with sharing(model, common_prefix(rows)[: first - 1] if together else []) as prefix:
        begin = prefix.length if prefix else 0
        for group in batches([len(row) - begin for row in rows], at_once, 64 if together else 1):
            parts = _call(model, [rows[n][begin:] for n in group], [own[n] for n in group], layers, prefix=prefix)
            found |= dict(zip(group, parts, strict=True))
            told.more(len(group))
    names = ("states_ND", "nats_N", "energy_N")
    return {name: np.stack([found[n][place] for n in range(len(rows))]) for place, name in enumerate(names)}


def _call(
    model: Any, rows: Sequence[list[int]], own: Sequence[int], layers: Sequence[float], *, prefix: Any
) -> list[list[Floats]]:
    """Mean states, nats and energy of each row, from one call."""
    import torch

    from tunesmith.models.generate import pad_left, positions_of
    from tunesmith.models.prefix import visible

    ids, real = pad_left(rows, model.device)
    more: dict[str, Any] = {"shared_prefix": prefix} if prefix else {}
    if len(rows) > 1 or prefix:
        more["attention_mask"] = visible(real, ids.shape[1])
        more["position_ids"] = positions_of(real, prefix.length if prefix else 0)
    out = model(input_ids=ids, output_hidden_states=bool(layers), use_cache=False, **more)
    states = [out.hidden_states[round(share * (len(out.hidden_states) - 1))] for share in layers]
    found = []
    for row, n in enumerate(own):
        logits = out.logits[row, -n - 1 : -1].float()
        total = logits.logsumexp(-1)
        said = logits.gather(-1, ids[row, -n:, None])[:, 0]
        means = [layer[row, -n:].float().mean(0) for layer in states]
        whole = torch.cat(means) if means else torch.zeros(0)
        found.append([value.double().cpu().numpy() for value in (whole, (total - said).mean(), -total.mean())])
    return found
