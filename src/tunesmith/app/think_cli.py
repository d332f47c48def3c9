"""The commands `ask` and `learn`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tunesmith.app import think_pages
from tunesmith.app.doing import HERE, Json, ProjectPath, do
from tunesmith.app.workshop import Workshop

Tokens = Annotated[int, typer.Option(min=1, help="Longest chain in tokens; the project's limit counts if lower.")]
Base = Annotated[bool, typer.Option("--base", help="Ask the base model instead of the expert.")]
Url = Annotated[str | None, typer.Option("--endpoint", help="Ask a served model: an OpenAI-compatible address.")]
Model = Annotated[str, typer.Option(help="The model's name at the endpoint.")]
Key = Annotated[str, typer.Option(help="Environment variable with the endpoint's key; none is sent without.")]


def ask(  # noqa: PLR0913 - the options of a command
    question: Annotated[str, typer.Argument(help="What to ask.")],
    project: Annotated[Path, typer.Option(help="Project folder or file.", show_default="here")] = HERE,
    paths: Annotated[bool, typer.Option("--paths", help="Show chains, findings, votes and the posterior.")] = False,
    draws: Annotated[int | None, typer.Option(min=1, help="Chains to draw; default: as the project has it.")] = None,
    at_most_tokens: Tokens = 256,
    base: Base = False,
    endpoint: Url = None,
    model: Model = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Ask the expert of the last run one question, by its way of reasoning.

    Example: tunesmith ask "A tablet holds 50 mg. How many make 200 mg?" --project steps --paths
    """
    how: dict[str, Any] = {"base": base, "draws": draws, "at_most_tokens": at_most_tokens}
    served: dict[str, Any] = {"endpoint": endpoint, "model": model, "key": key}

    def work(workshop: Workshop) -> Any:
        return workshop.ask(project, question, **how, **served)

    do(work, as_json=as_json, show=think_pages.chains if paths else think_pages.answer)


def learn(  # noqa: PLR0913 - the options of a command
    project: ProjectPath = HERE,
    to: Annotated[
        Path | None, typer.Option(help="File to write, inside the project.", show_default="data/learnt.jsonl")
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="Chains to draw of each question.")] = 4,
    rows: Annotated[int | None, typer.Option(min=1, help="Most training questions to ask.")] = None,
    at_most_tokens: Tokens = 256,
    base: Base = False,
    endpoint: Url = None,
    model: Model = "",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Let the expert solve its training questions; chains that pass become training rows of the next run.

    Example: tunesmith learn steps --draws 4
    """
    how: dict[str, Any] = {"base": base, "draws": draws, "at_most_tokens": at_most_tokens}
    served: dict[str, Any] = {"endpoint": endpoint, "model": model, "key": key}

    def work(workshop: Workshop) -> Any:
        return workshop.learn(project, to, rows=rows, **how, **served)

    do(work, as_json=as_json, show=think_pages.learnt)
