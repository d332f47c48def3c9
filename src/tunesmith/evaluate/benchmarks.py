"""Benchmarks of lm-evaluation-harness (Gao et al. 2024) through our `Answerer`: base and expert on the same items.

A benchmark is the name of an installed task, or a task file (YAML) of the project on local data. Options are scored as
plain text without a chat template, which gives the number of the harness's own Hugging Face runner: the log-probability
of context and continuation less that of the context. With `chat: true` they are an assistant's whole turns, which is
how a chat model will be used, and figures are then not comparable with published ones.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.errors import MissingLibrary, Problem, UserError
from tunesmith.core.files import resolve_under
from tunesmith.core.protocols import LikelihoodAnswerer
from tunesmith.core.types import Measure, Message
from tunesmith.evaluate.asking import at_hand
from tunesmith.evaluate.combine import mean_of_independent
from tunesmith.evaluate.metric import mean_kernel
from tunesmith.evaluate.spec import BenchmarksSpec
from tunesmith.evaluate.statistics import (
    Interval,
    Sampling,
    bootstrap_interval,
    mcnemar_p,
    newcombe_interval,
    share_interval,
    sign_flip_p,
)

WHERE = "evaluate.benchmarks.tasks"
_PREFERRED = ("acc_norm", "exact_match", "acc", "f1")
_CODE = re.compile(r"\{[{%][^}]*(__|\battr\b|\bgetattr\b)")
_LONGEST_ANSWER = 256


def run_benchmarks(answerer: LikelihoodAnswerer, spec: BenchmarksSpec, root: Path) -> list[dict[str, Any]]:
    """One record per task and item: `task`, `metric`, `id`, `value`; the first known of acc_norm, exact_match, acc, f1.

    Raises:
        MissingLibrary: lm-eval is not installed.
        UserError: a task is not known, its file is unsafe, or it needs what an answerer cannot tell; all at once.
    """
    if not spec.tasks:
        return []
    tasks = _loaded(spec.tasks, root)
    from lm_eval import simple_evaluate

    found = simple_evaluate(
        model=harness_model(answerer, chat=spec.chat),
        tasks=tasks,
        limit=spec.limit,
        num_fewshot=spec.examples,
        apply_chat_template=spec.chat,
        bootstrap_iters=0,
        verbosity="ERROR",
    )
    return [record for task, samples in sorted(found["samples"].items()) for record in _records(task, samples)]


def _records(task: str, samples: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for sample in samples:
        known = [name for name in _PREFERRED if isinstance(sample.get(name), int | float)]
        metric = (
            known[0] if known else next((m for m in sample.get("metrics", ()) if isinstance(sample.get(m), float)), "")
        )
        value = sample.get(metric) if metric else None
        told = float(value) if isinstance(value, int | float) and math.isfinite(value) else None
        yield {"task": task, "metric": metric, "id": str(sample["doc_id"]), "value": told}


# -- tasks ------------------------------------------------------------------------------------------------


def _loaded(names: Sequence[str], root: Path) -> list[Any]:
    """Names as they are, files as checked mappings."""
    try:
        from lm_eval.tasks import TaskManager
    except ModuleNotFoundError:
        hint = "pip install tunesmith[benchmarks]"
        problem = Problem("needs-library", "benchmarks need the library 'lm-eval'", hint, WHERE)
        raise MissingLibrary(problem) from None
    known = set(TaskManager().all_tasks) if any(not _is_file(name) for name in names) else set()
    found: list[Any] = []
    problems: list[Problem] = []
    for name in names:
        if not _is_file(name):
            hint = "see `lm-eval ls tasks`, or name a task file of the project"
            problems += [] if name in known else [Problem("unknown-task", f"there is no task '{name}'", hint, WHERE)]
            found.append(name)
            continue
        try:
            found.append(task_file(name, root))
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return found


def _is_file(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def task_file(name: str, root: Path) -> dict[str, Any]:
    """A task file of the project as a mapping, its data files made absolute.

    Refused are tags (`!function` runs Python), templates that reach for attributes of Python, and code of a data set.

    Raises:
        UserError: as above, or the file is missing, no mapping, or names files outside the project.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    place = resolve_under(root, name)
    if not place.is_file():
        raise UserError(Problem("missing-file", f"'{name}' does not exist", "", WHERE, value=name))
    try:
        task = YAML(typ="safe", pure=True).load(place.read_text(encoding="utf-8"))
    except YAMLError as error:
        message = f"'{name}' is not plain YAML: {str(error).splitlines()[0]}"
        raise UserError(Problem("unsafe-task", message, "tags such as !function are not read", WHERE)) from None
    if not isinstance(task, dict) or "task" not in task:
        raise UserError(Problem("no-task", f"'{name}' is no task file", "it needs `task:` and `dataset_path:`", WHERE))
    if problems := [Problem("unsafe-task", f"'{name}': {why}", "", WHERE) for why in _unsafe(task)]:
        raise UserError(problems)
    arguments = dict(task.get("dataset_kwargs") or {})
    if "data_files" in arguments:
        arguments["data_files"] = _absolute(arguments["data_files"], place.parent, root)
    return {**task, "dataset_kwargs": arguments}


def _unsafe(task: dict[str, Any]) -> Iterator[str]:
    for text in _texts(task):
        if _CODE.search(text):
            yield f"a template reaches for Python: {text[:60]!r}"
    arguments = json.dumps(task.get("dataset_kwargs") or {})
    if "trust_remote_code" in arguments or task.get("unsafe_code"):
        yield "it asks to run code of a data set"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _absolute(files: Any, folder: Path, root: Path) -> Any:
    if isinstance(files, dict):
        return {key: _absolute(part, folder, root) for key, part in files.items()}
    if isinstance(files, list):
        return [_absolute(part, folder, root) for part in files]
    return str(resolve_under(root, folder / str(files)))


# -- the model as the harness sees it ---------------------------------------------------------------------


def harness_model(answerer: LikelihoodAnswerer, *, chat: bool = False) -> Any:
    """An `lm_eval.api.model.LM` that asks `answerer`; the class is made here because lm-eval is optional."""
    from lm_eval.api.model import LM

    class ThroughAnswerer(LM):  # type: ignore[misc]
        tokenizer_name = answerer.name

        def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
            pairs = [request.args for request in requests]
            here = None if chat else at_hand(answerer)
            if here is not None:
                return _continued_here(here, pairs)
            _refuse_the_likeliest(requests, answerer.name)
            return _said_in_chat(answerer, pairs) if chat else _continued(answerer, pairs)

        def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
            found = answerer.text_likelihood([request.args[0] for request in requests])
            return [likelihood.log_probability for likelihood in found]

        def generate_until(self, requests: Sequence[Any]) -> list[str]:
            return [_generated(answerer, *request.args) for request in requests]

        def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
            return json.dumps(chat_history, ensure_ascii=False)

    return ThroughAnswerer()


def _refuse_the_likeliest(requests: Sequence[Any], name: str) -> None:
    """One continuation to a question is no choice: the task asks whether it is what the model would have said."""
    options = Counter((request.task_name, request.doc_id) for request in requests)
    if lone := sorted({task for (task, _), number in options.items() if number == 1}):
        found = f"{', '.join(lone)}: asks for the likeliest words, which {name} does not tell"
        hint = "leave the task out, or ask a model on this machine with chat: false"
        raise UserError(Problem("needs-likeliest", found, hint, WHERE))


def _bare(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """The contexts without spaces at their end, which belong to what follows, as in the harness.

    Raises:
        UserError: one of them is empty.
    """
    if any(not context.strip() for context, _ in pairs):
        problem = Problem("no-context", "a question of the benchmark is empty", "look at its doc_to_text", WHERE)
        raise UserError(problem)
    return [context.rstrip() for context, _ in pairs]


def _continued_here(answerer: Any, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, bool]]:
    """Log-probability of each continuation, and whether each of its tokens is the likeliest; by a model at hand.

    Raises:
        UserError: a text is longer than the model's context.
    """
    from tunesmith.models.endings import ends_told

    encode = answerer.chat.tokenizer.encode
    contexts = {text: encode(text) for text in _bare(pairs)}
    rows = [encode(context + continuation) for context, continuation in pairs]
    longest = max(map(len, rows), default=0)
    if longest > answerer.context:
        found = f"a question has {longest} tokens, the model's context {answerer.context}"
        raise UserError(Problem("text-too-long", found, "use a model with a longer context", WHERE))
    ends = [len(row) - len(contexts[text]) for row, text in zip(rows, _bare(pairs), strict=True)]
    return ends_told(answerer.model, rows, ends)


def _continued(answerer: LikelihoodAnswerer, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, bool]]:
    """Log P(context + continuation) - log P(context), for an answerer that tells no more than that.

    That is exact where the tokens of the context are the first of the whole's, as they are between words.
    """
    bare = _bare(pairs)
    contexts = list(dict.fromkeys(bare))
    alone = dict(zip(contexts, answerer.text_likelihood(contexts), strict=True))
    whole = answerer.text_likelihood([context + continuation for context, continuation in pairs])
    return [
        (all_.log_probability - alone[context].log_probability, False)
        for all_, context in zip(whole, bare, strict=True)
    ]


def _said_in_chat(answerer: LikelihoodAnswerer, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, bool]]:
    options: dict[str, list[str]] = {}
    for context, continuation in pairs:
        options.setdefault(context, []).append(continuation.strip())
    rows = answerer.likelihood([_conversation(context) for context in options], list(options.values()))
    found = {
        (context, option): likelihood.log_probability
        for (context, given), row in zip(options.items(), rows, strict=True)
        for option, likelihood in zip(given, row, strict=True)
    }
    return [(found[context, continuation.strip()], False) for context, continuation in pairs]


def _conversation(context: str) -> tuple[Message, ...]:
    """The turns that `apply_chat_template` wrote down, or the text as one question."""
    try:
        turns = json.loads(context)
        return tuple(Message(role=turn["role"], content=turn["content"]) for turn in turns)
    except (ValueError, TypeError, KeyError):
        return (Message(role="user", content=context),)


def _generated(answerer: LikelihoodAnswerer, context: str, settings: dict[str, Any]) -> str:
    limit = int(settings.get("max_gen_toks", _LONGEST_ANSWER))
    (answer,) = answerer.answer([_conversation(context)], at_most_tokens=limit)
    until = settings.get("until") or []
    text = answer.text
    for stop in [until] if isinstance(until, str) else until:
        text = text.partition(stop)[0] if stop else text
    return text


# -- measures ---------------------------------------------------------------------------------------------


def benchmark_measures(
    expert: Sequence[dict[str, Any]], base: Sequence[dict[str, Any]], sampling: Sampling
) -> list[Measure]:
    """`benchmark` of each task (slice `task=NAME, METRIC`), both models and their difference; and the mean of tasks."""
    ours, theirs = ({(r["task"], r["metric"], r["id"]): r["value"] for r in side} for side in (expert, base))
    tasks = list(dict.fromkeys((task, metric) for task, metric, _ in ours))
    found: list[Measure] = []
    for task, metric in tasks:
        keys = [key for key in ours if key[:2] == (task, metric)]
        both = [key for key in keys if ours[key] is not None and theirs.get(key) is not None]
        one, two = (np.array([side[key] for key in both], dtype=np.float64) for side in (ours, theirs))
        found += _of_task(f"task={task}, {metric}", one, two, len(keys) - len(both), sampling)
    for model in ("expert", "base", "difference"):
        parts = [m for m in found if m.model == model and m.value is not None]
        if parts:
            found.append(mean_of_independent(parts, name="benchmark", model=model, level=sampling.level))
    return found


def _of_task(where: str, ours: Any, theirs: Any, lost: int, sampling: Sampling) -> list[Measure]:
    n, ids = len(ours), [str(place) for place in range(len(ours))]
    about: dict[str, Any] = {"name": "benchmark", "slice": where, "n": n, "unscored": lost, "level": sampling.level}
    if not n:
        return [Measure(model="expert", value=None, method="none: no item is scored for both", **about)]
    binary = bool(np.isin(np.concatenate([ours, theirs]), (0.0, 1.0)).all())
    made = []
    for model, values in (("expert", ours), ("base", theirs)):
        share = share_interval(values, ids, level=sampling.level) if binary else _bootstrapped(values, ids, sampling)
        made.append(_with(share, model=model, value=float(values.mean()), **about))
    if binary:
        interval, p = newcombe_interval(ours, theirs, ids, level=sampling.level), mcnemar_p(ours, theirs)
    else:
        interval, p = _bootstrapped(ours - theirs, ids, sampling), sign_flip_p(ours - theirs, ids, seed=sampling.seed)
    return [*made, _with(interval, model="difference", value=float((ours - theirs).mean()), p=p, **about)]


def _bootstrapped(values: Any, ids: Sequence[str], sampling: Sampling) -> Interval:
    return bootstrap_interval(mean_kernel(values), ids, sampling)


def _with(interval: Interval, **about: Any) -> Measure:
    return Measure(low=interval.low, high=interval.high, method=interval.method, **about)
