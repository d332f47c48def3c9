"""The stage `reason`: from a checkpoint to the expert that is shipped."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.examples import read_examples
from tunesmith.core.files import resolve_under, write_json
from tunesmith.core.protocols import Context
from tunesmith.core.types import Base, Checkpoint, Example, Expert, Profile, Snapshot
from tunesmith.models.engines import engine_problem
from tunesmith.reason.effort import effort
from tunesmith.reason.held_out import HeldOut
from tunesmith.reason.library import Library, question_of, solved
from tunesmith.reason.line import Job, Line
from tunesmith.reason.replay import Question, write_chains
from tunesmith.reason.shelf import CHECKS, FUSIONS, PATHS
from tunesmith.reason.spec import ReasonSpec

NAME = "reason"
VERSION = "3"

ADAPTER, MODEL = "adapter", "model"
"""Folders inside a checkpoint: an adapter beside its base, or a whole model that was trained itself."""

TAUGHT, CHAINS, REPLAYED = "taught.json", "chains.jsonl", "replayed.json"
"""Files of an expert: what fusion and stopping were taught, the chains that did, and what fewer would have given."""

_ROWS_AT_ONCE = 32


def check(spec: ReasonSpec, root: Path) -> list[Problem]:
    """Everything that is wrong with the section."""
    found = PATHS.problems(spec.paths, where="reason.paths")
    for n, use in enumerate(spec.check):
        found += CHECKS.problems(use, where=f"reason.check[{n}]")
    if spec.fuse:
        found += FUSIONS.problems(spec.fuse, where="reason.fuse")
    if problem := engine_problem(spec.engine):
        found.append(problem)
    if found:
        return found
    try:  # what components find wrong with each other's settings
        PATHS.build(spec.paths, where="reason.paths")
    except UserError as error:
        return list(error.problems)
    return []


def recipe(spec: ReasonSpec, profile: Profile, *, root: Path, seed: int) -> dict[str, Any]:
    """How an expert reasons as JSON values, every default written out, paths of checks absolute; see `Line.of`.

    Raises:
        UserError: a component is unknown or its settings are wrong.
    """
    paths = PATHS.settings(spec.paths, where="reason.paths")
    return {
        "paths": _plain(paths),
        "sampling": {**spec.sampling.model_dump(), "seed": seed},
        "engine": spec.engine,
        "calculator": spec.calculator,
        "check": [
            _placed(_plain(CHECKS.settings(use, where=f"reason.check[{n}]")), root) for n, use in enumerate(spec.check)
        ],
        "fuse": _plain(FUSIONS.settings(spec.fuse, where="reason.fuse")) if spec.fuse else None,
        "conclude": spec.conclude,
        "options": list(profile.labels),
        "abstain_below": spec.abstain_below,
        "at_most_tokens": spec.at_most_tokens,
    }


def run(
    spec: ReasonSpec,
    *,
    base: Base,
    profile: Profile,
    snapshot: Snapshot,
    checkpoint: Checkpoint,
    context: Context,
) -> Expert:
    """The expert: the trained model, its chat template and the way it reasons.

    The trained model is the base with the checkpoint's adapter, or the checkpoint's own model where all was trained.
    Ways that show solved examples get a library of training rows; fusion and stopping are taught on validation rows.
    Files: `library.jsonl` and `held_out.json` where there is a library, `taught.json`, `chains.jsonl` and
    `replayed.json` where something was taught.

    Raises:
        UserError: a component is unknown or its settings are wrong.
    """
    told = recipe(spec, profile, root=context.root, seed=context.seed)
    line = Line.of(told)
    whole = checkpoint.file(MODEL).is_dir()
    expert = Expert(
        checkpoint=checkpoint.id,
        base_path=str(checkpoint.file(MODEL)) if whole else base.path,
        adapter_path=None if whole else str(checkpoint.file(ADAPTER)),
        chat_template_hash=checkpoint.chat_template_hash,
        reasoning=told,
    )
    context.events.tell("note", NAME, f"the expert answers by '{told['paths']['use']}', {spec.at_most_tokens} tokens")
    with ExitStack() as stack:
        bare = expert.model_copy(update={"reasoning": {"engine": spec.engine, "calculator": spec.calculator}})
        model = functools.cache(lambda: stack.enter_context(context.open(bare)))

        def job(with_library: Library | None = None) -> Job:
            at_work = line if with_library is None else Line.of(told, library=with_library)
            return Job.of(at_work, model(), at_most_tokens=min(spec.at_most_tokens, base.context // 2))

        library = _library(line, snapshot, job, context)
        if spec.learn_rows and (line.fusion is not None or line.paths.full() is not line.paths):
            _teach(job(library), snapshot, spec.learn_rows, context)
    return expert


def _library(line: Line, snapshot: Snapshot, job: Callable[[], Job], context: Context) -> Library:
    """The solved examples that the ways of asking want, written down; refused ones are told."""
    rows = read_examples(snapshot.file("examples.parquet"))
    entries = line.paths.prepare([row for row in rows if row.split == "train"], job)
    if not entries:
        return Library()
    held_out = HeldOut.of(question_of(row.prompt) for row in rows if row.split in ("valid", "test"))
    library, refused = Library(held_out=held_out).grown(entries)
    library.write(context.out)
    counts = ", ".join(f"{count} {why}" for why, count in sorted(refused.items())) or "none"
    context.events.tell("note", NAME, f"{len(library)} solved examples in the library, refused: {counts}", **refused)
    return library


def _teach(job: Job, snapshot: Snapshot, at_most: int, context: Context) -> None:
    """Draw all chains of validation rows, write them down, and teach fusion and stopping with them."""
    rows = [row for row in read_examples(snapshot.file("examples.parquet"), "valid") if solved(row)]
    known = [(row, right) for row in rows if (right := job.line.read(row.reference)) is not None][:at_most]
    if not known:
        message = "no validation row has an answer to compare with: fusion and stopping keep their defaults"
        context.events.tell("warning", NAME, message)
        return
    paths = job.line.paths
    questions = _drawn(replace(job, line=replace(job.line, paths=paths.full())), known, context)
    write_chains(context.out / CHAINS, questions)
    line = job.line.taught([(question.chains, question.right or "") for question in questions])
    taught = {"fusion": line.learnt, "stopping": line.stopping}
    write_json(context.out / TAUGHT, taught)
    write_json(context.out / REPLAYED, effort(job.line, questions))
    context.events.tell("note", NAME, f"fusion and stopping were taught on {len(questions)} validation rows")


def _drawn(job: Job, known: Sequence[tuple[Example, str]], context: Context) -> list[Question]:
    questions: list[Question] = []
    for start in range(0, len(known), _ROWS_AT_ONCE):
        some = known[start : start + _ROWS_AT_ONCE]
        for (row, right), chains in zip(some, job.chains([row.prompt for row, _ in some]), strict=True):
            questions.append(Question(id=row.id, conversation=row.prompt, chains=tuple(chains), right=right))
        context.events.tell(
            "progress", NAME, "chains of validation rows", done=len(questions), total=len(known), unit="rows"
        )
    return questions


def _placed(settings: dict[str, Any], root: Path) -> dict[str, Any]:
    """Settings with a file that they name made absolute; it must lie inside the project."""
    return {**settings, "path": str(resolve_under(root, settings["path"]))} if "path" in settings else settings


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as JSON values: uses of other components as mappings."""

    def plain(value: Any) -> Any:
        if hasattr(value, "model_dump"):
            return value.model_dump(mode="json")
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    return {name: plain(value) for name, value in settings.items()}
