"""The pages say what the program does: generated parts, project files, commands, links, the example component."""

from __future__ import annotations

import importlib.util
import inspect
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

from tunesmith.app.cli import app
from tunesmith.core.shelf import Shelf
from tunesmith.data.similarity import near_pairs
from tunesmith.project.file import load
from tunesmith.project.shelves import SHELVES
from tunesmith.project.trunk import TRUNK

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "README.zh-CN.md"])
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
DEV_WORDS = {"demo", "test", "lint", "bench", "help"}


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """(page, text) of every fenced block in `language`."""
    for page in PAGES:
        for found, text in FENCE.findall(page.read_text(encoding="utf-8")):
            if found == language:
                yield page.name, text


def test_generated_parts_are_up_to_date() -> None:
    stale = []
    made = generator()
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if made.filled(text) != text:
            stale.append(page.name)
    assert not stale, f"run `python docs/generate.py`: {stale} are out of date"


PROJECTS = [pytest.param(text, id=f"{page}-{n}") for n, (page, text) in enumerate(blocks("yaml")) if "schema:" in text]


@pytest.mark.parametrize("text", PROJECTS)
def test_every_project_file_that_is_shown_loads(text: str, tmp_path: Path) -> None:
    """The data files that it names are laid out with one row of the columns that it asks for."""
    (tmp_path / "tunesmith.yaml").write_text(text, encoding="utf-8")
    for source in YAML(typ="safe", pure=True).load(text)["data"]["sources"]:
        lay_out(source, tmp_path)
    load(tmp_path)


def lay_out(source: dict[str, Any], folder: Path) -> None:
    path = folder / source["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    if source["use"] == "conversations":
        turns = '[{"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}]'
        path.write_text(f'{{"messages": {turns}}}\n', encoding="utf-8")
        return
    columns = re.findall(r"{(\w+)}", source["template"])
    columns += [source[key] for key in ("answer", "group", "target") if key in source]
    columns = list(dict.fromkeys([*columns, *source.get("attributes", [])]))
    path.write_text(",".join(columns) + "\n" + ",".join("1" for _ in columns) + "\n", encoding="utf-8")


def shown_commands() -> list[Any]:
    """Every line of a plain block that calls tunesmith, `./dev WORD` included; comments and variables taken off."""
    found = {}
    for page, text in [*blocks(""), *blocks("sh")]:
        for line in text.splitlines():
            words = shlex.split(line, comments=True)
            while words and re.match(r"[A-Z_]+=", words[0]):
                words = words[1:]
            if words[:1] == ["tunesmith"] or (words[:1] == ["./dev"] and words[1] not in DEV_WORDS):
                found[tuple(words[1:])] = pytest.param(words[1:], id=f"{page}: {' '.join(words)}")
    return list(found.values())


@pytest.mark.parametrize("words", shown_commands())
def test_every_command_that_is_shown_exists_with_its_options(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    assert not getattr(command, "commands", {}), f"there is no word '{rest[0] if rest else ''}'"
    command.make_context("tunesmith", rest)


def test_the_chinese_readme_shows_what_the_english_one_shows() -> None:
    """The same sections, commands and gates; words differ, and so do comments."""
    english, chinese = (
        (ROOT / name).read_text(encoding="utf-8").replace("\r", "") for name in ("README.md", "README.zh-CN.md")
    )
    for pattern in (r"^#+ ", r"^\| (G\d) \|", r"^((?:tunesmith|\./dev) [^#\n]*?) *(?:#.*)?$", r"^<!-- [\w-]+ -->$"):
        assert re.findall(pattern, english, re.MULTILINE) == re.findall(pattern, chinese, re.MULTILINE), pattern


def test_commands_are_found_at_all() -> None:
    assert len(shown_commands()) > 15 and len(PROJECTS) >= 3


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for page in PAGES:
        prose = FENCE.sub("", page.read_text(encoding="utf-8"))
        for target in re.findall(r"\]\(([^)]+)\)", prose):
            name, _, anchor = target.partition("#")
            file = (page.parent / name).resolve() if name else page
            if "://" not in target and not (file.exists() and (not anchor or anchor in anchors(file))):
                broken.append(f"{page.name}: {target}")
    assert not broken


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_example_component_of_the_architecture_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four spaces become two; two stay; a setting that does not exist is told with the nearest one."""
    code = next(text for page, text in blocks("python") if page == "architecture.md")
    assert code.startswith("# src/tunesmith/data/clean/single_spaces.py\n")
    shelf_folder = tmp_path / "example_shelf"
    shelf_folder.mkdir()
    (shelf_folder / "__init__.py").touch()
    (shelf_folder / "single_spaces.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    shelf = Shelf("cleaners", "example_shelf")
    assert shelf.names() == ["single_spaces"]
    assert shelf.about("single_spaces") == "Long runs of spaces become short ones."
    cleaner = shelf.build({"use": "single_spaces", "at_most": 2})
    assert cleaner.clean("a    b  c d") == "a  b  c d"
    assert cleaner.clean(cleaner.clean("a    b")) == cleaner.clean("a    b")
    (problem,) = shelf.problems({"use": "single_spaces", "at_mots": 2})
    assert problem.code == "unknown-key" and "at_most" in problem.hint
    sys.modules.pop("example_shelf.single_spaces")


def test_the_architecture_page_has_the_trunk_as_it_is() -> None:
    """One line a stage, in the order of the trunk, with the parameters of its function and what it makes."""
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| (\w+) \| `([\w.]+)\.run\(spec: (\w+), \*, (.*)\) -> (\w+)` \|", text, re.MULTILINE)
    wanted = []
    for stage in TRUNK:
        parameters = list(inspect.signature(stage.module.run).parameters)
        section = stage._hints["spec"].__name__
        place = stage.path.removeprefix("tunesmith.")
        wanted.append((stage.name, place, section, ", ".join(parameters[1:]), stage.makes.__name__))
    assert lines == wanted


def test_the_architecture_page_names_every_shelf_with_its_folder() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    for shelf in SHELVES:
        folder = shelf.package.removeprefix("tunesmith.").replace(".", "/")
        assert f"| {shelf.kind} | `{folder}` |" in text


REASON_PAGES = ("data.md", "synthesis.md", "augmentation.md")


def test_the_data_page_names_every_reason_for_a_drop() -> None:
    told = "".join((DOCS / page).read_text(encoding="utf-8") for page in REASON_PAGES)
    room = ROOT / "src" / "tunesmith" / "data"
    code = "".join(file.read_text(encoding="utf-8") for file in room.rglob("*.py"))
    reasons = set(re.findall(r'(?:reason=|Unusable\()"([a-z0-9-]+)"', code))
    assert len(reasons) > 20
    assert {reason for reason in reasons if f"`{reason}`" not in told} == set()


@pytest.mark.parametrize("threshold, length", [(0.85, 66), (0.8, 49)])
def test_one_changed_letter_is_seen_from_the_length_on_that_the_data_page_says(threshold: float, length: int) -> None:
    """L characters have L - 4 five-grams; 5 go and 5 come: (L - 9) / (L + 1), 57/67 = 0.851 for 66, 56/66 = 0.848."""
    letters = "".join(chr(ord("a") + n) for n in range(26)) + "".join(chr(0x4E00 + n) for n in range(60))
    for size, seen in ((length, 1), (length - 1, 0)):
        one = letters[:size]
        other = one[: size // 2] + "#" + one[size // 2 + 1 :]
        assert len(list(near_pairs([one, other], threshold))) == seen
    told = (DOCS / "data.md").read_text(encoding="utf-8")
    assert f"at {threshold} from {length} characters on" in " ".join(told.replace("*", "").split())


def test_every_entry_of_the_lab_journal_has_the_same_form() -> None:
    text = (DOCS / "lab.md").read_text(encoding="utf-8")
    entries = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert entries
    for entry in entries:
        marks = re.findall(r"^- \*\*(\w[\w-]*)\.\*\*", entry, re.MULTILINE)
        assert marks == ["Date", "Question", "Set-up", "Figures", "Verdict"], entry.partition("\n")[0]
        assert re.search(r"\*\*Date\.\*\* \d{4}-\d{2}-\d{2}$", entry, re.MULTILINE), entry.partition("\n")[0]
