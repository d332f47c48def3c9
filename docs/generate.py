"""Fills the generated parts of the pages in this folder: `python docs/generate.py`.

A page marks them with `<!-- generated: NAME -->` and `<!-- end -->`. What stands between is made from the pydantic
models, the shelves, the catalog and the rule table, so it cannot say anything else than the program does; a test fails
while a page is out of date.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tunesmith.core.shelf import Shelf, settings_model
from tunesmith.core.spec import Section, Use

DOCS = Path(__file__).parent
_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_ARGUMENT = re.compile(r"^ {4}([\w, ]+): (.*)")
_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "empty"}
_WORDS |= {Any: "any value"}
_LIMITS = {"ge": "from {}", "gt": "above {}", "le": "to {}", "lt": "below {}", "min_length": "of length {} or more"}
_SHELF_OF = {
    "sources": "data.sources",
    "cleaners": "data.clean",
    "filters": "data.filter",
    "extractors": "data.extract",
    "synthesizers": "data.synthesize",
    "augmenters": "data.augment",
    "strategies": "tune.strategy",
    "terms": "tune.objective",
    "weightings": "tune.weighting",
    "trackers": "tune.track",
    "paths": "reason.paths",
    "retrievers": "reason.paths.by",
    "checks": "reason.check",
    "fusions": "reason.fuse",
    "scorers": "evaluate.scorers",
    "metrics": "evaluate.metrics",
    "attacks": "evaluate.safety.attacks.use",
    "detectors": "evaluate.safety.detect.use",
}


def filled(text: str) -> str:
    """`text` with every generated part made anew; KeyError for a part that nobody makes."""
    return _BLOCK.sub(lambda match: f"{match[1]}\n{PARTS[match[2]]()}\n{match[3]}", text)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; bars and line ends inside cells are made harmless."""
    safe = [[" ".join(cell.replace("|", "\\|").split()) for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *safe])


# -- sections ---------------------------------------------------------------------------------------


def sections() -> str:
    """Every section of the project file with its fields."""
    from tunesmith.project.spec import ProjectSpec

    return "\n\n".join(_section(ProjectSpec, "The file as a whole", ""))


def _section(model: type[BaseModel], title: str, path: str) -> Iterator[str]:
    """One section's heading and table, then those of the sections inside it."""
    level = "#" * min(4, 2 + path.count("."))
    yield f"{level} {title}\n\n{inspect.getdoc(model)}\n\n{_fields(model)}"
    for name, field in model.model_fields.items():
        inner = _inner_section(field.annotation)
        if inner is not None:
            below = f"{path}.{name}".lstrip(".")
            yield from _section(inner, f"`{below}`", below)


def _inner_section(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner_section(part))), None)


def _fields(model: type[BaseModel]) -> str:
    rows = [
        [f"`{field.alias or name}`", spoken_type(field), spoken_default(field), field.description or ""]
        for name, field in model.model_fields.items()
    ]
    return table(["key", "value", "default", "meaning"], rows)


def spoken_type(field: FieldInfo) -> str:
    """What may stand there: `whole number from 1`, `list of text`, `auto` or `bf16`."""
    return _limited(_spoken(field.annotation), field.metadata)


def _limited(words: str, metadata: Sequence[Any]) -> str:
    """`words` with the limits that pydantic checks."""
    told = [text.format(f"{getattr(m, key):g}") for m in metadata for key, text in _LIMITS.items() if hasattr(m, key)]
    told += [f"pattern `{m.pattern}`" for m in metadata if getattr(m, "pattern", None)]
    first, *others = words.split(", or ")
    return ", or ".join([" ".join([first, ", ".join(told)]).strip(), *others])


def _spoken(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        limits = [m for extra in parts[1:] for m in (extra.metadata if isinstance(extra, FieldInfo) else [extra])]
        return _limited(_spoken(parts[0]), limits)
    if origin is Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin in (Union, types.UnionType):
        return ", or ".join(dict.fromkeys(_spoken(part) for part in parts))
    if origin in (list, tuple):
        inner = _spoken(parts[0])
        return "list of sections" if inner == "section" else f"list of {f'({inner})' if ' or ' in inner else inner}"
    if origin is dict:
        return f"mapping of ({_spoken(parts[0])}) to {_spoken(parts[1])}"
    if inspect.isclass(annotation) and issubclass(annotation, Use):
        return "`{use: NAME, ...}`"
    return "section" if inspect.isclass(annotation) and issubclass(annotation, Section) else _WORDS[annotation]


def spoken_default(field: FieldInfo) -> str:
    """The default as YAML in one line; `required` where there is none, a dash for a section (its own fields tell)."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or isinstance(value, Section):
        return "-"
    return f"`{_yaml(value)}`"


def _yaml(value: Any) -> str:
    if isinstance(value, Use):
        value = {"use": value.use, **value.settings}
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value) if value != "" else '""'


# -- components -------------------------------------------------------------------------------------


def components() -> str:
    """Every component of every shelf that a project file can name, with its settings."""
    from tunesmith.project.shelves import SHELVES

    shelves = [shelf for shelf in SHELVES if shelf.kind in _SHELF_OF]
    return "\n\n".join(part for shelf in shelves for part in _shelf(shelf))


def _shelf(shelf: Shelf) -> Iterator[str]:
    yield f"### {shelf.kind.capitalize()} (`{_SHELF_OF[shelf.kind]}`)"
    for name in shelf.names():
        factory = shelf.get(name)
        if not factory.__module__.startswith(shelf.package):
            continue  # joined by another package, which documents it
        about, told = docstring(factory)
        yield f"#### `{name}`\n\n{about}"
        fields = settings_model(factory, name).model_fields
        if fields:
            rows = [[f"`{key}`", spoken_type(f), spoken_default(f), told.get(key, "")] for key, f in fields.items()]
            yield table(["setting", "value", "default", "meaning"], rows)


def docstring(factory: Any) -> tuple[str, dict[str, str]]:
    """A component's docstring as (its text as Markdown, argument -> what it means)."""
    text = inspect.getdoc(factory) or ""
    text, _, arguments = text.partition("\nArgs:\n")
    about, example, shown = text.partition("\nExample:\n")
    about = about.strip()
    if example:
        about += "\n\n```yaml\n- " + inspect.cleandoc(shown).replace("\n", "\n  ") + "\n```"
    told: dict[str, str] = {}
    names: list[str] = []
    for line in arguments.splitlines():
        if line and not line.startswith(" "):
            break
        if match := _ARGUMENT.match(line):
            names = [name.strip() for name in match[1].split(",")]
            told.update(dict.fromkeys(names, match[2]))
        else:
            told.update({name: f"{told[name]} {line.strip()}" for name in names})
    return about, told


# -- tables of data files ---------------------------------------------------------------------------


def catalog() -> str:
    """The catalog's models, smallest first."""
    from tunesmith.models import catalog
    from tunesmith.models.load import quantised_problem

    def size(number: int) -> str:
        return f"{number / 1e9:.1f} B" if number >= 1e9 else f"{number / 1e6:.0f} M"

    def parameters(entry: Any) -> str:
        active = f", {size(entry.active_parameters)} active" if entry.active_parameters != entry.parameters else ""
        return size(entry.parameters) + active

    rows = [
        [
            f"`{entry.name}`",
            parameters(entry),
            f"{entry.context:,}" if entry.context else "not confirmed",
            entry.licence,
            "package" if entry.asset else f"hub: {entry.hub}",
            "no: quantised weights" if quantised_problem(entry.name, entry.weights) else "yes",
        ]
        for entry in catalog.entries()
    ]
    return table(["name", "parameters", "context (tokens)", "licence", "comes as", "can be tuned as it is"], rows)


def measures() -> str:
    """Everything that can be measured, and so be a target."""
    from tunesmith.evaluate.spec import MEASURES, UNSLICED

    rows = [
        [
            f"`{name}`",
            info.about,
            info.unit,
            "higher" if info.higher_is_better else "lower",
            "no" if name in UNSLICED else "yes",
        ]
        for name, info in MEASURES.items()
    ]
    return table(["measure", "what it is", "unit", "better is", "can be sliced"], rows)


def rules() -> str:
    """The rule table: what `auto` becomes, first line that fits."""
    from tunesmith.tune.rules import table as lines

    def when(line: Mapping[str, Any]) -> str:
        size, rows = line.get("parameters_at_most"), line.get("rows_at_most")
        told = [" or ".join(f"`{name}`" for name in line["methods"])] if "methods" in line else []
        told += ["GPU" if line["gpu"] else "no GPU"] if "gpu" in line else []
        told += [f"`{name}: {_yaml(value)}`" for name, value in line.get("settings", {}).items()]
        told += [f"model of at most {size / 1e9:g} B parameters"] if size else []
        told += [f"at most {rows:,} training rows"] if rows else []
        return ", ".join(told) or "else"

    rows = [
        [f"`tune.{line['name']}`", when(line), f"{line['value']:g}", line["reason"], line["source"]] for line in lines()
    ]
    return table(["setting", "when", "value", "why", "source"], rows)


PARTS: dict[str, Callable[[], str]] = {
    "sections": sections, "components": components, "catalog": catalog, "measures": measures, "rules": rules,
}  # fmt: skip


def main() -> None:
    """Write every page that is out of date."""
    for page in sorted(DOCS.glob("*.md")):
        before = page.read_text(encoding="utf-8")
        after = filled(before)
        if after != before:
            page.write_text(after, encoding="utf-8")
            print(f"wrote {page.name}")


if __name__ == "__main__":
    main()
