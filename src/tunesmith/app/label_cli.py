"""The commands `tunesmith label ...`: queues, rounds, labelling on the terminal, rules, agreement, exchange."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tunesmith.app import label_pages as pages
from tunesmith.app.doing import Json, do
from tunesmith.app.terminal import listening
from tunesmith.app.workshop import Workshop
from tunesmith.core.errors import Problem, UserError
from tunesmith.core.events import Events

label_app = typer.Typer(help="Label rows: queues, double-blind rounds, rules, agreement.", no_args_is_help=True)

Project = Annotated[Path, typer.Argument(help="Project folder or file.")]
QueueName = Annotated[str, typer.Argument(help="Name of the queue.", metavar="QUEUE")]
Name = Annotated[str | None, typer.Option("--as", help="Who you are; default: your name on this machine.")]
Row = Annotated[str, typer.Argument(help="Id of the row.", metavar="ROW")]
Label = Annotated[str, typer.Argument(help="One of the queue's labels.", metavar="LABEL")]
Reason = Annotated[str, typer.Option(help="Why, in a few words.")]
Predictions = Annotated[
    Path | None, typer.Option(help='JSONL of a model: {"row": ID, "label": LABEL, "probabilities": {...}}.')
]
Merge = Annotated[
    Literal["dawid_skene", "majority"],
    typer.Option(help="How labels that differ are merged."),
]


def _with(
    project: Path, name: str | None, work: Callable[[Any], Any], *, as_json: bool, show: Callable[..., None]
) -> Any:
    """Do one thing with the queues of a project, as somebody."""
    return do(lambda w: work(w.labelling(project, name=_who(name))), as_json=as_json, show=show)


def _who(name: str | None) -> str:
    if name is not None:
        return name
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        hint = "--as YOUR-NAME"
        raise UserError(Problem("no-name", "this machine does not say who you are", hint, "--as")) from None


@label_app.command()
def new(  # noqa: PLR0913 - a command's options are its parameters
    project: Project,
    queue: QueueName,
    source: Annotated[
        str | None, typer.Option("--from", help="A file in the project; default: the newest snapshot.")
    ] = None,
    template: Annotated[str | None, typer.Option(help="What to label of a row of a table: '{column}'.")] = None,
    split: Annotated[
        Literal["train", "valid", "test", "general"] | None, typer.Option(help="Only this split of the snapshot.")
    ] = None,
    labels: Annotated[str, typer.Option(help="Labels, divided by commas; default: profile.labels.")] = "",
    question: Annotated[str, typer.Option(help="What is asked of every row.")] = "",
    experts: Annotated[int, typer.Option(min=1, help="People who label each row independently.")] = 3,
    scale: Annotated[
        Literal["nominal", "ordinal", "interval"], typer.Option(help="How labels differ; their order counts.")
    ] = "nominal",
    at_most: Annotated[int | None, typer.Option(min=1, help="So many rows, drawn by the project's seed.")] = None,
    name: Name = None,
    as_json: Json = False,
) -> None:
    """Make a queue of rows to label; you become its manager.

    Example: tunesmith label new coding triage --from notes.csv --template "{text}" --labels urgent,routine
    """
    answers = [label.strip() for label in labels.split(",")] if labels else []
    _with(
        project,
        name,
        lambda w: w.create(
            queue,
            labels=answers,
            source=source,
            template=template,
            split=split,
            at_most=at_most,
            question=question,
            experts=experts,
            scale=scale,
        ),
        as_json=as_json,
        show=pages.status,
    )


@label_app.command()
def member(
    project: Project,
    queue: QueueName,
    who: Annotated[str, typer.Argument(help="Name of the person.", metavar="PERSON")],
    role: Annotated[str, typer.Option(help="annotator, adjudicator, manager, or none.")],
    name: Name = None,
    as_json: Json = False,
) -> None:
    """Give a person their role in a queue.

    Example: tunesmith label member coding triage alice --role annotator
    """
    _with(project, name, lambda w: w.desk(queue).member(who, role), as_json=as_json, show=pages.plain)


@label_app.command(name="open")
def open_round(
    project: Project,
    queue: QueueName,
    rows: Annotated[str, typer.Option(help="all; unsure: no rule was sure; review: flagged ones.")] = "all",
    name: Name = None,
    as_json: Json = False,
) -> None:
    """Open a round; from now on annotators label without seeing each other or the rules.

    Example: tunesmith label open coding triage
    """
    _with(project, name, lambda w: w.desk(queue).open_round(rows), as_json=as_json, show=pages.status)


@label_app.command(name="close")
def close_round(
    project: Project,
    queue: QueueName,
    anyway: Annotated[str, typer.Option(help="Close it although rows lack answers; the reason.")] = "",
    name: Name = None,
    as_json: Json = False,
) -> None:
    """Close the open round; its labels can be seen, adjudicated and exported from now on.

    Example: tunesmith label close coding triage
    """
    _with(project, name, lambda w: w.desk(queue).close_round(anyway=anyway), as_json=as_json, show=pages.status)


@label_app.command()
def status(project: Project, queue: QueueName, name: Name = None, as_json: Json = False) -> None:
    """Say how far a queue is.

    Example: tunesmith label status coding triage
    """
    _with(project, name, lambda w: w.desk(queue).status(), as_json=as_json, show=pages.status)


@label_app.command()
def queues(project: Project, name: Name = None, as_json: Json = False) -> None:
    """List the queues of a project.

    Example: tunesmith label queues coding
    """
    _with(project, name, lambda w: {"queues": w.queues()}, as_json=as_json, show=pages.plain)


@label_app.command()
def work(project: Project, queue: QueueName, name: Name = None, as_json: Json = False) -> None:
    """Label on the terminal, one row at a time; every answer is kept at once.

    Example: tunesmith label work coding triage --as alice
    """
    from tunesmith.app.label_terminal import label_rows

    _at_terminal(project, queue, name, label_rows, as_json=as_json)


@label_app.command()
def adjudicate(project: Project, queue: QueueName, name: Name = None, as_json: Json = False) -> None:
    """Decide rows on which annotators disagree, on the terminal; with --json they are listed.

    Example: tunesmith label adjudicate coding triage --as carol
    """
    from tunesmith.app.label_terminal import settle_rows

    if as_json:
        _with(project, name, lambda w: w.desk(queue).disputes(), as_json=True, show=pages.plain)
    else:
        _at_terminal(project, queue, name, settle_rows, as_json=False)


def _at_terminal(project: Path, queue: str, name: str | None, session: Callable[[Any], None], *, as_json: bool) -> None:
    if as_json:
        hint = "tunesmith label next --json, then tunesmith label set --json"
        raise UserError(Problem("needs-a-person", "this command talks to a person", hint, "--json"))
    with listening() as sink:
        session(Workshop(Events(sink)).labelling(project, name=_who(name)).desk(queue))


@label_app.command(name="next")
def next_row(project: Project, queue: QueueName, name: Name = None, as_json: Json = False) -> None:
    """Give the next row to label.

    Example: tunesmith label next coding triage --as alice --json
    """
    _with(project, name, lambda w: w.desk(queue).next(), as_json=as_json, show=pages.row)


@label_app.command(name="set")
def set_label(
    project: Project, queue: QueueName, row: Row, label: Label, name: Name = None, as_json: Json = False
) -> None:
    """Label one row.

    Example: tunesmith label set coding triage ex-0123456789abcdef urgent --as alice
    """
    _with(project, name, lambda w: w.desk(queue).label(row, label), as_json=as_json, show=pages.plain)


@label_app.command()
def skip(
    project: Project, queue: QueueName, row: Row, reason: Reason, name: Name = None, as_json: Json = False
) -> None:
    """Say why a row cannot be labelled.

    Example: tunesmith label skip coding triage ex-0123456789abcdef --reason "cut off" --as alice
    """
    _with(project, name, lambda w: w.desk(queue).skip(row, reason), as_json=as_json, show=pages.plain)


@label_app.command()
def undo(project: Project, queue: QueueName, name: Name = None, as_json: Json = False) -> None:
    """Take your last answer in the open round back.

    Example: tunesmith label undo coding triage --as alice
    """
    _with(project, name, lambda w: w.desk(queue).undo(), as_json=as_json, show=pages.plain)


@label_app.command()
def decide(
    project: Project,
    queue: QueueName,
    row: Row,
    label: Label,
    reason: Reason,
    name: Name = None,
    as_json: Json = False,
) -> None:
    """Decide a row on which annotators disagree.

    Example: tunesmith label decide coding triage ex-0123456789abcdef urgent --reason "guideline 4" --as carol
    """
    _with(project, name, lambda w: w.desk(queue).decide(row, label, reason), as_json=as_json, show=pages.plain)


@label_app.command()
def agreement(project: Project, queue: QueueName, name: Name = None, as_json: Json = False) -> None:
    """Measure how far annotators agree: Krippendorff's alpha, Cohen's kappa of every pair.

    Example: tunesmith label agreement coding triage
    """
    _with(project, name, lambda w: w.agreement(queue), as_json=as_json, show=pages.agreement)


@label_app.command()
def rules(  # noqa: PLR0913 - a command's options are its parameters
    project: Project,
    queue: QueueName,
    rules: Annotated[Path | None, typer.Option(help="YAML list of keyword and regex rules.")] = None,
    functions: Annotated[
        Path | None, typer.Option(help="Python file with labelling functions. THIS FILE IS RUN.")
    ] = None,
    predictions: Predictions = None,
    model: Annotated[
        Literal["dawid_skene", "snorkel", "majority"], typer.Option(help="How what they say is merged.")
    ] = "dawid_skene",
    threshold: Annotated[float, typer.Option(min=0.0, max=1.0, help="Rows below this probability go to people.")] = 0.9,
    save: Annotated[bool, typer.Option("--save", help="Keep the labels; else they are only reported.")] = False,
    name: Name = None,
    as_json: Json = False,
) -> None:
    """Let labelling functions label: coverage, overlap, conflict, accuracy, and one probability a row.

    Example: tunesmith label rules coding triage --rules rules.yaml --functions mine.py
    """
    _with(
        project,
        name,
        lambda w: w.rules(
            queue,
            rules=rules,
            functions=functions,
            predictions=predictions,
            model=model,
            threshold=threshold,
            save=save,
        ),
        as_json=as_json,
        show=pages.rules,
    )


@label_app.command()
def errors(
    project: Project, queue: QueueName, predictions: Predictions = None, name: Name = None, as_json: Json = False
) -> None:
    """Flag labels that look wrong, for review; nothing is changed.

    Example: tunesmith label errors coding triage
    """
    _with(project, name, lambda w: w.errors(queue, predictions=predictions), as_json=as_json, show=pages.errors)


@label_app.command()
def consistency(
    project: Project,
    queue: QueueName,
    predictions: Predictions = None,
    ask: Annotated[str | None, typer.Option(help="Ask the project's expert or base model.")] = None,
    name: Name = None,
    as_json: Json = False,
) -> None:
    """Compare a model with the people; rows on which they differ go to review.

    Example: tunesmith label consistency coding triage --ask expert
    """
    _with(
        project,
        name,
        lambda w: w.consistency(queue, predictions=predictions, ask=ask),
        as_json=as_json,
        show=pages.consistency,
    )


@label_app.command()
def review(project: Project, queue: QueueName, name: Name = None, as_json: Json = False) -> None:
    """List the rows that were flagged, with the reasons.

    Example: tunesmith label review coding triage
    """
    _with(project, name, lambda w: w.review(queue), as_json=as_json, show=pages.review)


@label_app.command()
def export(  # noqa: PLR0913 - a command's options are its parameters
    project: Project,
    queue: QueueName,
    to: Annotated[Path, typer.Option(help="File to write.")],
    form: Annotated[
        Literal["tunesmith", "label-studio", "argilla"], typer.Option("--format", help="For whom.")
    ] = "tunesmith",
    merge: Merge = "dawid_skene",
    sure: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Least probability that settles a row under dawid_skene.")
    ] = 0.8,
    name: Name = None,
    as_json: Json = False,
) -> None:
    """Write the labels: as rows that data.sources reads, or for another labelling program.

    Example: tunesmith label export coding triage --to labelled.jsonl
    """
    _with(
        project,
        name,
        lambda w: w.export(queue, to, form=form, merge=merge, sure=sure),
        as_json=as_json,
        show=pages.plain,
    )


@label_app.command(name="import")
def import_labels(
    project: Project,
    queue: QueueName,
    file: Annotated[Path, typer.Argument(help="What the other program exported.", metavar="FILE")],
    form: Annotated[Literal["label-studio", "argilla"], typer.Option("--format", help="From where.")],
    name: Name = None,
    as_json: Json = False,
) -> None:
    """Bring labels from another labelling program into the open round: all of the file, or nothing.

    Example: tunesmith label import coding triage project-1.json --format label-studio
    """
    _with(project, name, lambda w: w.bring(queue, file, form=form), as_json=as_json, show=pages.plain)
