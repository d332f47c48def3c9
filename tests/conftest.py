"""What several rooms' tests share: one finished run, which takes seconds to make, and a schema on PostgreSQL."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from project_fakes import CommandLine, Ended, project_folder


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """No test cuts the power, so none waits for `fsync`, thousands of which were an eighth of the suite's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def command_line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The real command line, each call in a process of its own."""
    line = CommandLine(tmp_path_factory.mktemp("cache"))
    yield line
    line.close()


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory, command_line: CommandLine) -> tuple[Path, Ended]:
    """A project that was run once, `run --json`, to its end; not to be written to."""
    folder = project_folder(tmp_path_factory.mktemp("finished") / "colours")
    return folder, command_line("run", folder, "--json")


@pytest.fixture
def finished(first_run: tuple[Path, Ended], tmp_path: Path) -> Path:
    """A copy of the finished project at another place."""
    return Path(shutil.copytree(first_run[0], tmp_path / "colours"))


@pytest.fixture
def project(first_run: tuple[Path, Ended], tmp_path: Path) -> Path:
    """The same project before its first run."""
    return Path(shutil.copytree(first_run[0], tmp_path / "colours", ignore=shutil.ignore_patterns(".tunesmith")))


@pytest.fixture
def postgresql() -> Iterator[str]:
    """Address of an empty schema of this test on a PostgreSQL server, dropped afterwards."""
    given = os.environ.get("TUNESMITH_TEST_POSTGRES")
    if not given:
        pytest.skip("needs a PostgreSQL server: TUNESMITH_TEST_POSTGRES=postgresql://USER@HOST/NAME")
    pytest.importorskip("psycopg", reason="needs the driver: pip install 'tunesmith[postgresql]'", exc_type=ImportError)
    import sqlalchemy as sa

    schema = f"test_{uuid.uuid4().hex}"
    address = sa.make_url(given).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(address, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    within = address.set(drivername="postgresql").update_query_dict({"options": f"-csearch_path={schema}"})
    yield within.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
