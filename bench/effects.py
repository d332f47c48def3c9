"""What methods do on real tasks: each arm is a whole project, run, judged by its gates, and compared.

An arm changes some settings of the sections it names (`effects.json`) and nothing else, so that base and held-out rows
are the same for all arms of a seed. Seeds change the split, the order and the adapter. Everything is kept in
`.bench/effects`: what was run once is read again, so arms can be run one by one and told together. The medical task
needs short general rows, made from the alpaca rows of `../shared/data/formats`.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
from bench import _dirt, _manual, _process, _projects
from bench._frame import Asked, Column, Outcome

SEEDS = 2
ARMS = Path(__file__).with_suffix(".json")
FOLDER = _process.ROOT / ".bench" / "effects"
GENERAL = _process.ROOT / ".." / "shared" / "data" / "formats" / "alpaca_en_demo.json"
GENERAL_ROWS = 200
GENERAL_CHARACTERS = 240
"""Longest general row: question and answer together are then about as long as a step's other rows."""

TRAIN_ROWS, TEST_ROWS = 1200, 300
"""Of the medical task; credit has 800 and 100 unless fewer are asked for."""

EPOCHS = {"medical": 1, "medical-dirty": 1, "medical-manual": 1, "credit": 3}
"""Credit says "good" to everybody after one: there is no gap to close then."""

LEVEL = 0.95

Line = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """What one arm came to with one seed.

    Args:
        lines: of `answers.jsonl`, one for each held-out row.
        measures: name -> of the expert over all rows: value, low, high.
        checkpoint: of the training.
    """

    lines: list[Line]
    measures: dict[str, Line]
    checkpoint: Line

    def right(self) -> dict[str, float]:
        """Row id -> 1 where the expert's label was right."""
        return {line["id"]: float(line["scores"]["expert"]["label"]["value"] or 0.0) for line in self.lines}


def run(asked: Asked) -> Outcome:
    """Every question's arms in turn, seed by seed; the first arm of a question is what the others are compared with."""
    outcome = Outcome(
        (
            Column("accuracy", "accuracy", 3, compared=False),
            Column("retention", "retention", 3, compared=False),
            Column("perplexity", "perplexity x", 3, compared=False),
            Column("seconds", "seconds"),
            Column("peak_gb", "peak GB", 2),
            Column("trained", "weights trained", compared=False),
        )
    )
    for question in json.loads(ARMS.read_text(encoding="utf-8")):
        arms = {name: changes for name, changes in question["arms"].items() if _wanted(name, question, asked)}
        if not arms:
            continue
        found: dict[str, list[Run]] = {name: [] for name in arms}
        for seed in range(asked.rounds or SEEDS):
            for name, changes in arms.items():
                found[name].append(_arm(question["task"], seed, changes, asked))
                outcome.add(f"{question['task']}: {name}", _figures(found[name][-1]))
                print(f"  seed {seed}, {question['task']}, {name}: {_told(found[name][-1])}", flush=True)
        outcome.notes += [question["question"], *_compared(question["task"], found)]
    return outcome


def _wanted(name: str, question: Line, asked: Asked) -> bool:
    known = f"{question['task']}: {name}"
    return not asked.only or any(part.lower() in known.lower() for part in asked.only)


def _arm(task: str, seed: int, changes: Line, asked: Asked) -> Run:
    """Run the project of `task` and `seed` with `changes` to its sections; what was run before is only read."""
    rows = f"-{asked.rows}" if asked.rows else ""
    folder = FOLDER / f"{task}{rows}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)  # another benchmark may be at work on another arm of this project
        if not (folder / "start.yaml").is_file():
            _make(task, seed, folder, rows=asked.rows)
        return _read(folder, _projects.run(folder, changes, asked))


def _make(task: str, seed: int, folder: Path, *, rows: int | None) -> None:
    """The project as the recipe writes it, made small enough for runs of a few minutes."""

    def change(project: Any) -> None:
        project["seed"] = seed
        project["tune"] |= {
            "epochs": EPOCHS[task],
            "rows_per_step": 16,
            "precision": "bf16" if _projects.fast() else "auto",
        }
        if task == "credit":
            project["evaluate"] = {"likelihood_rows": 20, "latency_rows": 1}
            if rows:
                project["data"]["at_most_rows"] = {"train": rows}
            return
        project["data"]["at_most_rows"] = {"train": rows or TRAIN_ROWS, "valid": 50, "test": TEST_ROWS}
        project["evaluate"] |= {"at_most_rows": TEST_ROWS, "likelihood_rows": 20, "latency_rows": 1}
        source = {"use": "conversations", "path": "data/general.jsonl", "split": "general", "licence": "Apache-2.0"}
        project["data"]["sources"].append(source)
        with (folder / "data" / "general.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in _general_rows())
        if task == "medical-dirty":
            _dirty(project, folder, seed)
        if task == "medical-manual":
            _with_manual(project, folder, seed, rows)

    _projects.make(folder, "finance-credit" if task == "credit" else "medical-coding", change)


def _dirty(project: Any, folder: Path, seed: int) -> None:
    """Training rows get dirt, held-out rows stay clean; what cleans them is on, and an arm can switch it off."""
    whole, general = project["data"]["sources"]
    files = _dirt.divide(
        folder / "data" / "diagnoses.csv", text="diagnosis", answer="chapter", group="category", seed=seed
    )
    parts = [{**whole, "path": f"data/{file.name}", "split": split} for split, file in files.items()]
    project["data"]["sources"] = [*parts, general]
    project["data"]["clean"] = [{"use": name} for name in ("unicode", "html", "boilerplate_lines")]


def _with_manual(project: Any, folder: Path, seed: int, rows: int | None) -> None:
    """The same questions split beforehand, and entries of a manual as plain text, which a phase may read or not."""
    whole, general = project["data"]["sources"]
    train, test = rows or TRAIN_ROWS, min(rows or TEST_ROWS, TEST_ROWS)
    files = _manual.write(folder / "data" / "diagnoses.csv", train=train, test=test, seed=seed)
    parts = [{**whole, "path": f"data/{files[split].name}", "split": split} for split in ("train", "valid", "test")]
    manual = {"use": "text", "path": f"data/{files['manual'].name}", "licence": whole["licence"]}
    project["data"]["sources"] = [*parts, manual, general]
    project["data"]["at_most_rows"] = {}


def _general_rows() -> list[Line]:
    if not GENERAL.is_file():
        raise SystemExit(f"effects: the general rows of {GENERAL.name} are wanted in {GENERAL.parent}")
    rows = json.loads(GENERAL.read_text(encoding="utf-8"))
    return [row for row in rows if sum(map(len, row.values())) <= GENERAL_CHARACTERS][:GENERAL_ROWS]


def _read(folder: Path, shown: Line) -> Run:
    runs = {stage["stage"]: folder / ".tunesmith" / "runs" / stage["stage"] / stage["run"] for stage in shown["stages"]}
    lines = [json.loads(line) for line in (runs["evaluate"] / "answers.jsonl").read_text("utf-8").splitlines()]
    measures = {m["name"]: m for m in shown["measures"] if m["model"] == "expert" and m["slice"] == "all"}
    return Run(lines, measures, json.loads((runs["tune"] / "artifact.json").read_text("utf-8"))["fields"])


def _figures(one: Run) -> dict[str, float]:
    return {
        "accuracy": mean(one.right().values()),
        "retention": one.measures["retention"]["value"],
        "perplexity": one.measures["general_perplexity_ratio"]["value"],
        "seconds": one.checkpoint["seconds"],
        "peak_gb": one.checkpoint["peak_memory_gb"],
        "trained": one.checkpoint["trainable"],
    }


def _told(one: Run) -> str:
    kept = one.measures["retention"]
    figures = _figures(one)
    interval = f"({kept['low']:.3f} to {kept['high']:.3f})" if kept["low"] is not None else ""
    return (
        f"accuracy {figures['accuracy']:.3f}, retention {kept['value']:.3f} {interval}, "
        f"perplexity x {figures['perplexity']:.3f}, {figures['seconds']:.0f} s"
    )


def _compared(task: str, found: dict[str, list[Run]]) -> Iterator[str]:
    """Accuracy over all seeds with its interval, and against the first arm row by row; on credit the gaps as well.

    Where arms clean held-out rows differently, rows that both have are compared, and told.
    """
    from tunesmith.evaluate.statistics import newcombe_interval, share_interval, sign_flip_p

    first: dict[str, Mark] = {}
    for name, runs in found.items():
        marks = _pooled(runs)
        right, clusters = _columns(marks, sorted(marks))
        whole = share_interval(right, clusters, level=LEVEL)
        told = f"  {task}: {name}: accuracy {right.mean():.3f} ({whole.low:.3f} to {whole.high:.3f}), {len(right)} rows"
        if first:
            both = sorted(first.keys() & marks.keys())
            ours, clusters = _columns(marks, both)
            theirs, _ = _columns(first, both)
            apart = newcombe_interval(ours, theirs, clusters, level=LEVEL)
            p = sign_flip_p(ours - theirs, clusters)
            told += f"; {ours.mean() - theirs.mean():+.3f} ({apart.low:+.3f} to {apart.high:+.3f}), p {p:.3f}"
            told += f" on the {len(both)} rows of both" if len(both) < len(right) else ""
        first = first or marks
        yield told
        if task == "credit":
            yield from _gaps(name, runs)


class Mark(NamedTuple):
    """1 where the expert's label was right, and what the row hangs together with."""

    right: float
    cluster: str


def _pooled(runs: list[Run]) -> dict[str, Mark]:
    """Seed and row -> its mark."""
    marks: dict[str, Mark] = {}
    for seed, one in enumerate(runs):
        groups = {line["id"]: line["group"] or line["id"] for line in one.lines}
        marks |= {f"{seed}:{key}": Mark(right, f"{seed}:{groups[key]}") for key, right in one.right().items()}
    return marks


def _columns(marks: dict[str, Mark], keys: Sequence[str]) -> tuple[Any, list[str]]:
    return np.array([marks[key].right for key in keys]), [marks[key].cluster for key in keys]


def _gaps(name: str, runs: list[Run]) -> Iterator[str]:
    """Equalised odds: the larger of the two gaps in the rate of "good" among truly good and among truly bad.

    A gap is never negative, so its interval is no test of zero.
    """
    from tunesmith.evaluate.statistics import Sampling, bootstrap_interval

    lines = [line for one in runs for line in one.lines]
    clusters = [f"{seed}:{line['id']}" for seed, one in enumerate(runs) for line in one.lines]
    for attribute in ("sex", "age_group"):
        gap = _gap(lines, attribute)
        point = float(gap(np.ones((1, len(lines))))[0])
        whole = bootstrap_interval(gap, clusters, Sampling(LEVEL))
        told = f"{point:.3f} ({whole.low:.3f} to {whole.high:.3f})" if whole.low is not None else f"{point:.3f}"
        yield f"    {name}: equalised odds gap by {attribute}: {told}"


def _gap(lines: list[Line], attribute: str) -> Any:
    """weights_RN -> values_R: the gap where row n counts `weights[r, n]` times."""
    said = np.array([line["expert"]["text"].strip() == "good" for line in lines], dtype=float)
    truth = np.array([line["reference"] for line in lines])
    group = np.array([line["attributes"][attribute] for line in lines])
    cells = [[(truth == label) & (group == value) for value in np.unique(group)] for label in ("good", "bad")]

    def gap(weights: Any) -> Any:
        with np.errstate(invalid="ignore"):  # a group that a resample has no row of has no rate
            rates = [[weights @ (said * cell) / (weights @ cell.astype(float)) for cell in row] for row in cells]
        return np.max([np.nanmax(row, axis=0) - np.nanmin(row, axis=0) for row in rates], axis=0)

    return gap
