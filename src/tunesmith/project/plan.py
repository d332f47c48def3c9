"""What a run would do, told before it starts: stages, chosen settings with reasons, estimate."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

from tunesmith.core.events import Events
from tunesmith.core.types import Artifact, Example, Snapshot, Tokens
from tunesmith.project.file import Project
from tunesmith.project.run import Runner
from tunesmith.project.trunk import TRUNK
from tunesmith.records.store import RunStore

_READ_AT_MOST = 20_000
_CHARACTERS_PER_TOKEN = 4.0
"""English text in a 50,000-word vocabulary; a rough figure until the stage `tokens` has counted."""


def plan(project: Project, store: RunStore) -> dict[str, Any]:
    """Stages (made or reused), settings with reason and source, estimate. Starts nothing, writes nothing.

    The estimate is exact where the stage `tokens` has been run with these settings, and rough (so called) before.
    """
    runner = Runner(project, store, Events())
    made: dict[type[Artifact], Artifact] = {}
    stages = []
    for stage in TRUNK:
        inputs = {name: made[kind] for name, kind in stage.needs.items() if kind in made}
        known = len(inputs) == len(stage.needs)
        found = store.find(runner.run_id(stage, inputs)) if known else None
        if found is not None:
            made[type(found)] = found
        what = "unchanged, will be reused" if found else "will be made" if known else "follows from what comes before"
        stages.append({"stage": stage.name, "makes": stage.makes.__name__, "what": what})
    rows = _rows(project, made)
    estimate, choice = _estimate(project, made, rows)
    return {
        "project": project.spec.name,
        "stages": stages,
        "settings": [*_settings(project, rows), *choice],
        "estimate": estimate | {"power": _power(project, made, rows)},
    }


def _power(project: Project, made: dict[type[Artifact], Artifact], rows: Rows) -> str:
    """Whether the held-out rows will be enough to see the difference that the project wants, told beforehand."""
    from tunesmith.evaluate.power import rows_needed

    spec, split, snapshot = project.spec.evaluate, project.spec.data.split, made.get(Snapshot)
    wanted = spec.power
    disagreement = max(wanted.difference, wanted.disagreement)
    needed = rows_needed(wanted.difference, disagreement=disagreement, alpha=1 - spec.level, power=wanted.power)
    if isinstance(snapshot, Snapshot):
        held, how = snapshot.splits.get("test", 0), "counted"
    else:
        held, how = round(rows.train * split.test / max(split.train, 1e-9)), "about"
        held = min(held, project.spec.data.at_most_rows.get("test", held))
    asked = min(held, spec.at_most_rows)
    verdict = "enough" if asked >= needed else "too few: a smaller difference would be `unknown`"
    return (
        f"{needed:,} rows show a difference of {wanted.difference:g} with a chance of {wanted.power:.0%} where "
        f"{disagreement:.0%} of the answers differ; {how} {asked:,} will be asked: {verdict}"
    )


@dataclass(frozen=True)
class Rows:
    """How much there is to train on.

    Args:
        train: training rows.
        row_tokens: mean length of a row in tokens.
        counted: whether that was counted, or guessed from the first source rows.
    """

    train: int
    row_tokens: float
    counted: bool


def _rows(project: Project, made: dict[type[Artifact], Artifact]) -> Rows:
    tokens, snapshot = made.get(Tokens), made.get(Snapshot)
    if isinstance(tokens, Tokens) and tokens.rows.get("train"):
        train = tokens.rows["train"]
        return Rows(train, tokens.tokens / train, counted=True)
    spec = project.spec.data
    lengths = list(islice(_lengths(project), _READ_AT_MOST))
    share = spec.split.train / (spec.split.train + spec.split.valid + spec.split.test)
    train = snapshot.splits.get("train", 0) if isinstance(snapshot, Snapshot) else round(share * len(lengths))
    train = min(train, spec.at_most_rows.get("train", train))
    return Rows(train, sum(lengths) / max(1, len(lengths)) / _CHARACTERS_PER_TOKEN, counted=False)


def _lengths(project: Project) -> Any:
    """Characters of each row of the domain that could be read."""
    from tunesmith.data.intake import SOURCES

    for index, use in enumerate(project.spec.data.sources):
        source = SOURCES.build(use, where=f"data.sources[{index}]")
        for item in source.read(project.root, project.spec.profile.labels):
            if isinstance(item, Example) and item.split != "general":
                yield sum(len(m.content) + len(m.reasoning or "") for m in item.messages)


def _shape(project: Project) -> Any:
    """The base model's shape, from its files or from the catalog; None where neither is known."""
    from tunesmith.models import catalog
    from tunesmith.models.load import locate
    from tunesmith.models.shape import shape_of_entry, shape_of_folder

    found = locate(project.spec.model, project.root)
    if found is not None:
        return shape_of_folder(found.path)
    entry = catalog.find(project.spec.model.use)
    return shape_of_entry(entry) if entry else None


def _settings(project: Project, rows: Rows) -> list[dict[str, Any]]:
    from tunesmith.tune.rules import resolve

    shape = _shape(project)
    if shape is None:
        return []
    _, choices = resolve(project.spec.tune, shape, rows.train)
    return [choice._asdict() for choice in choices]


def _estimate(
    project: Project, made: dict[type[Artifact], Artifact], rows: Rows
) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The estimate in words, and the setting that follows from it."""
    tokens = made.get(Tokens)
    if isinstance(tokens, Tokens) and "checkpointing" in tokens.estimate:
        return _told(tokens.estimate, "counted from the snapshot's tokens")
    shape = _shape(project)
    if shape is None:
        return {"unknown": "the model is not on this disk and the catalog does not know its shape"}, []
    from tunesmith.models.shape import with_weights
    from tunesmith.tune.feasible import choose_checkpointing
    from tunesmith.tune.method import this_machine
    from tunesmith.tune.predict import rough
    from tunesmith.tune.rules import resolve

    filled, _ = resolve(project.spec.tune, shape, rows.train)
    whole, machine = with_weights(shape), this_machine(project.root)

    def predicted(checkpointing: bool) -> dict[str, Any]:
        size = (rows.train, rows.row_tokens)
        return rough(filled, whole, size, machine=machine, checkpointing=checkpointing)

    found = choose_checkpointing(project.spec.tune, project.spec.profile.budget.memory_gb, predicted)
    how = f"rough: {rows.train:,} rows of about {rows.row_tokens:.0f} tokens; `run --until tokens` counts them"
    return _told(found, how)


def _told(found: dict[str, Any], how: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    minutes, gflops = found["minutes"], found["gflops"]
    choice = found["checkpointing"]
    told = {
        "memory": f"{found['memory_gb']:.1f} GB ({_parts(found['parts_gb'], 'GB')})",
        "training time": f"{minutes:.1f} minutes at {gflops:.0f} GFLOP/s measured on this machine "
        f"({_parts(found['parts_minutes'], 'min')})",
        "disk": f"{found['disk_gb']:.1f} GB",
        "how": how,
    }
    name = {"name": "activation_checkpointing", "source": "the estimate of memory"}
    return told, [{**name, **choice}]


def _parts(parts: dict[str, float], unit: str) -> str:
    """The largest parts, those that round to nothing left out."""
    large = sorted(((value, name) for name, value in parts.items() if value >= 0.05), reverse=True)
    return ", ".join(f"{name} {value:.1f} {unit}" for value, name in large) or "all parts are small"
