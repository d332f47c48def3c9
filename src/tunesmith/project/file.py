"""Reading and checking the project file: all that is wrong with it comes in one report."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from tunesmith.core.errors import Problem, UserError, shorten
from tunesmith.core.shelf import problems_of
from tunesmith.evaluate.safety_spec import safety_slices
from tunesmith.evaluate.spec import UNSLICED, measures
from tunesmith.profile.check import measurable
from tunesmith.project.spec import ProjectSpec
from tunesmith.project.trunk import TRUNK, section_of

FILE_NAME = "tunesmith.yaml"
_MOST_BYTES = 1 << 20
_MOST_VALUES = 100_000
_DEEPEST = 50
_YAML_HINT = "indent with spaces, quote texts that hold : # { [ * & ! or a leading quote"


@dataclass(frozen=True)
class Project:
    """A checked project file and where it lies.

    Args:
        path: the file.
        root: its folder; everything the file names is resolved under it.
        spec: the typed value, defaults filled in.
        given: the file's content as read, without defaults, comments kept.
    """

    path: Path
    root: Path
    spec: ProjectSpec
    given: Any

    @property
    def home(self) -> Path:
        """Where runs, records and ledger are kept."""
        return self.root / ".tunesmith"


def find(path: Path) -> Path:
    """The project file that `path` (a folder or the file itself) means.

    Raises:
        UserError: there is none.
    """
    file = path / FILE_NAME if path.is_dir() else path
    if not file.is_file():
        hint = "make one with: tunesmith new my-project --recipe medical-coding"
        raise UserError(Problem("no-project", f"there is no project file at '{path}'", hint, path=str(file)))
    return file


def load(path: Path) -> Project:
    """Read and check a project; `path` is its folder or its file.

    Raises:
        UserError: with every problem that was found: YAML, unknown keys, types, components, what rooms object to.
    """
    file = find(path)
    given = read_yaml(file)
    root = file.parent.resolve()
    try:
        spec = ProjectSpec.model_validate(_plain(given))
    except ValidationError as error:
        found = [_placed(p, given, file) for p in _problems(error)]
        found += [_placed(p, given, file) for p in _problems_of_the_rest(_plain(given), root)]
        raise UserError(_once(found)) from None
    found = [_placed(p, given, file) for p in room_problems(spec, root)]
    if found:
        raise UserError(_once(found))
    return Project(file, root, spec, given)


def read_yaml(file: Path) -> Any:
    """The file's mapping, comments and line numbers kept. Plain YAML 1.2 only: no tags that make objects.

    Raises:
        UserError: not UTF-8, NUL bytes, larger than 1 MiB, not YAML, not a mapping, a key given twice.
    """
    data = file.read_bytes()
    if len(data) > _MOST_BYTES:
        raise UserError(Problem("too-large", f"{len(data)} bytes; a project file has at most 1 MiB", path=str(file)))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(Problem("not-utf8", "not UTF-8 text", "save it as UTF-8", str(file), line)) from None
    try:
        if tagged := list(_tagged(text, file)):
            raise UserError(tagged)
        value = YAML(typ="rt", pure=True).load(io.StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = f"not valid YAML: {error.problem or error.context}"
        raise UserError(
            Problem("broken-yaml", message, _YAML_HINT, str(file), mark.line + 1 if mark else None)
        ) from None
    except ReaderError as error:
        line = text[: error.position].count("\n") + 1
        message = f"the character U+{_code(error.character):04X} cannot stand in a YAML file"
        raise UserError(Problem("broken-yaml", message, "remove it", str(file), line)) from None
    except (YAMLError, ValueError) as error:
        raise UserError(
            Problem("broken-yaml", f"not valid YAML: {shorten(str(error))}", _YAML_HINT, str(file))
        ) from None
    except RecursionError:
        raise UserError(_too_deep(file)) from None
    if not isinstance(value, Mapping):
        hint = "see `tunesmith new` for a file to begin with"
        raise UserError(Problem("broken-yaml", "a mapping of sections is expected", hint, str(file), 1))
    _refuse_bombs(value, file)
    return value


def _code(character: Any) -> int:
    return character if isinstance(character, int) else ord(character)


def _tagged(text: str, file: Path) -> Iterator[Problem]:
    """A problem for each tag; raises UserError as soon as the nesting is too deep, where parsing would take minutes."""
    depth = 0
    for event in YAML(typ="rt", pure=True).parse(io.StringIO(text)):
        kind = type(event).__name__
        depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        if depth > _DEEPEST:
            raise UserError(_too_deep(file))
        if tag := getattr(event, "tag", None):
            message = f"the tag {shorten(str(tag))} asks for an object; only plain values are read"
            yield Problem("yaml-tag", message, "write the plain value", str(file), event.start_mark.line + 1)


def _refuse_bombs(value: Any, file: Path) -> None:
    """Aliases make a few lines stand for any number of values, or hold themselves: counted without writing them out.

    Raises:
        UserError: more values than a project file needs, or deeper nesting.
    """
    sizes: dict[int, int] = {}

    def size(node: Any, depth: int) -> int:
        if not isinstance(node, Mapping | list):
            return 1
        if depth > _DEEPEST:
            raise UserError(_too_deep(file))
        if id(node) not in sizes:
            items = node.values() if isinstance(node, Mapping) else node
            sizes[id(node)] = 1 + sum(size(item, depth + 1) for item in items)
        return sizes[id(node)]

    if (found := size(value, 0)) > _MOST_VALUES:
        message = f"written out it has {found:,} values; a project file has at most {_MOST_VALUES:,}"
        raise UserError(Problem("too-large", message, "use fewer aliases (*name)", str(file)))


def _too_deep(file: Path) -> Problem:
    message = f"nested more than {_DEEPEST} levels deep, or an alias that holds itself"
    return Problem("broken-yaml", message, "a project file is at most six levels deep", str(file))


def room_problems(spec: ProjectSpec, root: Path) -> list[Problem]:
    """What the rooms object to: each stage's `check`, and targets that nothing in the file measures."""
    found: list[Problem] = []
    for stage in TRUNK:
        found += stage.check(section_of(spec, stage), root)
    attributes = {name for source in spec.data.sources for name in source.settings.get("attributes", [])}
    profile = spec.profile
    known = measures(spec.evaluate, profile.kind_of_task, profile.labels, terms=profile.terms, protect=profile.protect)
    own = safety_slices(spec.evaluate.safety)
    return found + measurable(profile, known, attributes=attributes, unsliced=UNSLICED, slices=own)


def _problems_of_the_rest(given: dict[str, Any], root: Path) -> list[Problem]:
    """What the rooms object to in a file that has mistakes: those are taken out, and the rest is looked at."""
    rest = {"name": "x", "profile": {}, "model": {}, "data": {}} | copy.deepcopy(given)
    out: set[str] = {name for name in ("data", "profile") if name not in given}
    for _ in range(_MOST_ROUNDS):
        try:
            spec = ProjectSpec.model_validate(rest)
        except ValidationError as error:
            for loc in {item["loc"][:2] for item in error.errors()}:
                out.add(_take_out(rest, loc))
        else:
            return [p for p in room_problems(spec, root) if not _follows(p, out)]
    return []


def _take_out(rest: dict[str, Any], loc: tuple[str | int, ...]) -> str:
    """Remove the setting (`section.name`) or section that an error lies in; returns its path."""
    section = rest.get(str(loc[0]))
    if len(loc) > 1 and isinstance(section, dict) and loc[1] in section:
        del section[str(loc[1])]
        return f"{loc[0]}.{loc[1]}"
    empty: dict[str, Any] = {"name": "x", "profile": {}, "model": {}, "data": {}}
    rest.pop(str(loc[0]), None)
    rest |= {name: value for name, value in empty.items() if name == loc[0]}
    return str(loc[0])


def _follows(problem: Problem, out: set[str]) -> bool:
    """Whether a problem may only come from what was taken out."""
    gone = {place.partition(".")[0] for place in out}
    follows = {
        "no-sources": "data" in gone,
        "too-few-labels": "profile" in gone,
        "unknown-attribute": "data" in gone,
        "unmeasured-target": not out.isdisjoint(_DECIDE_MEASURES),
        "unknown-label": "profile" in gone,
    }
    return follows.get(problem.code, False) or problem.path in out


_MOST_ROUNDS = 5
_DECIDE_MEASURES = {"profile", "profile.labels", "profile.task", "profile.terms", "profile.protect", "evaluate"} | {
    f"evaluate.{name}" for name in ("metrics", "retention", "likelihood_rows", "latency_rows", "fairness")
}


def _problems(error: ValidationError) -> list[Problem]:
    """Pydantic's error as problems, with the keys that are known at the very place."""

    def known(loc: Sequence[str | int]) -> list[str]:
        model = model_at(ProjectSpec, loc[:-1])
        return [field.alias or name for name, field in model.model_fields.items()] if model else []

    return problems_of(error, "", known)


def model_at(model: type[BaseModel], loc: Sequence[str | int]) -> type[BaseModel] | None:
    """The section's type at a path like `("tune", "limits")`; None where the path leaves typed ground."""
    current: Any = model
    for part in loc:
        if isinstance(part, int):
            continue
        found = [m for m in _models_in(current) if part in m.model_fields]
        if not found:
            return None
        current = found[0].model_fields[part].annotation
    models = list(_models_in(current))
    return models[0] if models else None


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation):
        for part in get_args(annotation):
            yield from _models_in(part)


def _placed(problem: Problem, given: Any, file: Path) -> Problem:
    """The problem with file and line in place of the bare setting path."""
    if problem.line is not None:
        return problem
    line = line_of(given, problem.path)
    place = f"{file}: {problem.path}" if problem.path else str(file)
    message = problem.message if line is None else f"{problem.message} (line {line})"
    return Problem(problem.code, message, problem.hint, place, None, problem.value)


def line_of(given: Any, path: str) -> int | None:
    """1-based line of the setting at `data.clean[0].use`, or of the nearest parent that the file has."""
    line, node = None, given
    for part in path.replace("[", ".[").split("."):
        if not part:
            continue
        key: Any = int(part[1:-1]) if part.startswith("[") and part[1:-1].isdigit() else part
        try:
            line = (node.lc.item(key) if isinstance(key, int) else node.lc.key(key))[0] + 1
            node = node[key]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return line


def _plain(value: Any) -> Any:
    """The value without ruamel's own types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _once(problems: list[Problem]) -> list[Problem]:
    return list(dict.fromkeys(problems))
