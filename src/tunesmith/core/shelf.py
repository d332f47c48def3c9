"""Components by name: folder = kind, file = component, file name = `use:` name.

`Shelf.names()` reads the folder without importing anything; `Shelf.get()` imports one file and tells
"no such component" from "needs a library". A file `near_duplicates.py` holds the class `NearDuplicates`
(a frozen dataclass: its fields are the component's settings) or the function `near_duplicates`; the first
line of its docstring is what lists show. Other packages join a shelf by an entry point of the group
`tunesmith.<kind>`. A project file can name nothing else.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.util
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, ValidationError, create_model

from tunesmith.core.errors import MissingLibrary, Problem, UnknownComponent, UserError, did_you_mean, shorten


@dataclass(frozen=True)
class Shelf:
    """All components of one kind.

    Args:
        kind: what they are, in the plural (`cleaners`); also names the entry point group.
        package: dotted name of the folder that holds their files (`tunesmith.data.clean`).
    """

    kind: str
    package: str

    @cached_property
    def _own(self) -> dict[str, Path]:
        spec = importlib.util.find_spec(self.package)
        places = list(spec.submodule_search_locations or []) if spec else []
        files = [f for place in places for f in Path(place).glob("*.py")]
        return {f.stem: f for f in sorted(files) if not f.stem.startswith("_")}

    @cached_property
    def _joined(self) -> dict[str, importlib.metadata.EntryPoint]:
        return {entry.name: entry for entry in importlib.metadata.entry_points(group=f"tunesmith.{self.kind}")}

    def names(self) -> list[str]:
        """Every component's name, sorted; nothing is imported."""
        return sorted({*self._own, *self._joined})

    def about(self, name: str) -> str:
        """The first line of a component's docstring, read from its source without importing it."""
        if name not in self._own:
            return f"from the package {self._joined[name].value.split(':')[0]}" if name in self._joined else ""
        tree = ast.parse(self._own[name].read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in {name, _camel(name)}:
                return (ast.get_docstring(node) or "").partition("\n")[0]
        return (ast.get_docstring(tree) or "").partition("\n")[0]

    def get(self, name: str, *, where: str = "") -> Any:
        """The factory called `name`: a class or function whose parameters are its settings.

        Raises:
            UnknownComponent: nothing on this shelf has that name; the nearest ones are told.
            MissingLibrary: it exists, but imports a library that is not installed.
        """
        if name not in self._own and name not in self._joined:
            hint = did_you_mean(name, self.names())
            raise UnknownComponent(
                Problem("unknown-component", f"there is no '{name}' among the {self.kind}", hint, where, value=name)
            )
        try:
            if name in self._own:
                module = importlib.import_module(f"{self.package}.{name}")
                return getattr(module, _camel(name), None) or getattr(module, name)
            return self._joined[name].load()
        except ModuleNotFoundError as error:
            library = (error.name or "").partition(".")[0]
            if library == "tunesmith":
                raise
            hint = f"pip install {_distribution(library)}"
            message = f"'{name}' ({self.kind}) needs the library '{library}', which is not installed"
            raise MissingLibrary(Problem("needs-library", message, hint, where, value=name)) from None

    def problems(self, use: Any, *, where: str = "") -> list[Problem]:
        """Everything that is wrong with one `{use: name, setting: value, ...}`; empty if it can be built."""
        try:
            self._settings(use, where)
        except UserError as error:
            return list(error.problems)
        return []

    def settings(self, use: Any, *, where: str = "") -> dict[str, Any]:
        """`use` with every default written out, `use:` first; raises UserError like `build`."""
        name, values = self._settings(use, where)
        return {"use": name, **values}

    def build(self, use: Any, *, where: str = "") -> Any:
        """Make the component that `use` describes: `{use: name, setting: value, ...}` or just its name.

        Args:
            use: mapping with the key `use`, or a string.
            where: place in the project file, for messages (`data.clean[0]`).

        Raises:
            UserError: unknown component, unknown setting, wrong type, value out of range - all at once.
        """
        name, values = self._settings(use, where)
        return self.get(name, where=where)(**values)

    def _settings(self, use: Any, where: str) -> tuple[str, dict[str, Any]]:
        given = {"use": use} if isinstance(use, str) else use
        if hasattr(given, "model_dump"):
            given = given.model_dump()
        if not isinstance(given, Mapping) or not isinstance(given.get("use"), str):
            hint = "write {use: NAME, ...}; " + "known: " + ", ".join(self.names())
            raise UserError(
                Problem("no-use", f"one of the {self.kind} is expected here", hint, where, value=shorten(use))
            )
        name = str(given["use"])
        factory = self.get(name, where=where)
        settings = {key: value for key, value in given.items() if key != "use"}
        model = settings_model(factory, name)
        try:
            filled = model.model_validate(settings)
        except ValidationError as error:
            raise UserError(problems_of(error, where, list(model.model_fields))) from None
        return name, {field: getattr(filled, field) for field in model.model_fields}


def settings_model(factory: Any, name: str) -> Any:
    """A strict pydantic model with one field per annotated parameter of `factory`."""
    signature = inspect.signature(factory, eval_str=True)
    fields: dict[str, Any] = {
        parameter.name: (parameter.annotation, ... if parameter.default is parameter.empty else parameter.default)
        for parameter in signature.parameters.values()
    }
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return create_model(name, __config__=config, **fields)


def problems_of(
    error: ValidationError, where: str, known: Sequence[str] | Callable[[Sequence[str | int]], Sequence[str]]
) -> list[Problem]:
    """A pydantic error as problems, one for each place: path with dots, nearest key for an unknown one, value shown.

    Args:
        error: what pydantic raised.
        where: path of what was validated.
        known: the keys that are valid, or a function that tells them from the path of an unknown one.
    """
    found: dict[str, Problem] = {}
    for item in error.errors():
        loc = [part for part in item["loc"] if isinstance(part, int) or not _BRANCH.fullmatch(part)]
        path = (where + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in loc)).lstrip(".")
        value = shorten(item.get("input"))
        if item["type"] == "extra_forbidden":
            hint = did_you_mean(str(loc[-1]), known(loc) if callable(known) else known)
            problem = Problem("unknown-key", f"there is no setting '{loc[-1]}'", hint, path, value=value)
        elif item["type"] == "missing":
            problem = Problem("missing-key", f"the setting '{loc[-1]}' is required", "add it", path)
        else:
            code = "wrong-value" if item["type"].startswith(_VALUES) else "wrong-type"
            said = item["msg"]
            if path in found:  # another branch of the same choice
                said = f"{found[path].message.partition(', found ')[0]}; or: {said}"
                code = min(found[path].code, code, key=["wrong-value", "wrong-type"].index)
            problem = Problem(code, f"{said}, found {value}", "", path, value=value)
        found[path] = problem
    return list(found.values())


_VALUES = ("value", "greater", "less", "literal", "finite")
_BRANCH = re.compile(r"constrained-\w+|(literal|list|tuple|dict|set|nullable|function-\w+)\[.*|int|float|str|bool|none")
"""How pydantic names the branches of a union in the path of an error; no setting is called so."""


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _distribution(module: str) -> str:
    """The name to install for a module, where the two differ."""
    return {"sklearn": "scikit-learn", "yaml": "pyyaml", "rouge_score": "rouge-score"}.get(module, module)
