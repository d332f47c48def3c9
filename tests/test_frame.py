"""The frame: floors, forbidden constructs, quick imports, a law battery for each shelf, nothing of one machine."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tunesmith.project.shelves import SHELVES

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
COMPONENTS = [(shelf.kind, name) for shelf in SHELVES for name in shelf.names()]
BANNED_CALLS = {"eval", "exec", "compile", "__import__"}
BANNED_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}
BANNED_METHODS = {("os", "system"), ("os", "popen"), ("yaml", "load"), ("torch", "load"), ("pickle", "loads")}
PLACES = rb"/home/[a-z]+/|/Users/|/root/"
REGISTRIES = rb"(pypi|files)[.]pythonhosted|pypi[.]org/simple"
WORKPLACE = re.compile(PLACES + rb"|" + REGISTRIES)


def tracked() -> list[Path]:
    """Files that git knows, or all that a source archive has."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("needs a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def banned(tree: ast.AST) -> Iterator[str]:
    """What must not stand in product code, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"{node.lineno}: import {n}" for n in names if n.partition(".")[0] in BANNED_MODULES)
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id in BANNED_CALLS:
            yield f"{node.lineno}: {called.id}()"
        if (
            isinstance(called, ast.Attribute)
            and isinstance(called.value, ast.Name)
            and (called.value.id, called.attr) in BANNED_METHODS
        ):
            yield f"{node.lineno}: {called.value.id}.{called.attr}()"
        for keyword in node.keywords:
            said = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
            if keyword.arg in {"shell", "trust_remote_code", "weights_only"} and said is (
                keyword.arg != "weights_only"
            ):
                yield f"{node.lineno}: {keyword.arg}={said}"


def test_the_search_for_banned_constructs_finds_them() -> None:
    text = "import pickle\nfrom marshal import loads\neval('1')\nos.system('x')\nrun('x', shell=True)\n"
    text += "load(p, trust_remote_code=True)\nyaml.load(f)\nload(p, trust_remote_code=False)\n"
    assert [found.partition(":")[0] for found in banned(ast.parse(text))] == ["1", "2", "3", "4", "5", "6", "7"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT / "src").as_posix())
def test_product_code_runs_no_text_and_loads_no_pickle(path: Path) -> None:
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    # a local `yaml` of ruamel's class YAML is another thing than PyYAML's module of that name
    ruamel = "from ruamel.yaml import YAML" in text
    found = [f for f in banned(tree) if not (ruamel and f.endswith("yaml.load()"))]
    assert found == []
    assert ast.get_docstring(tree) or path.name == "__init__.py"


def test_floors_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlinter import api

    monkeypatch.chdir(ROOT)
    contracts = api.read_configuration(str(ROOT / "pyproject.toml"))["contracts_options"]
    assert len(contracts) >= 1
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as go; go(['--no-cache'])"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout
    assert f"{len(contracts)} kept, 0 broken" in done.stdout


def test_faces_know_only_core_and_the_workshop() -> None:
    """DESIGN 2: the command line imports `core` and `app`, never a room; services are the workshop and labelling."""
    for path in sorted((ROOT / "src/tunesmith/app").glob("*.py")):
        if path.name in ("workshop.py", "labelling.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            rooms = {name.split(".")[1] for name in names if name.startswith("tunesmith.")}
            assert rooms <= {"core", "app"}, f"{path.name}:{getattr(node, 'lineno', 0)}"


def test_ruff_is_clean() -> None:
    for words in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "src", "tests"], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


def test_files_are_of_a_size_to_read() -> None:
    """STYLE: at most 400 lines; `core/types.py` holds every noun with its fields explained."""
    long = {p.relative_to(ROOT).as_posix() for p in SOURCES if len(p.read_text("utf-8").splitlines()) > 400}
    assert long <= {"src/tunesmith/core/types.py"}


def test_importing_tunesmith_takes_no_torch_and_no_pydantic() -> None:
    program = "import sys, tunesmith; print(sorted({'torch', 'pydantic', 'numpy', 'rich'} & set(sys.modules)))"
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_every_component_says_what_it_is(kind: str, name: str) -> None:
    (shelf,) = [shelf for shelf in SHELVES if shelf.kind == kind]
    assert len(shelf.about(name)) > 20


@pytest.mark.parametrize("kind", [shelf.kind for shelf in SHELVES])
def test_every_shelf_has_a_battery_of_laws(kind: str) -> None:
    battery = ROOT / "tests" / "laws" / f"test_{kind}.py"
    assert battery.is_file()
    assert ".names()" in battery.read_text("utf-8")  # it runs over the whole shelf


def test_every_folder_of_components_is_on_a_list() -> None:
    """A package that calls itself a shelf somewhere in the code is in the list that `tunesmith list` shows."""
    made = {
        match
        for path in SOURCES
        for match in re.findall(r'Shelf\("(\w+)", "tunesmith[\w.]+"\)', path.read_text("utf-8"))
    }
    assert made == {shelf.kind for shelf in SHELVES}


def test_the_suite_is_what_ci_runs() -> None:
    run = ROOT / ".ci" / "run"
    assert os.access(run, os.X_OK) and os.access(ROOT / "dev", os.X_OK)
    assert run.read_text("utf-8").rstrip().endswith("exec ./dev test")


def test_nothing_of_one_machine_and_no_registry_stands_in_the_tree() -> None:
    own = Path(__file__).resolve()
    matches = {p.relative_to(ROOT): WORKPLACE.search(p.read_bytes()) for p in tracked() if p != own}
    found = [f"{name}: {match[0]!r}" for name, match in matches.items() if match]
    assert found == []


def test_no_big_file_and_no_data_stands_in_the_tree() -> None:
    assert [p.name for p in tracked() if p.stat().st_size > 1_000_000] == []
