"""What reasoning is worth on word problems that can be checked: chains, votes, the whole line, when to stop.

For each seed two projects of the recipe worked-steps are trained on the same exercises, one on answers alone and one on
chains; the second then draws chains for validation rows, which teach the fusion, and for test rows. Every way of
reasoning is run on the same stored draws, so differences between them are paired and cost no model. Everything is
kept in `.bench/reasoning`, batch by batch: a run that was killed goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np
from bench import _process, _projects
from bench._frame import Asked, Column, Outcome

from tunesmith.reason.line import Job, Line

if TYPE_CHECKING:
    from tunesmith.core.protocols import Conversation
    from tunesmith.core.types import Answer, Example, Sampling, Split

SEEDS = 2
FOLDER = _process.ROOT / ".bench" / "reasoning"
TRAIN_ROWS = 2400
LEARN_ROWS, TEST_ROWS = 100, 300
DRAWS = 40
AT_ONCE = 4
"""Questions that are drawn and stored together."""

AT_MOST_TOKENS = 200
LEVEL = 0.95
KINDS = {"answers alone": "train_direct.jsonl", "chains": "train.jsonl"}

CHECKED = {"check": [{"use": "arithmetic"}], "fuse": {"use": "bayesian"}}
LINES: dict[str, dict[str, Any]] = {
    **{f"vote of {n}": {"paths": {"use": "self_consistency", "draws": n}} for n in (1, 2, 3, 5, 8, 16, DRAWS)},
    **{f"line of {n}": {"paths": {"use": "self_consistency", "draws": n}, **CHECKED} for n in (2, 3, 5, 8, 16, DRAWS)},
    "vote until settled": {"paths": {"use": "adaptive", "at_most": DRAWS}},
    "line until settled": {"paths": {"use": "adaptive", "at_most": DRAWS, "first": 1}, **CHECKED},
}


@dataclass(frozen=True)
class Judged:
    """What one way of reasoning comes to: for each question 1 where it is right, and its tokens."""

    right: np.ndarray
    tokens: np.ndarray


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
        yield f"{kind}, the likeliest", _judged(_line({}), draws.test, likeliest=True)
    chains = stored["chains"]
    for name, recipe in LINES.items():
        line = Line.of(_recipe(recipe), taught=_taught(_line(recipe), chains.valid))
        yield name, _judged(line, chains.test)


def _recipe(recipe: dict[str, Any]) -> dict[str, Any]:
    return {"conclude": "number", **recipe}


def _line(recipe: dict[str, Any]) -> Line:

    return Line.of(_recipe(recipe))


@dataclass(frozen=True)
class Drawn:
    """A question with its likeliest answer and its draws."""

    prompt: Conversation
    right: str
    likeliest: Answer
    draws: tuple[Answer, ...]


@dataclass(frozen=True)
class Stored:
    """What was drawn for validation and test rows."""

    valid: list[Drawn]
    test: list[Drawn]


class Replayed:
    """The stored draws as a model that can be asked again."""

    name = "stored"

    def __init__(self, drawn: Sequence[Drawn]) -> None:
        self._drawn = {tuple(one.prompt): one for one in drawn}

    def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        """The likeliest answers."""
        return [self._drawn[tuple(asked)].likeliest for asked in conversations]

    def sample(
        self, conversations: Sequence[Conversation], *, draws: Sequence[range], at_most_tokens: int, how: Sampling
    ) -> list[list[Answer]]:
        """The stored draws of these numbers; at temperature 0 the likeliest answer."""
        found = [self._drawn[tuple(asked)] for asked in conversations]
        if not how.temperature:
            return [[one.likeliest] * len(numbers) for one, numbers in zip(found, draws, strict=True)]
        return [[one.draws[number] for number in numbers] for one, numbers in zip(found, draws, strict=True)]


def _taught(line: Line, drawn: Sequence[Drawn]) -> dict[str, Any]:
    """What the validation rows' draws teach fusion and stopping, as the stage `reason` teaches them."""
    full = replace(line, paths=line.paths.full())
    job = Job.of(full, Replayed(drawn), at_most_tokens=AT_MOST_TOKENS)
    questions = job.chains([one.prompt for one in drawn])
    right = [line.read(one.right) or "" for one in drawn]
    return {
        "fusion": line.fusion.learn(list(zip(questions, right, strict=True))) if line.fusion else {},
        "stopping": line.paths.fit([[chain.conclusion for chain in chains] for chains in questions]),
    }


def _judged(line: Line, drawn: Sequence[Drawn], *, likeliest: bool = False) -> Judged:
    """Every question answered by the line from stored draws."""
    if likeliest:
        chains = [[line.chain(one.prompt, one.likeliest, "direct")] for one in drawn]
    else:
        job = Job.of(line, Replayed(drawn), at_most_tokens=AT_MOST_TOKENS)
        chains = job.chains([one.prompt for one in drawn])
    conclusions = [line.fuse(some).conclusion for some in chains]
    right = [said is not None and said == line.read(one.right) for said, one in zip(conclusions, drawn, strict=True)]
    return Judged(np.array(right, float), np.array([sum(chain.tokens for chain in some) for some in chains], float))


def _stored(kind: str, seed: int, rows: int, asked: Asked) -> Stored:
    """Train, if that is not done, and draw what is not drawn yet; of answers alone only the likeliest."""
    from tunesmith.core.examples import read_examples

    folder = FOLDER / f"{kind.replace(' ', '-')}-{rows}-{seed}"
    if not (folder / "start.yaml").is_file():
        _projects.make(folder, "worked-steps", lambda project: _change(project, kind, seed, rows))
    shown = _projects.run(folder, {}, asked)
    runs = {stage["stage"]: folder / ".tunesmith" / "runs" / stage["stage"] / stage["run"] for stage in shown["stages"]}
    draws = DRAWS if kind == "chains" else 0
    found = {}
    wanted: tuple[tuple[Split, int], ...] = (("valid", LEARN_ROWS if draws else 0), ("test", TEST_ROWS))
    for split, most in wanted:
        examples = list(read_examples(runs["data"] / "examples.parquet", split))[:most]
        found[split] = _drawn(folder, split, examples, draws)
    return Stored(**found)


def _change(project: Any, kind: str, seed: int, rows: int) -> None:
    project["seed"] = seed
    project["data"]["sources"][0]["path"] = f"data/{KINDS[kind]}"
    project["data"]["at_most_rows"] = {"train": rows, "valid": LEARN_ROWS, "test": TEST_ROWS}
    project["tune"] = {"strategy": {"use": "lora", "rank": 32, "upper": 0.5}, "epochs": 1, "rows_per_step": 16}
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
    from tunesmith.records.store import RunStore

    project = load(folder)
    with open_last(project, RunStore(project.home), Events(), base=False) as talk:
        model: Any = talk.answerer
        for start in range(0, len(examples), AT_ONCE):
            some = examples[start : start + AT_ONCE]
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

    pooled = {
        name: Judged(np.concatenate([j.right for j in some]), np.concatenate([j.tokens for j in some]))
        for name, some in found.items()
    }
    for name, judged in pooled.items():
        clusters = [str(n) for n in range(len(judged.right))]
        whole = share_interval(judged.right, clusters, level=LEVEL)
        told = f"{judged.right.mean():.3f} ({whole.low:.3f} to {whole.high:.3f})"
        yield f"  {name}: {told}, {len(judged.right)} questions"
    full = f"vote of {DRAWS}"
    pairs = [("chains, the likeliest", "answers alone, the likeliest"), ("line until settled", full)]
    pairs += [("vote until settled", full), *((f"line of {n}", f"vote of {n}") for n in (3, 5, 8, 16, DRAWS))]
    for one, other in pairs:
        a, b = pooled[one], pooled[other]
        clusters = [str(n) for n in range(len(a.right))]
        apart = newcombe_interval(a.right, b.right, clusters, level=LEVEL)
        share = mean(a.tokens) / mean(b.tokens)
        yield (
            f"  {one} against {other}: {a.right.mean() - b.right.mean():+.3f} ({apart.low:+.3f} to {apart.high:+.3f}), "
            f"{share:.1%} of the tokens"
        )
