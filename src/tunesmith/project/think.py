"""Asking a project's expert so that its reasoning shows, and letting it learn from its own chains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.events import Events
from tunesmith.core.examples import read_examples
from tunesmith.core.shelf import problems_of
from tunesmith.core.spec import Use
from tunesmith.core.types import Base, Expert, Message, Profile
from tunesmith.models.endpoint import Endpoint
from tunesmith.project.file import Project
from tunesmith.project.show import last_made
from tunesmith.project.talk import system_of
from tunesmith.reason.line import Job, Line
from tunesmith.records.store import RunStore


@dataclass(frozen=True)
class Asked:
    """Whom to ask, and how.

    Args:
        base: the base model instead of the expert, with the project's way of reasoning.
        draws: chains of each question, drawn in the ways of asking that the project names; None: as the project has it.
        endpoint: where the model is served; None: it is opened on this machine.
        model: its name there.
        at_most_tokens: of one chain; the project's own limit counts where it is lower.
    """

    base: bool = False
    draws: int | None = None
    endpoint: Endpoint | None = None
    model: str = ""
    at_most_tokens: int = 131_072

    @classmethod
    def of(cls, *, endpoint: str | None = None, model: str = "", key: str = "", **how: Any) -> Asked:
        """The same with the endpoint as an address, the model's name there and the variable of its key.

        Raises:
            UserError: a part of the endpoint is missing, or is no address.
        """
        if not endpoint:
            if model or key:
                message = "--model and --key are for a served model, and no --endpoint is named"
                raise UserError(Problem("unused-setting", message, "add --endpoint URL", "--endpoint"))
            return cls(**how)
        if not model:
            message = "--endpoint needs the model's name there"
            raise UserError(Problem("missing-key", message, "add --model NAME", "--model"))
        try:
            return cls(endpoint=Endpoint(url=endpoint, key=key), model=model, **how)
        except ValidationError as error:
            raise UserError(problems_of(error, "--endpoint", list(Endpoint.model_fields))) from None


def ask(project: Project, store: RunStore, events: Events, question: str, how: Asked) -> dict[str, Any]:
    """One question: answer, chains, findings, votes and posterior as plain JSON values.

    Raises:
        UserError: no run has come far enough, or the model cannot be asked.
    """
    turns = [*system_of(project, store), Message(role="user", content=question)]
    with _at_work(project, store, events, how) as job:
        (chains,) = job.chains([turns])
        answer = job.line.answer(chains)
        fused = job.line.fuse(chains) if len(chains) > 1 or "fused" in answer.evidence else None
    return {
        "model": "base" if how.base else "expert",
        "question": question,
        "text": answer.text,
        "reasoning": answer.reasoning,
        "confidence": answer.confidence,
        "abstained": bool(answer.evidence.get("abstained")),
        "usage": answer.usage.model_dump(mode="json"),
        "chains": [{**chain.model_dump(mode="json"), "tokens": chain.tokens} for chain in chains],
        "fused": fused.model_dump(mode="json") if fused else None,
    }


def learn(
    project: Project, store: RunStore, events: Events, to: Path, how: Asked, *, at_most_rows: int | None = None
) -> dict[str, Any]:
    """Chains for the training rows of the last snapshot; those that pass are written to `to`. Counts as JSON values.

    Raises:
        UserError: no run has come far enough, the model cannot be asked, or `to` lies outside the project.
    """
    from tunesmith.reason.distil import learn as distil

    if project.root not in to.resolve().parents:
        hint = f"write it below {project.root}, so that the project can name it as a source"
        raise UserError(Problem("path-outside", "the rows would lie outside the project", hint, str(to)))
    snapshot = last_made(project, store, "data")
    rows = read_examples(snapshot.file("examples.parquet"), "train")[:at_most_rows]

    def told(done: int, total: int) -> None:
        events.tell("progress", "learn", "questions", done=done, total=total, unit="questions")

    with _at_work(project, store, events, how) as job:
        result = distil(job, rows, to, on_progress=told)
    return {"file": str(to), **vars(result), "left": dict(result.left)}


@contextmanager
def _at_work(project: Project, store: RunStore, events: Events, how: Asked) -> Iterator[Job]:
    """The line with its model, which is freed at the end."""
    from tunesmith.models.endpoint import EndpointAnswerer
    from tunesmith.reason.answerer import ExpertAnswerer, line_of, open_answerer

    thing: Any = last_made(project, store, "model" if how.base else "reason")
    expert = thing if isinstance(thing, Expert) else _as_expert(project, store, thing)
    line = _line(line_of(expert), expert, how.draws)
    limit = min(how.at_most_tokens, int(expert.reasoning["at_most_tokens"]))
    if how.endpoint is not None:
        events.tell("note", "ask", f"asking {how.model} at {how.endpoint.url}")
        with EndpointAnswerer(how.endpoint, how.model, where="--endpoint") as model:
            yield Job.of(line, model, at_most_tokens=limit)
        return
    events.tell("note", "ask", f"opening {'the base model' if how.base else 'the expert'} {thing.id}")
    with open_answerer(expert) as answerer:
        yield Job.of(line, answerer.model if isinstance(answerer, ExpertAnswerer) else answerer, at_most_tokens=limit)


def _as_expert(project: Project, store: RunStore, base: Base) -> Expert:
    """A base model with the project's way of reasoning; ways that need a library have an empty one."""
    from tunesmith.reason.stage import recipe

    profile: Any = last_made(project, store, "profile")
    profile = Profile.model_validate(profile.model_dump())
    told = recipe(project.spec.reason, profile, root=project.root, seed=project.spec.seed)
    return Expert(id=base.id, checkpoint=None, base_path=base.path, reasoning=told)


def _line(line: Line, expert: Expert, draws: int | None) -> Line:
    """The expert's line, or one that draws so many chains in the same ways of asking."""
    if draws is None:
        return line
    from tunesmith.reason.paths.self_consistency import SelfConsistency

    paths = expert.reasoning["paths"]
    ask = tuple(Use.model_validate(use) for use in paths.get("ask", [paths]))
    return replace(line, paths=SelfConsistency(ask=ask, draws=draws))
