"""What one form of a model does on probes: tokens in, likelihoods, words, where it stops. Values, to be compared.

Two forms of one expert (adapter, merged, quantised, served) are the same when their witnesses are. A witness is small
and JSON, so that one can be taken on another machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tunesmith.core.protocols import Conversation
from tunesmith.core.types import Noun
from tunesmith.models.chat import Chat

SPELLED = (
    "The quick brown fox, aged 12.5 years, doesn't jump over 3 lazy dogs.",
    "  two spaces,\ttab,\n\nlines\n",
    "E-mail: a.b@c.org; 1,234,567.89 EUR; x_1 = f(y) != z**2",
    "病人发烧39.5度，咳嗽三天。",
    "Ünïcödé naïve façade — “quotes” … 😀🚑",
    "<|im_start|>user\nplain<|im_end|>",
)
"""Texts that tokenisers differ on: numbers, spaces, signs, Chinese, accents, emoji, names of special tokens."""


class Said(Noun):
    """What was said to one probe.

    Fields:
        turns: messages of the probe.
        prompt_ids: tokens in; None where they are not told.
        prompt_tokens: their number; 0 where it is not told.
        text: the greedy answer, without reasoning being split off.
        ended: the model ended it, rather than the limit.
        chosen: the tokens of the answer as text, one by one.
        likely: for each of them the likeliest tokens there as text -> log-probability in nats; empty where not told.
    """

    turns: int = 1
    prompt_ids: tuple[int, ...] | None = None
    prompt_tokens: int = 0
    text: str
    ended: bool
    chosen: tuple[str, ...] = ()
    likely: tuple[dict[str, float], ...] = ()


class Witness(Noun):
    """One form of a model on all probes.

    Fields:
        form: `adapter`, `merged`, `quantised`, `served`, ...
        template: digest of the chat template in force; empty where it is not told.
        spelled: the token ids of the texts `SPELLED`; empty where they are not told.
        stops: ids that end an answer; empty where they are not told.
        said: what was said to each probe, in order.
    """

    form: str
    template: str = ""
    spelled: tuple[tuple[int, ...], ...] = ()
    stops: tuple[int, ...] = ()
    said: tuple[Said, ...]


def take_witness(
    model: Any, chat: Chat, probes: Sequence[Conversation], *, form: str, at_most_tokens: int = 12, top: int = 20
) -> Witness:
    """Answer every probe greedily, one after the other, and keep the likeliest tokens of each step.

    Args:
        model: a causal language model in evaluation mode.
        chat: its tokeniser with the chat template.
        probes: conversations; none longer than the model's context less `at_most_tokens`.
        form: what this form is called.
        at_most_tokens: longest answer.
        top: tokens kept at each step.
    """
    from tunesmith.models.generate import stop_ids_of

    stops = stop_ids_of(model, chat.stop_ids)
    return Witness(
        form=form,
        template=chat.hash,
        spelled=tuple(tuple(chat.tokenizer.encode(text, add_special_tokens=False)) for text in SPELLED),
        stops=tuple(sorted(stops)),
        said=tuple(_say(model, chat, probe, stops, at_most_tokens, top) for probe in probes),
    )


def _say(model: Any, chat: Chat, probe: Conversation, stops: frozenset[int], at_most_tokens: int, top: int) -> Said:
    import torch
    from transformers import DynamicCache

    prompt = chat.prompt(probe)
    cache = DynamicCache(config=model.config.get_text_config())
    ids, said, likely, ended = prompt, [], [], False
    with torch.inference_mode():
        for _ in range(at_most_tokens):
            out = model(input_ids=torch.tensor([ids], device=model.device), past_key_values=cache, use_cache=True)
            logs = out.logits[0, -1].float().log_softmax(-1)
            best = logs.topk(min(top, len(logs)))
            likely.append(_by_text(chat, best.indices.tolist(), best.values.tolist()))
            token = int(best.indices[0])
            said.append(token)
            if token in stops:
                ended = True
                break
            ids = [token]
    words = said[:-1] if ended else said
    return Said(
        turns=len(probe),
        prompt_ids=tuple(prompt),
        prompt_tokens=len(prompt),
        text=chat.tokenizer.decode(words, skip_special_tokens=True),
        ended=ended,
        chosen=tuple(chat.tokenizer.decode([token]) for token in said),
        likely=tuple(likely),
    )


def _by_text(chat: Chat, ids: Sequence[int], logs: Sequence[float]) -> dict[str, float]:
    """Token as text -> log-probability; of tokens that read the same (parts of a character) the likeliest."""
    found: dict[str, float] = {}
    for token, value in zip(ids, logs, strict=True):
        found.setdefault(chat.tokenizer.decode([token]), value)
    return found


@contextmanager
def scaled(model: Any, factor: float) -> Iterator[Any]:
    """`model` with its adapter `factor` times as strong: 0 leaves the base, 2 applies it twice.

    Args:
        model: a PEFT model whose adapter is not merged.
        factor: what the adapter's scale is multiplied by inside the block.
    """
    layers = [module for module in model.modules() if isinstance(getattr(module, "scaling", None), dict)]
    before = [dict(layer.scaling) for layer in layers]
    for layer in layers:
        layer.scaling.update({name: value * factor for name, value in layer.scaling.items()})
    try:
        yield model
    finally:
        for layer, values in zip(layers, before, strict=True):
            layer.scaling.update(values)


def scales_of(
    model: Any, chat: Chat, probes: Sequence[Conversation], *, at_most_tokens: int = 12
) -> Callable[[float], Witness] | None:
    """Factor -> witness of the model with its adapter so many times as strong; None where nothing is beside the base.

    Witnesses are kept: each factor is computed once, when it is asked for. Arguments as for `take_witness`.
    """
    if not any(isinstance(getattr(module, "scaling", None), dict) for module in model.modules()):
        return None
    kept: dict[float, Witness] = {}

    def at(factor: float) -> Witness:
        if factor not in kept:
            with scaled(model, factor):
                kept[factor] = take_witness(
                    model, chat, probes, form=f"adapter x {factor:g}", at_most_tokens=at_most_tokens
                )
        return kept[factor]

    return at
