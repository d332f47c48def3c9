"""The run store: every run of a stage is made once, whole, and can be found again.

The folder is the truth, the database the index: a run whose folder stands but which the index does not know
(a kill between the rename and the insert) is found and indexed anew.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from tunesmith.core.errors import CorruptArtifact, Problem, UserError, did_you_mean, shorten
from tunesmith.core.files import atomic_folder, sweep_temporary, write_json
from tunesmith.core.types import Artifact
from tunesmith.records.database import RUNS, Database
from tunesmith.records.manifest import (
    MANIFEST,
    RunRecord,
    artifact_id,
    check_files,
    check_identity,
    describe_files,
    library_versions,
    open_artifact,
    plain,
    read_record,
    stored_fields,
)
from tunesmith.records.sessions import SessionRecord, Sessions, now

__all__ = ["RunRecord", "RunStore", "SessionRecord"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


class RunStore(Sessions):
    """Runs, their artifacts, and sessions, in one home folder.

    Layout: `<home>/runs/<stage>/<run>/` the files of a run with `artifact.json`; `<home>/scratch/<run>/` what a
    run keeps across kills; `<home>/locks/`; `<home>/records.db` unless a database URL is given.

    Args:
        home: the folder; made if absent.
        url: database URL for PostgreSQL; None: SQLite in `home`.

    Raises:
        UserError: the database cannot be used; says why and what to do.
    """

    def __init__(self, home: Path, *, url: str | None = None) -> None:
        self.home = home.absolute()
        super().__init__(Database(self.home, url=url))

    def make(
        self,
        run: str,
        stage: str,
        *,
        inputs: Sequence[str],
        spec: Mapping[str, Any],
        code: Mapping[str, str],
        work: Callable[[Path], Artifact],
        again: bool = False,
    ) -> Artifact:
        """The artifact of `run`: found if it was made before, made by `work` otherwise, or if it is asked `again`.

        `work` is given an empty folder for its files and returns the artifact without id, run, inputs and
        folder. The folder appears in the store in one step when everything in it, the record included, is on
        the disk; a kill before that leaves nothing (or what `again` was to replace), and what `work` raises
        passes through. While one process makes a run, others that ask for the same one wait for it. The run's
        scratch folder is dropped at the end.

        Raises:
            ValueError: `run` or `stage` is not a plain name, or the artifact holds NaN or infinity.
            CorruptArtifact: the run was made before, but its files are no longer whole.
        """
        folder = self._place(stage, run)
        with self.database.lock(run):
            sweep_temporary(folder.parent, of=run)  # only this run's: writers of others may be at work beside it
            if not again and (found := self.find(run)) is not None:
                return found
            started = now()
            with atomic_folder(folder) as out:
                artifact = work(out)
                files, fields = describe_files(out), stored_fields(artifact, self.home)
                record = RunRecord(
                    run=run,
                    stage=stage,
                    type=type(artifact).__name__,
                    artifact=artifact_id(type(artifact), fields, files),
                    inputs=tuple(inputs),
                    spec=plain(spec),
                    code=dict(code),
                    files=files,
                    versions=library_versions(),
                    started=started,
                    ended=now(),
                    fields=fields,
                )
                write_json(out / MANIFEST, record.model_dump(mode="json"))
            self._index(record)
            self.drop_scratch(run)
        return open_artifact(folder, record, self.home)

    def find(self, run: str) -> Artifact | None:
        """The artifact that `run` made, opened; None if there is no such run.

        That all files are there with their sizes is checked here; their content by `verify`.

        Raises:
            CorruptArtifact: a file is missing or cut, or the record is unreadable.
        """
        folder = self._folder(run)
        if folder is None:
            return None
        record = read_record(folder)
        check_files(folder, record, digests=False)
        self._index(record)
        return open_artifact(folder, record, self.home)

    def verify(self, run: str) -> Artifact | None:
        """Like `find`, with every digest computed again, and the artifact's id with them.

        Raises:
            CorruptArtifact: names the first file that is missing, altered or added.
        """
        artifact = self.find(run)
        if artifact is None or artifact.folder is None:
            return None
        record = read_record(artifact.folder)
        check_files(artifact.folder, record, digests=True)
        check_identity(artifact.folder, record)
        return artifact

    def record(self, run: str) -> RunRecord:
        """How `run` was made.

        Raises:
            UserError: there is no such run; the nearest ones are told.
            CorruptArtifact: its record is unreadable.
        """
        folder = self._folder(run)
        if folder is None:
            hint = did_you_mean(run, [folder.name for folder in self._folders()])
            raise UserError(Problem("unknown-run", f"there is no run '{shorten(run)}'", hint, value=shorten(run)))
        return read_record(folder)

    def runs(self) -> list[RunRecord]:
        """All runs whose folders stand, newest first; those with an unreadable record are left to `damaged`."""
        records = [record for _, record in self._read_all() if isinstance(record, RunRecord)]
        return sorted(records, key=lambda record: (record.ended, record.run), reverse=True)

    def damaged(self) -> dict[str, str]:
        """Run -> what is wrong with it, for every run whose record cannot be read or whose files are not whole."""
        found: dict[str, str] = {}
        for folder, record in self._read_all():
            try:
                if isinstance(record, CorruptArtifact):
                    raise record
                check_files(folder, record, digests=False)
            except CorruptArtifact as error:
                found[folder.name] = str(error)
        return found

    def scratch(self, run: str) -> Path:
        """The folder of `run` that survives kills; made if absent, dropped when the run has been made."""
        folder = self.home / "scratch" / _plain_name(run)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def drop_scratch(self, run: str) -> None:
        """Remove the scratch folder of `run`, if there is one."""
        shutil.rmtree(self.home / "scratch" / _plain_name(run), ignore_errors=True)

    def _place(self, stage: str, run: str) -> Path:
        return self.home / "runs" / _plain_name(stage) / _plain_name(run)

    def _folder(self, run: str) -> Path | None:
        """Where `run` stands, the index asked first; None if nowhere."""
        if not _NAME.fullmatch(run):
            return None
        with self.database.reading() as connection:
            stage = connection.execute(sa.select(RUNS.c.stage).where(RUNS.c.run == run)).scalar()
        if stage is not None and (indexed := self._place(stage, run)).is_dir():
            return indexed
        return next((folder for folder in self._folders() if folder.name == run), None)

    def _folders(self) -> Iterator[Path]:
        for folder in sorted((self.home / "runs").glob("*/*")):
            if folder.is_dir() and _NAME.fullmatch(folder.name):
                yield folder

    def _read_all(self) -> Iterator[tuple[Path, RunRecord | CorruptArtifact]]:
        for folder in self._folders():
            try:
                yield folder, read_record(folder)
            except CorruptArtifact as error:
                yield folder, error

    def _index(self, record: RunRecord) -> None:
        """Enter a run into the index, or mend its entry."""
        row = {"run": record.run, "stage": record.stage, "artifact": record.artifact, "ended": record.ended}
        query = sa.select(*(RUNS.c[name] for name in row)).where(RUNS.c.run == record.run)
        with self.database.reading() as connection:
            known = connection.execute(query).first()
        if known is not None and known._mapping == row:
            return
        # a second process that found the same run may have entered it a moment before
        with contextlib.suppress(IntegrityError), self.database.writing() as connection:
            connection.execute(sa.delete(RUNS).where(RUNS.c.run == record.run))
            connection.execute(sa.insert(RUNS).values(row))


def _plain_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"'{name}' is not a plain name: letters, digits, '.', '_' and '-' only")
    return name
