"""What reasoning is worth on word problems: chains, a calculator, votes, the whole line, when to stop.

For each seed two projects of the recipe worked-steps are trained on the same exercises, one on answers alone and one on
chains. The second is asked with and without a calculator, and with it draws chains for validation rows, which teach the
fusion, and for test rows. Every way of reasoning is run on the same stored draws, so differences between them are
paired and cost no model. Everything is kept in `.bench/reasoning`, batch by batch: a run that was killed goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from bench import _process, _projects
from bench._frame import Asked, Column, Outcome

from tunesmith.reason.line import Line
from tunesmith.reason.replay import Question

if TYPE_CHECKING:
    from tunesmith.core.protocols import Conversation
    from tunesmith.core.types import Answer, Example

SEEDS = 2
FOLDER = _process.ROOT / ".bench" / "reasoning"
TRAIN_ROWS = 6000
LEARN_ROWS, TEST_ROWS = 100, 300
DRAWS = 40
AT_ONCE, ALONE_AT_ONCE = 8, 50
"""Questions that are drawn and stored together, with their draws and where only the likeliest is wanted."""

AT_MOST_TOKENS = 200
LEVEL = 0.95
KINDS = {"answers alone": "train_direct.jsonl", "chains": "train.jsonl"}

CHECKED = {
    "check": [{"use": "arithmetic"}, {"use": "premises"}, {"use": "coverage"}],
    "fuse": {"use": "bayesian"},
}
DIFFER = (0.05, 0.1, 0.2)
"""Promises about stopping: the share of questions whose early answer may differ; 100 rows confirm none below 0.03."""


def _adaptive(differ: float) -> dict[str, Any]:
    return {"paths": {"use": "adaptive", "at_most": DRAWS, "first": 1, "differ": differ}}


LINES: dict[str, dict[str, Any]] = {
    **{f"vote of {n}": {"paths": {"use": "self_consistency", "draws": n}} for n in (1, 2, 3, 5, 8, 16, DRAWS)},
    **{f"line of {n}": {"paths": {"use": "self_consistency", "draws": n}, **CHECKED} for n in (2, 3, 5, 8, 16, DRAWS)},
    **{f"vote until settled, {differ}": _adaptive(differ) for differ in DIFFER},
    **{f"line until settled, {differ}": {**_adaptive(differ), **CHECKED} for differ in DIFFER},
}


@dataclass(frozen=True)
class Judged:
    """What one way of reasoning comes to.

    Args:
        right: for each question 1 where it is right.
        tokens: of each question.
        said: its answers, in canonical form; empty where there is none.
    """

    right: np.ndarray
    tokens: np.ndarray
    said: np.ndarray


def run(asked: Asked) -> Outcome:
    """Both trainings and all ways of reasoning, seed by seed."""
    outcome = Outcome((Column("accuracy", "accuracy", 3, compared=False), Column("tokens", "tokens a question")))
    found: dict[str, list[Judged]] = {}
    for seed in range(asked.rounds or SEEDS):
        for name, judged in _seed(seed, asked):
            found.setdefault(name, []).append(judged)
            figures = {"accuracy": float(judged.right.mean()), "tokens": float(judged.tokens.mean())}
            outcome.add(name, figures)
            print(f"  seed {seed}, {name}: {figures['accuracy']:.3f}, {figures['tokens']:.0f} tokens", flush=True)
    outcome.notes = list(_compared(found))
    return outcome


def _seed(seed: int, asked: Asked) -> Iterator[tuple[str, Judged]]:
    rows = asked.rows or TRAIN_ROWS
    stored = {kind: _stored(kind, seed, rows, asked) for kind in KINDS}
    for kind, draws in stored.items():
        yield f"{kind}, the likeliest", _judged(_line({}), [_likeliest(one) for one in draws.plain])
    yield "with a calculator, the likeliest", _judged(_line({}), [_likeliest(one) for one in stored["chains"].test])
    valid, test = ([_thought(one) for one in some] for some in (stored["chains"].valid, stored["chains"].test))
    for name, recipe in LINES.items():
        yield name, _judged(_taught(_line(recipe), valid), test)


def _line(recipe: dict[str, Any]) -> Line:
    return Line.of({"conclude": "number", **recipe})


@dataclass(frozen=True)
class Drawn:
    """A question with its likeliest answer and its draws."""

    prompt: Conversation
    right: str
    likeliest: Answer
    draws: tuple[Answer, ...]


@dataclass(frozen=True)
class Stored:
    """What was drawn for validation and test rows with the calculator, and what is likeliest for test rows without."""

    plain: list[Drawn]
    valid: list[Drawn]
    test: list[Drawn]


def _thought(drawn: Drawn) -> Question:
    """The draws as chains; checked once for all ways, of which those without fusion only count votes."""
    return _question(drawn, drawn.draws)


def _likeliest(drawn: Drawn) -> Question:
    return _question(drawn, (drawn.likeliest,))


def _question(drawn: Drawn, answers: Sequence[Answer]) -> Question:
    line = _line(CHECKED)
    chains = tuple(line.chain(drawn.prompt, answer, "direct") for answer in answers)
    return Question(conversation=tuple(drawn.prompt), chains=chains, right=line.read(drawn.right))


def _taught(line: Line, questions: Sequence[Question]) -> Line:
    """The line with what these questions teach fusion and stopping, as the stage `reason` teaches them."""
    return line.taught([(one.chains[: _full(line)], one.right or "") for one in questions])


def _full(line: Line) -> int:
    paths: Any = line.paths.full()
    return getattr(paths, "draws", 1)


def _judged(line: Line, questions: Sequence[Question]) -> Judged:
    """Every question answered by the line from stored chains."""
    some = [one.chains[: line.paths.drawn(line, one.chains[: _full(line)])] for one in questions]
    said = [line.fuse(chains).conclusion or "" for chains in some]
    right = [a != "" and a == one.right for a, one in zip(said, questions, strict=True)]
    tokens = [sum(chain.tokens for chain in chains) for chains in some]
    return Judged(np.array(right, float), np.array(tokens, float), np.array(said))


def _stored(kind: str, seed: int, rows: int, asked: Asked) -> Stored:
    """Train, if that is not done, and draw what is not drawn yet; of answers alone only the likeliest.

    Without draws the calculator is off.
    """
    from tunesmith.core.examples import read_examples

    folder = FOLDER / f"{kind.replace(' ', '-')}-{rows}-{seed}"
    if not (folder / "start.yaml").is_file():
        _projects.make(folder, "worked-steps", lambda project: _change(project, kind, seed, rows))
    shown = _projects.run(folder, {}, asked)
    runs = {stage["stage"]: folder / ".tunesmith" / "runs" / stage["stage"] / stage["run"] for stage in shown["stages"]}
    chains = kind == "chains"
    known = runs["data"] / "examples.parquet"
    valid, test = (list(read_examples(known, split)) for split in ("valid", "test"))
    return Stored(
        plain=_drawn(folder, "test", test[:TEST_ROWS], 0),
        valid=_drawn(folder, "valid", valid[:LEARN_ROWS], DRAWS) if chains else [],
        test=_drawn(folder, "test", test[:TEST_ROWS], DRAWS) if chains else [],
    )


def _change(project: Any, kind: str, seed: int, rows: int) -> None:
    project["seed"] = seed
    project["data"]["sources"][0]["path"] = f"data/{KINDS[kind]}"
    project["data"]["at_most_rows"] = {"train": rows, "valid": LEARN_ROWS, "test": TEST_ROWS}
    fast = _projects.fast()
    project["tune"] = {
        "strategy": {"use": "lora", "rank": 32, "upper": 0.5},
        "epochs": 1,
        "rows_per_step": 16,
        "precision": "bf16" if fast else "auto",
    }
    project["reason"]["engine"] = "bf16" if fast else "exact"
    project["evaluate"] = {
        "at_most_rows": 24,
        "likelihood_rows": 0,
        "latency_rows": 1,
        "at_most_tokens": AT_MOST_TOKENS,
    }


def _drawn(folder: Path, split: str, examples: Sequence[Example], draws: int) -> list[Drawn]:
    """Draws of each example; each batch is on disk before the next one begins."""
    from tunesmith.core.types import Answer

    file = folder / f"draws-{split}-{draws}.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.is_file() else []
    known = {line["id"]: line for line in map(json.loads, (one for one in lines if one.endswith("\n")))}
    missing = [example for example in examples if example.id not in known]
    if missing:
        with file.open("w", encoding="utf-8") as out:
            for line in known.values():
                out.write(json.dumps(line) + "\n")
            for line in _asked_for(folder, missing, draws):
                known[line["id"]] = line
                out.write(json.dumps(line) + "\n")
                out.flush()
    return [
        Drawn(
            tuple(example.prompt),
            example.reference,
            Answer.model_validate(known[example.id]["likeliest"]),
            tuple(map(Answer.model_validate, known[example.id]["draws"])),
        )
        for example in examples
    ]


def _asked_for(folder: Path, examples: Sequence[Example], draws: int) -> Iterator[dict[str, Any]]:
    from tunesmith.core.events import Events
    from tunesmith.core.types import Sampling
    from tunesmith.project.file import load
    from tunesmith.project.talk import open_last
    from tunesmith.reason.calculator import calculated
    from tunesmith.records.store import RunStore

    project = load(folder)
    with open_last(project, RunStore(project.home), Events(), base=False) as talk:
        model: Any = talk.answerer
        model.model.calculator = calculated if draws else None
        at_once = AT_ONCE if draws else ALONE_AT_ONCE
        for start in range(0, len(examples), at_once):
            some = examples[start : start + at_once]
            prompts = [example.prompt for example in some]
            likeliest = model.answer(prompts, at_most_tokens=AT_MOST_TOKENS)
            drawn = model.sample(
                prompts, draws=[range(draws)] * len(some), at_most_tokens=AT_MOST_TOKENS, how=Sampling()
            )
            print(f"  {folder.name}: {start + len(some)} of {len(examples)} questions", end="\r", flush=True)
            for example, answer, several in zip(some, likeliest, drawn, strict=True):
                yield {
                    "id": example.id,
                    "likeliest": answer.model_dump(mode="json"),
                    "draws": [one.model_dump(mode="json") for one in several],
                }


def _compared(found: dict[str, list[Judged]]) -> Iterator[str]:
    """Pairs that the room is judged by, over all seeds, question by question."""
    from tunesmith.evaluate.statistics import newcombe_interval, share_interval

    pooled = {name: _pooled(some) for name, some in found.items()}
    for name, judged in pooled.items():
        clusters = [str(n) for n in range(len(judged.right))]
        whole = share_interval(judged.right, clusters, level=LEVEL)
        told = f"{judged.right.mean():.3f} ({whole.low:.3f} to {whole.high:.3f})"
        yield f"  {name}: {told}, {len(judged.right)} questions"
    pairs = [("chains, the likeliest", "answers alone, the likeliest")]
    pairs += [("with a calculator, the likeliest", "chains, the likeliest")]
    pairs += [(f"line of {n}", f"vote of {n}") for n in (3, 5, 8, 16, DRAWS)]
    for way in ("vote", "line"):
        for differ in DIFFER:
            early = f"{way} until settled, {differ}"
            pairs += [(early, other) for other in dict.fromkeys((f"vote of {DRAWS}", f"{way} of {DRAWS}"))]
    for one, other in pairs:
        a, b = pooled[one], pooled[other]
        clusters = [str(n) for n in range(len(a.right))]
        apart = newcombe_interval(a.right, b.right, clusters, level=LEVEL)
        share, low, high = _share(a.tokens, b.tokens)
        yield (
            f"  {one} against {other}: {a.right.mean() - b.right.mean():+.3f} ({apart.low:+.3f} to {apart.high:+.3f}), "
            f"{share:.1%} ({low:.1%} to {high:.1%}) of the tokens, {(a.said != b.said).mean():.1%} other answers"
        )


def _pooled(some: Sequence[Judged]) -> Judged:
    return Judged(*(np.concatenate([getattr(one, name) for one in some]) for name in ("right", "tokens", "said")))


def _share(ours: np.ndarray, theirs: np.ndarray, *, resamples: int = 2000) -> tuple[float, float, float]:
    """Our tokens as a share of theirs, with its interval by a bootstrap over questions."""
    drawn = np.random.default_rng(0).integers(0, len(ours), size=(resamples, len(ours)))
    shares = ours[drawn].mean(1) / theirs[drawn].mean(1)
    low, high = np.quantile(shares, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(ours.mean() / theirs.mean()), float(low), float(high)
