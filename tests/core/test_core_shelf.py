"""Shelves: the folder is the catalogue, the signature is the settings, every mistake is told with its remedy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tunesmith.core.errors import MissingLibrary, UnknownComponent, UserError
from tunesmith.core.shelf import Shelf
from tunesmith.core.spec import Use

FILES = {
    "__init__.py": "",
    "_private.py": "raise RuntimeError('never imported')",
    "near_duplicates.py": '''
"""The file."""
from __future__ import annotations
from dataclasses import dataclass
from typing import Annotated
from pydantic import Field

@dataclass(frozen=True)
class NearDuplicates:
    """Drops rows that are nearly alike.

    More words.
    """

    threshold: Annotated[float, Field(gt=0, le=1)] = 0.85
    size: int = 5
''',
    "lower.py": '''
def lower(words: tuple[str, ...], *, deep: bool = False) -> tuple[tuple[str, ...], bool]:
    """Makes a pair."""
    return words, deep
''',
    "needy.py": "import a_library_that_nobody_has\n\nclass Needy:\n    '''Needs a library.'''\n",
    "broken.py": "import tunesmith.core.no_such_module\n",
}


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A shelf of its own, with one component of another package."""
    folder = tmp_path / "shelf_of_tests"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    (tmp_path / "other_package.py").write_text("class Foreign:\n    '''From elsewhere.'''\n")
    info = tmp_path / "other_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tunesmith.things]\nforeign = other_package:Foreign\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith(("shelf_of_tests", "other_package"))]:
        monkeypatch.delitem(sys.modules, name)
    return Shelf("things", "shelf_of_tests")


def only(error: UserError) -> tuple[str, str, str]:
    (problem,) = error.problems
    return problem.code, problem.path, problem.hint


def test_names_and_first_lines_are_read_without_importing(shelf: Shelf) -> None:
    assert shelf.names() == ["broken", "foreign", "lower", "near_duplicates", "needy"]
    assert shelf.about("near_duplicates") == "Drops rows that are nearly alike."
    assert shelf.about("lower") == "Makes a pair."
    assert shelf.about("needy") == "Needs a library."
    assert shelf.about("foreign") == "from the package other_package"
    assert shelf.about("none") == ""
    assert not any(name.startswith("shelf_of_tests.") for name in sys.modules)


def test_a_component_is_built_from_its_settings(shelf: Shelf) -> None:
    built = shelf.build({"use": "near_duplicates", "threshold": 0.5})
    assert (type(built).__name__, built.threshold, built.size) == ("NearDuplicates", 0.5, 5)
    assert shelf.build("near_duplicates").threshold == 0.85
    assert shelf.build(Use.model_validate({"use": "near_duplicates", "size": 3})).size == 3
    assert shelf.build({"use": "lower", "words": ["a"], "deep": True}) == (("a",), True)
    assert type(shelf.build("foreign")).__name__ == "Foreign"


def test_settings_are_written_out_with_the_name_first(shelf: Shelf) -> None:
    settings = shelf.settings({"use": "near_duplicates", "size": 7})
    assert list(settings.items()) == [("use", "near_duplicates"), ("threshold", 0.85), ("size", 7)]


@pytest.mark.parametrize("name", ["near_duplicate", "_private", "../near_duplicates", "os", "shelf_of_tests.lower", ""])
def test_only_files_of_the_shelf_can_be_named(shelf: Shelf, name: str) -> None:
    with pytest.raises(UnknownComponent) as caught:
        shelf.build({"use": name}, where="data.clean[0]")
    code, path, hint = only(caught.value)
    assert (code, path) == ("unknown-component", "data.clean[0]")
    if name == "near_duplicate":
        assert hint == "did you mean 'near_duplicates'?"


def test_a_missing_library_is_told_with_its_install_command(shelf: Shelf) -> None:
    with pytest.raises(MissingLibrary) as caught:
        shelf.build("needy", where="x")
    assert only(caught.value) == ("needs-library", "x", "pip install a_library_that_nobody_has")


def test_a_broken_import_of_our_own_is_our_fault(shelf: Shelf) -> None:
    with pytest.raises(ModuleNotFoundError):
        shelf.build("broken")


def test_every_wrong_setting_is_told_at_once(shelf: Shelf) -> None:
    problems = shelf.problems({"use": "near_duplicates", "threshold": 2, "size": "many", "treshold": 1}, where="c[0]")
    assert [(p.code, p.path) for p in problems] == [
        ("wrong-value", "c[0].threshold"),
        ("wrong-type", "c[0].size"),
        ("unknown-key", "c[0].treshold"),
    ]
    assert problems[2].hint == "did you mean 'threshold'?"
    assert [(p.code, p.path) for p in shelf.problems("lower", where="c")] == [("missing-key", "c.words")]
    assert shelf.problems("near_duplicates") == []


@pytest.mark.parametrize("use", [None, 3, [], {}, {"use": 3}, {"name": "lower"}])
def test_what_names_no_component_is_told(shelf: Shelf, use: object) -> None:
    (problem,) = shelf.problems(use, where="data.clean[1]")
    assert (problem.code, problem.path) == ("no-use", "data.clean[1]")
    assert "near_duplicates" in problem.hint
