"""The service: every face of tunesmith (command line, studio, Python) calls these methods."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from tunesmith.core.errors import Problem, UserError, did_you_mean
from tunesmith.core.events import Events
from tunesmith.core.files import atomic_folder, write_text
from tunesmith.project.forms import Form as Form


class Workshop:
    """What one can do with projects.

    Args:
        events: the stream that tells what happens; a silent one by default.

    Every method takes the project's folder (or file) and raises UserError for what the user can mend.
    """

    def __init__(self, events: Events | None = None) -> None:
        self.events = events or Events()

    # -- projects ---------------------------------------------------------------------------------

    def new(self, folder: Path, *, recipe: str, sabotage: bool = False) -> Path:
        """Write an ordinary project folder from a recipe; the folder must not exist or be empty.

        Returns:
            The project file.
        """
        from tunesmith.project.recipes import RECIPES

        write = RECIPES.get(recipe.replace("-", "_"), where="--recipe")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            hint = "name a folder that does not exist yet"
            raise UserError(Problem("folder-exists", f"'{folder}' exists and is not empty", hint, path=str(folder)))
        if folder.exists():
            folder.rmdir()
        with atomic_folder(folder) as temporary:
            write(temporary, name=folder.name, events=self.events, sabotage=sabotage)
        from tunesmith.project.file import FILE_NAME

        return folder / FILE_NAME

    def check(self, path: Path) -> dict[str, Any]:
        """Read and check a project file; raises UserError with every problem at once."""
        from tunesmith.project.file import load

        project = load(path)
        return {"project": project.spec.name, "file": str(project.path), "problems": []}

    def fill(self, path: Path, *, to: Path | None = None) -> str:
        """The project file with every default written out and explained; also written to `to`, if that is given."""
        from tunesmith.project.file import load
        from tunesmith.project.fill import filled

        text = filled(load(path).spec)
        if to is not None:
            write_text(to, text)
        return text

    def plan(self, path: Path) -> dict[str, Any]:
        """What a run would do: stages (made or reused), settings with reason and source, estimate; starts nothing."""
        from tunesmith.project.file import load
        from tunesmith.project.plan import plan

        project = load(path)
        with self._written(project.home) as store:
            return plan(project, store)

    def run(
        self,
        path: Path,
        *,
        until: str | None = None,
        keep_going: bool = False,
        fresh: bool = False,
        workers: int = 1,
        executor: str = "local",
    ) -> dict[str, Any]:
        """Run the line; the result is that of `show`, with the time of each stage.

        Args:
            path: the project.
            until: last stage to run.
            keep_going: look at every gate even after one has said no.
            fresh: do not reuse earlier runs.
            workers: processes that share the training and the work on data.
            executor: where the work on data is done: `local` or `ray`.
        """
        from tunesmith.project.file import load
        from tunesmith.project.run import Runner
        from tunesmith.project.show import show
        from tunesmith.project.trunk import TRUNK

        project = load(path)
        names = [stage.name for stage in TRUNK]
        if until is not None and until not in names:
            raise UserError(Problem("unknown-stage", f"no stage '{until}'", did_you_mean(until, names), "--until"))
        store = self._store(project.home)
        outcome = Runner(project, store, self.events, fresh=fresh, workers=workers, executor=executor).run(
            until=until, keep_going=keep_going
        )
        told: dict[str, Any] = show(project, store, session_id=outcome.session)
        return told

    def show(self, path: Path) -> dict[str, Any]:
        """The last run of a project: gates, measures, targets, stages, where the report is.

        Raises:
            UserError: the project has not been run yet.
        """
        from tunesmith.project.file import load
        from tunesmith.project.show import show

        project = load(path)
        with self._written(project.home) as store:
            return show(project, store)

    def report(
        self, path: Path, *, pdf: Path | None = None, language: Literal["en", "zh"] | None = None
    ) -> dict[str, Any]:
        """Where the report of the last run is, and the same printed as PDF.

        Args:
            path: the project.
            pdf: file to print it to; None: it is not printed.
            language: of the PDF; None: the report's own.

        Raises:
            UserError: there is no report yet, or what printing takes is not there, see `evaluate.report.pdf.write_pdf`.
        """
        told = self.show(path)
        if told["report"] is None:
            hint = f"tunesmith run {path}; `tunesmith show {path}` tells what stopped it"
            raise UserError(Problem("no-report", "the last run did not reach the evaluation", hint, path=str(path)))
        if pdf is not None:
            from tunesmith.evaluate.report.pdf import write_pdf

            write_pdf(Path(told["report"]), pdf, language=language)
        return {"report": told["report"], "pdf": str(pdf) if pdf else None}

    def compare(self, first: str, second: str, *, project: Path = Path()) -> dict[str, Any]:
        """What differs between two reports, second minus first, row by row with the paired test.

        Args:
            first: a project (its last report), the folder of a report, or the id of a run of the stage evaluate.
            second: the same.
            project: the project in whose runs ids are looked for.
        """
        from tunesmith.project.comparing import compare_reports

        return compare_reports(first, second, project=project)

    def runs(self, path: Path) -> list[dict[str, Any]]:
        """Every run of the whole line, newest first."""
        from tunesmith.project.file import load
        from tunesmith.project.show import runs

        project = load(path)
        with self._written(project.home) as store:
            return runs(project, store)

    def export(self, path: Path, to: Path, *, form: Form = "safetensors") -> Path:
        """Write the last expert as one merged model folder that other tools load, see `project.export.export`."""
        from tunesmith.project.export import export
        from tunesmith.project.file import load

        project = load(path)
        with self._written(project.home) as store:
            return export(project, store, to, form=form)

    # -- data and models --------------------------------------------------------------------------

    def preview(self, paths: Sequence[Path], *, model: str | None = None, rows: int = 3) -> list[dict[str, Any]]:
        """Rows of a project or of data files as the model will see them: each token with its trained flag."""
        from tunesmith.project.preview import preview

        return preview(paths, model=model, rows=rows, events=self.events)

    def data_diff(self, old: str, new: str, *, project: Path = Path(), shown: int = 10) -> dict[str, Any]:
        """What differs between two snapshots: rows, counts, leaks, settings.

        Args:
            old: a project (its last snapshot), the folder of a snapshot, or the id of a run of the stage data.
            new: the same, for the later one.
            project: the project in whose runs ids are looked for.
            shown: rows of each kind that are told with their places.
        """
        from tunesmith.project.data_diff import data_diff

        return data_diff(old, new, project=project, shown=shown)

    def fetch(self, name: str) -> Path:
        """Bring a catalog model onto this disk; the only method that uses the network by itself."""
        from tunesmith.models.load import resolve
        from tunesmith.models.spec import ModelSpec

        return resolve(ModelSpec(use=name), Path.cwd(), self.events).path

    def doctor(self) -> dict[str, Any]:
        """What this machine can do: hardware, libraries, models at hand."""
        from tunesmith.project.doctor import doctor

        return doctor()

    def shelves(self) -> dict[str, list[dict[str, str]]]:
        """Every component by kind, with its one-line description."""
        from tunesmith.project.shelves import SHELVES

        return {s.kind: [{"name": n, "about": s.about(n)} for n in s.names()] for s in SHELVES}

    @contextmanager
    def talk(self, path: Path, *, base: bool = False) -> Iterator[Any]:
        """An answerer to chat with: the last expert of a project, or its base model; freed at the end."""
        from tunesmith.project.file import load
        from tunesmith.project.talk import open_last

        project = load(path)
        with (
            self._written(project.home) as store,
            open_last(project, store, self.events, base=base) as answerer,
        ):
            yield answerer

    def ask(self, path: Path, question: str, **how: Any) -> dict[str, Any]:
        """One question to the last expert: answer, chains, findings, votes and posterior.

        Args:
            path: the project.
            question: what to ask; the project's system turn stands before it.
            how: `base` (the base model, by the project's way of reasoning), `draws` (chains; None: as the project has
                it), `at_most_tokens` (of a chain); `endpoint` (address), `model` (its name there) and `key`
                (environment variable) of a served model.
        """
        from tunesmith.project.file import load
        from tunesmith.project.think import Asked, ask

        project = load(path)
        with self._written(project.home) as store:
            return ask(project, store, self.events, question, Asked.of(**how))

    def learn(self, path: Path, to: Path | None = None, *, rows: int | None = None, **how: Any) -> dict[str, Any]:
        """Let the last expert solve its training questions, and write the chains that pass as training rows.

        Args:
            path: the project.
            to: file to write, inside the project; None: `data/learnt.jsonl`.
            rows: most questions; None: all.
            how: as in `ask`.
        """
        from tunesmith.project.file import load
        from tunesmith.project.think import Asked, learn

        project = load(path)
        with self._written(project.home) as store:
            file = to or project.root / "data" / "learnt.jsonl"
            return learn(project, store, self.events, file, Asked.of(**how), at_most_rows=rows)

    def labelling(self, path: Path, *, name: str) -> Any:
        """The labelling queues of a project for the person `name`: see `tunesmith.app.labelling.Labelling`."""
        from tunesmith.app.labelling import Labelling
        from tunesmith.project.file import load

        project = load(path)
        return Labelling(project, self._store(project.home), self.events, name=name)

    # -- the ledger -------------------------------------------------------------------------------

    def audit(self, path: Path) -> dict[str, Any]:
        """Verify the project's ledger; problems name the record that was tampered with."""
        from tunesmith.project.file import load
        from tunesmith.records.ledger import Ledger

        with self._written(load(path).home) as store:
            ledger = Ledger(store)
            problems = ledger.verify()
            head = ledger.head()
            entries = [entry.as_dict() for entry in ledger.entries()]
        return {
            "intact": not problems,
            "problems": [p.as_dict() for p in problems],
            "records": len(entries),
            "head": {"seq": head[0], "hash": head[1]} if head else None,
            "entries": entries,
        }

    @contextmanager
    def _written(self, home: Path) -> Iterator[Any]:
        """The records as they were written; where there are none yet, empty ones that leave nothing behind."""
        if home.is_dir():
            yield self._store(home)
            return
        with tempfile.TemporaryDirectory() as empty:
            yield self._store(Path(empty))

    def _store(self, home: Path) -> Any:
        import os

        from tunesmith.records.store import RunStore

        return RunStore(home, url=os.environ.get("TUNESMITH_RECORDS_URL"))
