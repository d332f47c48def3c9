"""General ability, expert against base: what was forgotten while the domain was learnt.

The suite in `general/` was written for this project: 160 easy questions with four answers over seven skills (12 more in
Chinese, asked where the profile names that language, and never part of the main figure), and 40 short passages of plain
prose. Neither touches medicine or finance. Small models answer most of it, so a loss shows.

`retention` is the smaller of two ratios, each 1 where nothing is lost:

- *accuracy kept*: general accuracy of the expert over that of the base;
- *prediction kept*: mean nats per token on the prose, base over expert: the share of the base's compression left.

The smaller one is taken because either loss alone is a loss: a model can keep its facts and forget how to write, or
the other way round. The ratio of nats is preferred to the ratio of perplexities (which is told beside it): a loss
lies between 0 and 1, and one strange passage cannot decide it. The interval is a paired bootstrap: questions and
passages are drawn anew, and both models are judged on the same draw.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from tunesmith.core.errors import Problem
from tunesmith.core.events import Events
from tunesmith.core.protocols import LikelihoodAnswerer
from tunesmith.core.types import Example, Likelihood, Measure, Message
from tunesmith.evaluate.asking import ROWS_AT_ONCE, chunks, told
from tunesmith.evaluate.metric import mean_kernel
from tunesmith.evaluate.spec import MEASURES, RetentionSpec
from tunesmith.evaluate.statistics import (
    Floats,
    Interval,
    Kernel,
    Sampling,
    bootstrap_interval,
    mcnemar_p,
    newcombe_interval,
    resample_weights,
    share_interval,
)

APART = "chinese"
"""The skill that is shown on its own and never counted in the main figure."""


@dataclass(frozen=True)
class Item:
    """One general question with four answers; `answer` is the place of the right one."""

    id: str
    skill: str
    question: str
    options: tuple[str, ...]
    answer: int


@dataclass(frozen=True)
class General:
    """What a model knows of the general suite.

    Args:
        right: item id -> whether the likeliest answer was the right one.
        logs: item id -> log-probability of each answer, in nats.
        nats: passage id -> (minus log-probability, tokens).
        unscored: ids whose likelihood was not a finite number.
    """

    right: dict[str, bool]
    nats: dict[str, tuple[float, int]]
    unscored: tuple[str, ...] = ()
    logs: dict[str, tuple[float, ...]] = field(default_factory=dict)

    def records(self) -> list[dict[str, Any]]:
        """As JSON lines."""
        return [
            *(
                {"kind": "item", "id": key, "right": right, "logs": list(self.logs.get(key, ()))}
                for key, right in self.right.items()
            ),
            *({"kind": "passage", "id": key, "nats": n, "tokens": t} for key, (n, t) in self.nats.items()),
            *({"kind": "unscored", "id": key, "reason": "likelihood-not-finite"} for key in self.unscored),
        ]

    @staticmethod
    def of(records: Sequence[dict[str, Any]]) -> General:
        """What `records` gave."""
        return General(
            {r["id"]: r["right"] for r in records if r["kind"] == "item"},
            {r["id"]: (r["nats"], r["tokens"]) for r in records if r["kind"] == "passage"},
            tuple(r["id"] for r in records if r["kind"] == "unscored"),
            {r["id"]: tuple(r["logs"]) for r in records if r["kind"] == "item" and r["logs"]},
        )


@cache
def items() -> tuple[Item, ...]:
    """The questions, skills interleaved so that the first few are a fair sample of all."""
    found = [Item(**{**record, "options": tuple(record["options"])}) for record in _lines("items.jsonl")]
    size = {skill: sum(item.skill == skill for item in found) for skill in {item.skill for item in found}}
    return tuple(sorted(found, key=lambda item: (int(item.id.rpartition("-")[2]) / size[item.skill], item.id)))


@cache
def passages() -> dict[str, str]:
    """Passage id -> text."""
    return {record["id"]: record["text"] for record in _lines("passages.jsonl")}


def _lines(name: str) -> list[dict[str, Any]]:
    import json

    text = (files("tunesmith.evaluate") / "general" / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def chosen_items(spec: RetentionSpec, languages: Sequence[str]) -> list[Item]:
    """The questions to ask; those in Chinese only where the profile names the language."""
    main = [item for item in items() if item.skill != APART][: spec.items]
    chinese = any(language.lower().partition("-")[0] == "zh" for language in languages)
    return main + [item for item in items() if item.skill == APART and chinese and spec.items]


def ask_general(
    answerer: LikelihoodAnswerer, spec: RetentionSpec, *, languages: Sequence[str], events: Events, stage: str
) -> General:
    """Ask the suite: per question the answer with the highest log-probability, per passage the nats."""
    right: dict[str, bool] = {}
    all_logs: dict[str, tuple[float, ...]] = {}
    nats: dict[str, tuple[float, int]] = {}
    unscored: list[str] = []
    asked = chosen_items(spec, languages)
    parts, what = chunks(asked, ROWS_AT_ONCE), f"general questions, {answerer.name}"
    for chunk in told(parts, events, stage, what, len(asked), asked=answerer):
        conversations = [(Message(role="user", content=question_text(item)),) for item in chunk]
        for item, row in zip(
            chunk, answerer.likelihood(conversations, [option_texts(item) for item in chunk]), strict=True
        ):
            logs = [likelihood.log_probability for likelihood in row]
            if all(math.isfinite(x) for x in logs):
                right[item.id] = logs.index(max(logs)) == item.answer
                all_logs[item.id] = tuple(logs)
            else:
                unscored.append(item.id)
    read = list(passages().items())[: spec.passages]
    texts, what = chunks(read, ROWS_AT_ONCE), f"general prose, {answerer.name}"
    for part in told(texts, events, stage, what, len(read), asked=answerer):
        for (key, _), likelihood in zip(part, answerer.text_likelihood([text for _, text in part]), strict=True):
            if _usable(likelihood):
                nats[key] = (-likelihood.log_probability, likelihood.tokens)
            else:
                unscored.append(key)
    return General(right, nats, tuple(unscored), all_logs)


def general_overlap(examples: Iterable[Example]) -> list[Problem]:
    """A problem for each row that is trained on and holds a piece of the suite: it would measure memory, not ability.

    That is a turn that begins with a question of the suite, its right answer in another turn; or a turn with a passage
    of it. Case and white space do not count.
    """
    asked = [(item.id, _squeezed(item.question), _squeezed(item.options[item.answer])) for item in items()]
    read = [(key, _squeezed(text), "") for key, text in passages().items()]
    found = []
    for example in examples:
        if example.split not in ("train", "general"):
            continue
        said = [_squeezed(message.content) for message in example.messages]
        whole = "\n".join(said)
        same = [key for key, question, answer in asked if any(turn.startswith(question) for turn in said)
                and any(answer in turn and not turn.startswith(question) for turn in said)]  # fmt: skip
        same += [key for key, text, _ in read if text in whole]
        if same:
            message = f"the row holds '{same[0]}' of the suite that measures what was forgotten, and is trained on"
            found.append(Problem("retention-leak", message, "take the row out of the source", example.place))
    return found


def _squeezed(text: str) -> str:
    return "".join(text.casefold().split())


def question_text(item: Item) -> str:
    """The question with a request to be short: without it a chat model expects itself to answer in a sentence."""
    return item.question + ("用几个字回答。" if item.skill == APART else " Answer in a few words.")


def option_texts(item: Item) -> list[str]:
    """The answers as chat models end them, with a full stop."""
    stop = "。" if item.skill == APART else "."
    return [option if option.endswith(stop) else option + stop for option in item.options]


def _usable(likelihood: Likelihood) -> bool:
    return math.isfinite(likelihood.log_probability) and likelihood.tokens > 0


# -- measures -------------------------------------------------------------------------------------------


def general_measures(expert: General, base: General, sampling: Sampling) -> list[Measure]:
    """What both could be asked: `general_accuracy` and `general_kl` (also per skill), perplexity ratio, `retention`."""
    skills = {item.id: item.skill for item in items()}
    common = [key for key in expert.right if key in base.right]
    lost = len(set(expert.unscored) | set(base.unscored))
    main = [key for key in common if skills[key] != APART]
    found: list[Measure] = []
    if main:
        found += _accuracies(expert, base, main, "all", sampling)
        for skill in sorted({skills[key] for key in common}):
            own = [key for key in common if skills[key] == skill]
            found += _accuracies(expert, base, own, f"skill={skill}", sampling)
            found += _divergence(expert, base, own, f"skill={skill}", sampling)
        found += _divergence(expert, base, main, "all", sampling)
    read = [key for key in expert.nats if key in base.nats]
    if read:
        found.append(_perplexity_ratio(expert, base, read, sampling))
    if main and read:
        found.append(_retention(expert, base, main, read, sampling))
    return [measure.model_copy(update={"unscored": lost}) if measure.slice == "all" else measure for measure in found]


def _accuracies(expert: General, base: General, keys: Sequence[str], slice: str, sampling: Sampling) -> list[Measure]:
    ours, theirs = (np.array([float(side.right[key]) for key in keys]) for side in (expert, base))
    made = []
    for model, values in (("expert", ours), ("base", theirs)):
        interval = share_interval(values, keys, level=sampling.level)
        made.append(_measure("general_accuracy", model, float(values.mean()), interval, len(keys), slice, sampling))
    interval = newcombe_interval(ours, theirs, keys, level=sampling.level)
    apart = _measure(
        "general_accuracy", "difference", float(ours.mean() - theirs.mean()), interval, len(keys), slice, sampling
    )
    return [*made, apart.model_copy(update={"p": mcnemar_p(ours, theirs)})]


def _divergence(expert: General, base: General, keys: Sequence[str], slice: str, sampling: Sampling) -> list[Measure]:
    """Mean Kullback-Leibler divergence of the expert's shares of the answers from the base's; none where not stored."""
    known = [key for key in keys if key in expert.logs and key in base.logs]
    if not known:
        return []
    values = np.array([divergence(base.logs[key], expert.logs[key]) for key in known])
    interval = bootstrap_interval(mean_kernel(values), known, sampling)
    return [_measure("general_kl", "expert", float(values.mean()), interval, len(known), slice, sampling)]


def divergence(base: Sequence[float], expert: Sequence[float]) -> float:
    """KL(base || expert) in nats over a closed set of answers, each side's log-probabilities made to sum to one."""
    p, q = (np.asarray(side) - np.logaddexp.reduce(np.asarray(side)) for side in (base, expert))
    return max(0.0, float((np.exp(p) * (p - q)).sum()))


def _perplexity_ratio(expert: General, base: General, keys: Sequence[str], sampling: Sampling) -> Measure:
    ours, theirs = _mean_nats(expert, keys), _mean_nats(base, keys)
    one = np.ones((1, len(keys)))
    drawn = _weights(len(keys), sampling)
    with np.errstate(over="ignore"):
        values = np.exp(ours(drawn) - theirs(drawn))
        value = float(np.exp(ours(one) - theirs(one))[0])
    interval = _percentile(values, sampling, "passages")
    return _measure("general_perplexity_ratio", "expert", value, interval, len(keys), "all", sampling)


def _retention(
    expert: General, base: General, asked: Sequence[str], read: Sequence[str], sampling: Sampling
) -> Measure:
    """The smaller of accuracy kept and prediction kept; see the head of this file."""
    right = [np.array([float(side.right[key]) for key in asked]) for side in (expert, base)]
    nats = [_mean_nats(side, read) for side in (expert, base)]

    def kept(items_RN: Floats, passages_RN: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            accuracy = (items_RN @ right[0]) / (items_RN @ right[1])
            prediction = nats[1](passages_RN) / nats[0](passages_RN)
        return np.asarray(np.minimum(accuracy, prediction), dtype=np.float64)

    value = float(kept(np.ones((1, len(asked))), np.ones((1, len(read))))[0])
    n = len(asked) + len(read)
    if not math.isfinite(value):
        nothing = Interval(None, None, "none: the base model gets nothing right")
        return _measure("retention", "expert", None, nothing, 0, "all", sampling)
    other = Sampling(sampling.level, sampling.resamples, sampling.seed + 1)
    values = kept(_weights(len(asked), sampling), _weights(len(read), other))
    return _measure("retention", "expert", value, _percentile(values, sampling, "rows"), n, "all", sampling)


def _mean_nats(side: General, keys: Sequence[str]) -> Kernel:
    nats_N, tokens_N = (np.array([side.nats[key][i] for key in keys], dtype=np.float64) for i in (0, 1))
    return lambda weights_RN: np.asarray((weights_RN @ nats_N) / (weights_RN @ tokens_N), dtype=np.float64)


def _weights(rows: int, sampling: Sampling) -> Floats:
    return np.concatenate(list(resample_weights(np.arange(rows, dtype=np.int64), sampling)))


def _percentile(values_R: Floats, sampling: Sampling, what: str) -> Interval:
    finite = values_R[np.isfinite(values_R)]
    if not len(finite):
        return Interval(None, None, "none: no finite resample")
    low, high = np.quantile(finite, [(1 - sampling.level) / 2, (1 + sampling.level) / 2])
    return Interval(float(low), float(high), f"paired percentile bootstrap over {what}")


def _measure(  # each argument is one field of the noun
    name: str, model: str, value: float | None, interval: Interval, n: int, slice: str, sampling: Sampling
) -> Measure:
    return Measure(
        name=name,
        model=model,
        value=value,
        low=interval.low,
        high=interval.high,
        level=sampling.level,
        n=n,
        slice=slice,
        method=interval.method,
        unit=MEASURES[name].unit,
    )
