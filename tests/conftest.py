"""What takes seconds to make and is shared by the tests of the project and of the app: one finished run."""

from __future__ import annotations

import os
import shutil
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
