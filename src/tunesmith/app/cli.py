"""The command line: thin words around `Workshop`.

Exit codes: 0 passed, 1 our fault, 2 the user's input, 3 stopped by a gate, 130 interrupted. `--json` prints one
JSON document on standard output; progress goes to standard error.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from tunesmith import __version__
from tunesmith.app import pages, snapshots, think_cli
from tunesmith.app.comparison import comparison
from tunesmith.app.doing import HERE, Json, ProjectPath
from tunesmith.app.doing import do as _do
from tunesmith.app.ending import ended
from tunesmith.app.label_cli import label_app
from tunesmith.app.terminal import listening
from tunesmith.app.workshop import Form, Workshop
from tunesmith.core.errors import EXIT_PASSED, EXIT_USER_INPUT, Problem, UserError
from tunesmith.core.events import Events

app = typer.Typer(
    name="tunesmith",
    help="The trainer that can say no: one project file in, a proven (or refused) domain expert out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
data_app = typer.Typer(help="Look at data.", no_args_is_help=True)
audit_app = typer.Typer(help="The hash-chained ledger of runs, verdicts and overrides.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(audit_app, name="audit")
app.add_typer(label_app, name="label")


def _stopped(result: dict[str, Any]) -> None:
    if result["exit_code"] != EXIT_PASSED:
        raise typer.Exit(result["exit_code"])


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(help="Folder to make.")],
    recipe: Annotated[str, typer.Option(help="medical-coding or finance-credit; `tunesmith list` shows all.")],
    sabotage: Annotated[bool, typer.Option(help="Spoil the project on purpose, to see the gates at work.")] = False,
    as_json: Json = False,
) -> None:
    """Make a project folder from a recipe.

    Example: tunesmith new coding --recipe medical-coding
    """
    _do(
        lambda w: {"file": str(w.new(folder, recipe=recipe, sabotage=sabotage))},
        as_json=as_json,
        show=lambda console, result: console.print(f"wrote {result['file']}\nnext: tunesmith plan {folder}"),
    )


@app.command()
def check(project: ProjectPath = HERE, as_json: Json = False) -> None:
    """Read the project file and tell all that is wrong with it at once.

    Example: tunesmith check coding
    """
    _do(
        lambda w: w.check(project),
        as_json=as_json,
        show=lambda c, r: c.print(f"{r['file']}: nothing is wrong", markup=False),
    )


@app.command()
def fill(
    project: ProjectPath = HERE,
    to: Annotated[Path | None, typer.Option(help="File to write instead of standard output.")] = None,
    as_json: Json = False,
) -> None:
    """Print the project file with every default written out and explained.

    Example: tunesmith fill coding --to full.yaml
    """

    def work(workshop: Workshop) -> dict[str, Any]:
        text = workshop.fill(project, to=to)
        return {"yaml": text, "file": str(to) if to else None}

    def show(console: Console, result: dict[str, Any]) -> None:
        if to is None:
            print(result["yaml"], end="")
        else:
            console.print(f"wrote {to}", markup=False)

    _do(work, as_json=as_json, show=show)


@app.command()
def plan(project: ProjectPath = HERE, as_json: Json = False) -> None:
    """Show what a run would do, with the reason for every setting and the estimate; starts nothing.

    Example: tunesmith plan coding
    """
    _do(lambda w: w.plan(project), as_json=as_json, show=pages.plan)


@app.command()
def run(
    project: ProjectPath = HERE,
    until: Annotated[str | None, typer.Option(help="Last stage to run, e.g. data or tokens.")] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Look at every gate even after one said no; still exits 3.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Reuse nothing from earlier runs.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the training and the work on data.")] = 1,
    executor: Annotated[str, typer.Option(help="Where the work on data is done: local or ray.")] = "local",
    as_json: Json = False,
) -> None:
    """Run the line: data, training, evaluation, verdict. Stops with exit code 3 where a gate says no.

    Example: tunesmith run coding
    """
    result = _do(
        lambda w: w.run(project, until=until, keep_going=keep_going, fresh=fresh, workers=workers, executor=executor),
        as_json=as_json,
        show=pages.outcome,
    )
    _stopped(result)


@app.command()
def show(
    project: ProjectPath = HERE,
    open_report: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
    as_json: Json = False,
) -> None:
    """Show the last run: targets, measures, verdicts, where the report is.

    Example: tunesmith show coding --json
    """
    result = _do(lambda w: w.show(project), as_json=as_json, show=pages.outcome)
    if open_report and result["report"]:
        typer.launch(result["report"])


@app.command()
def report(
    project: ProjectPath = HERE,
    pdf: Annotated[Path | None, typer.Option(help="PDF file to print it to; needs Chromium, Chrome or Edge.")] = None,
    language: Annotated[
        Literal["en", "zh"] | None, typer.Option(help="Language of the PDF; default: the report's own.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell where the report of the last run is, or print it as a PDF with the same content.

    Example: tunesmith report coding --pdf coding.pdf --language zh
    """
    _do(
        lambda w: w.report(project, pdf=pdf, language=language),
        as_json=as_json,
        show=lambda c, r: c.print(f"wrote {r['pdf']}" if r["pdf"] else r["report"], markup=False, soft_wrap=True),
    )


@app.command()
def compare(
    first: Annotated[
        str, typer.Argument(help="A project, a report's folder, or the id of a run of the stage evaluate.")
    ],
    second: Annotated[str, typer.Argument(help="The same, for the one that is judged against the first.")],
    project: Annotated[Path, typer.Option(help="Project in whose runs ids are looked for.")] = HERE,
    as_json: Json = False,
) -> None:
    """Compare two reports row by row with the paired test. Judges nothing: exit code 0.

    Example: tunesmith compare run-0123456789abcdef coding --project coding
    """
    _do(lambda w: w.compare(first, second, project=project), as_json=as_json, show=comparison)


@app.command()
def runs(project: ProjectPath = HERE, as_json: Json = False) -> None:
    """List the runs of a project, newest first.

    Example: tunesmith runs coding
    """
    _do(lambda w: w.runs(project), as_json=as_json, show=pages.runs)


@app.command()
def chat(
    project: ProjectPath = HERE,
    base: Annotated[bool, typer.Option("--base", help="Talk to the base model instead of the expert.")] = False,
    say: Annotated[str | None, typer.Option(help="Say this once and leave.")] = None,
    at_most_tokens: Annotated[int, typer.Option(min=1, help="Longest answer in tokens.")] = 256,
    as_json: Json = False,
) -> None:
    """Talk to the expert of the last run, or to its base model.

    Example: tunesmith chat coding --say "Acute appendicitis"
    """
    from tunesmith.app.chat import converse, once

    if say is not None:
        _do(
            lambda w: once(w, project, say, base=base, at_most_tokens=at_most_tokens),
            as_json=as_json,
            show=pages.answer,
        )
        return
    if as_json:
        hint = 'tunesmith chat --json --say "Acute appendicitis"'
        raise UserError(Problem("no-question", "--json answers one question, and --say gives none", hint, "--json"))
    with listening() as sink:
        converse(Workshop(Events(sink)), project, base=base, at_most_tokens=at_most_tokens)


app.command()(think_cli.ask)
app.command()(think_cli.learn)


@app.command()
def export(
    project: Annotated[Path, typer.Argument(help="Project folder or file.")],
    to: Annotated[Path, typer.Option(help="Folder to make.")],
    form: Annotated[Form, typer.Option(help="What to write besides safetensors.")] = "safetensors",
    as_json: Json = False,
) -> None:
    """Write the last expert as one merged model that other tools load, if gate G5 finds it to be the measured one.

    Example: tunesmith export coding --to coding-model --form gguf-q8_0
    """
    _do(
        lambda w: {"folder": str(w.export(project, to, form=form))},
        as_json=as_json,
        show=lambda c, r: c.print(f"wrote {r['folder']}"),
    )


@app.command(name="list")
def list_components(as_json: Json = False) -> None:
    """List every component that a project file can name.

    Example: tunesmith list
    """
    _do(lambda w: w.shelves(), as_json=as_json, show=pages.shelves)


@app.command()
def fetch(name: Annotated[str, typer.Argument(help="A catalog model.")], as_json: Json = False) -> None:
    """Bring a model of the catalog onto this disk, checked by its digest.

    Example: tunesmith fetch smollm2-135m-instruct
    """
    _do(lambda w: {"folder": str(w.fetch(name))}, as_json=as_json, show=lambda c, r: c.print(r["folder"]))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what this machine can do.

    Example: tunesmith doctor
    """
    _do(lambda w: w.doctor(), as_json=as_json, show=pages.doctor)


@app.command()
def demo(
    recipe: Annotated[str, typer.Argument(help="A recipe.")] = "medical-coding",
    sabotage: Annotated[
        bool, typer.Option("--sabotage", help="The same, spoiled on purpose; must be stopped.")
    ] = False,
    folder: Annotated[Path | None, typer.Option(help="Where to make the project.")] = None,
    as_json: Json = False,
) -> None:
    """Make a recipe's project and run it: the quickest way to see the whole line on a real model.

    Example: tunesmith demo medical-coding --sabotage
    """
    place = folder or Path("demo") / (recipe + ("-sabotage" if sabotage else ""))

    def work(workshop: Workshop) -> dict[str, Any]:
        if not (place / "tunesmith.yaml").exists():
            workshop.new(place, recipe=recipe, sabotage=sabotage)
        return workshop.run(place, keep_going=sabotage)

    result = _do(work, as_json=as_json, show=pages.outcome)
    _stopped(result)


@data_app.command()
def preview(
    paths: Annotated[list[Path], typer.Argument(help="A project, or data files.")],
    model: Annotated[
        str | None, typer.Option(help="Model whose tokens to show; default: the project's or SmolLM2.")
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Rows to show of each file.")] = 3,
    as_json: Json = False,
) -> None:
    """Show rows as the model sees them: trained tokens in colour, prompt tokens dim, cut tokens struck out.

    Example: tunesmith data preview rows.jsonl
    """
    _do(lambda w: w.preview(paths, model=model, rows=rows), as_json=as_json, show=pages.preview)


@data_app.command()
def diff(
    old: Annotated[str, typer.Argument(help="A project, a snapshot's folder, or the id of a run of the stage data.")],
    new: Annotated[str, typer.Argument(help="The same, for the newer one.")],
    project: Annotated[Path, typer.Option(help="Project in whose runs ids are looked for.")] = HERE,
    rows: Annotated[int, typer.Option(min=0, help="Rows of each kind to show with their places.")] = 10,
    as_json: Json = False,
) -> None:
    """Show what differs between two snapshots: rows, counts, leaks, settings. Judges nothing: exit code 0.

    Example: tunesmith data diff run-0123456789abcdef coding --project coding
    """
    _do(
        lambda w: w.data_diff(old, new, project=project, shown=rows),
        as_json=as_json,
        show=snapshots.difference,
    )


@audit_app.command()
def verify(project: ProjectPath = HERE, as_json: Json = False) -> None:
    """Verify the ledger's hash chain; exit code 2 and the record's number if it was tampered with.

    Example: tunesmith audit verify coding
    """
    result = _do(lambda w: w.audit(project), as_json=as_json, show=pages.audit)
    if not result["intact"]:
        raise typer.Exit(EXIT_USER_INPUT)


@audit_app.command(name="list")
def audit_list(project: ProjectPath = HERE, as_json: Json = False) -> None:
    """List the ledger's records.

    Example: tunesmith audit list coding --json
    """
    _do(lambda w: w.audit(project), as_json=as_json, show=pages.ledger)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; every error that the user can mend ends without a traceback.

    SIGTERM, as schedulers send it, ends a command as Ctrl-C does: programs that it started are ended too, and what is
    open is closed.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(ended(lambda: app(standalone_mode=False)))


if __name__ == "__main__":
    main()
