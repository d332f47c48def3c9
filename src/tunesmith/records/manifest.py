"""`artifact.json`: what lies in a run's folder, who made it from what, and the digest of every file."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from tunesmith import __version__
from tunesmith.core import types
from tunesmith.core.errors import CorruptArtifact, shorten
from tunesmith.core.ids import canonical_json, content_id, digest_file, digest_folder
from tunesmith.core.types import Artifact, Noun

MANIFEST = "artifact.json"

_LIBRARIES = (
    *("torch", "transformers", "peft", "tokenizers", "safetensors", "numpy", "pyarrow"),
    *("scipy", "scikit-learn", "statsmodels", "pydantic"),
)
_HOME, _PROJECT = "<home>", "<project>"
_INSIDE_A_PROJECT = ".tunesmith"
_NOT_CONTENT = frozenset({"id", "run", "inputs", "gates"})


class FileRecord(Noun):
    """One file of an artifact: its size in bytes and the SHA-256 of its content."""

    bytes: int
    sha256: str


class RunRecord(Noun):
    """One run of one stage: everything that is needed to say where an artifact comes from.

    Fields:
        format: version of this form; raised when an older tunesmith could not read it.
        run: id of the run; `stage` the stage that ran.
        type: name of the artifact's class in `core.types`; `artifact` its id.
        inputs: ids of the artifacts it was made from.
        spec: the filled section of the project file.
        code: source file -> digest of the code that did the work.
        files: relative path -> size and digest, for every file but this record.
        tunesmith: version of tunesmith; `versions`: library -> version, Python among them.
        started, ended: UTC, ISO 8601 with microseconds.
        fields: the artifact's own fields, gates included; paths inside the home begin with `<home>`, those
            inside the project that the home lies in with `<project>`.
    """

    format: Literal[1] = 1
    run: str
    stage: str
    type: str
    artifact: str
    inputs: tuple[str, ...]
    spec: dict[str, Any] = Field(default_factory=dict)
    code: dict[str, str] = Field(default_factory=dict)
    files: dict[str, FileRecord] = Field(default_factory=dict)
    tunesmith: str = __version__
    versions: dict[str, str] = Field(default_factory=dict)
    started: str
    ended: str
    fields: dict[str, Any] = Field(default_factory=dict)


def artifact_id(kind: type[Artifact], fields: Mapping[str, Any], files: Mapping[str, FileRecord]) -> str:
    """The content id: fields and file digests, without what differs between two runs of the same work."""
    own = {name: value for name, value in fields.items() if name not in {*_NOT_CONTENT, *kind.volatile}}
    digests = {name: file.sha256 for name, file in files.items() if name not in kind.volatile_files}
    return content_id(kind.prefix, {"fields": own, "files": digests})


def stored_fields(artifact: Artifact, home: Path) -> dict[str, Any]:
    """The artifact's own fields as plain JSON values, with paths inside `home` and its project said relative to them.

    So a home or project that was moved or copied still opens, and ids do not depend on where it lies.

    Raises:
        ValueError: a field holds NaN or infinity.
    """
    # not mode="json": that would quietly turn a NaN inside free-form values into null
    fields = artifact.model_dump(exclude={"id", "run", "inputs"})
    moved: dict[str, Any] = plain(fields)
    for place, name in _places(home).items():
        moved = _moved(moved, place, name)
    return moved


def _places(home: Path) -> dict[str, str]:
    """Folder -> the word that stands for it, innermost first. A home called `.tunesmith` is part of a project."""
    project = {home.parent.as_posix(): _PROJECT} if home.name == _INSIDE_A_PROJECT else {}
    return {home.as_posix(): _HOME, **project}


def _moved(value: Any, old: str, new: str) -> Any:
    """`value` with every text that is the path `old` or lies below it led to `new`."""
    if isinstance(value, dict):
        return {key: _moved(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [_moved(item, old, new) for item in value]
    if isinstance(value, str) and (value == old or value.startswith(old + "/")):
        return new + value[len(old) :]
    return value


def plain(value: Any) -> Any:
    """`value` as plain JSON values; raises TypeError or ValueError for what JSON cannot say (NaN too)."""
    return json.loads(canonical_json(value))


def describe_files(folder: Path) -> dict[str, FileRecord]:
    """Every file below `folder` but the manifest, with size and digest."""
    digests = digest_folder(folder, skip=[MANIFEST])
    return {name: FileRecord(bytes=(folder / name).stat().st_size, sha256=sha) for name, sha in digests.items()}


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that results depend on; those not installed are left out."""
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def read_record(folder: Path) -> RunRecord:
    """The manifest of a run's folder.

    Raises:
        CorruptArtifact: it is missing, unreadable or not of this form.
    """
    path = folder / MANIFEST
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        raise _corrupt(folder, MANIFEST, error.strerror or str(error)) from None
    except ValidationError as error:
        newer = [item["input"] for item in error.errors() if item["loc"] == ("format",)]
        if newer:
            message = f"{path}: its format is {shorten(newer[0])}, this tunesmith knows 1; update tunesmith to read it"
            raise CorruptArtifact(message) from None
        raise _corrupt(folder, MANIFEST, str(error).replace("\n", " ")) from None


def open_artifact(folder: Path, record: RunRecord, home: Path) -> Artifact:
    """The artifact that `record` describes, with id, run, inputs and folder set.

    Raises:
        CorruptArtifact: its type is unknown or its fields do not fit the type.
    """
    own = {"id": record.artifact, "run": record.run, "inputs": record.inputs, "folder": folder}
    fields = record.fields
    for place, name in _places(home).items():
        fields = _moved(fields, name, place)
    try:
        return _kind(folder, record).model_validate({**fields, **own})
    except ValidationError as error:
        raise _corrupt(folder, MANIFEST, str(error).replace("\n", " ")) from None


def _kind(folder: Path, record: RunRecord) -> type[Artifact]:
    kind = getattr(types, record.type, None)
    if isinstance(kind, type) and issubclass(kind, Artifact):
        return kind
    raise _corrupt(folder, MANIFEST, f"there is no artifact type '{record.type}'")


def check_files(folder: Path, record: RunRecord, *, digests: bool) -> None:
    """Every recorded file is there with its size; with `digests`, also with its content and without strangers.

    Raises:
        CorruptArtifact: names the first file that differs and says how.
    """
    for name, expected in record.files.items():
        path = folder / name
        if not path.is_file():
            raise _corrupt(folder, name, "the file is missing")
        found = path.stat().st_size
        if found != expected.bytes:
            raise _corrupt(folder, name, f"{expected.bytes} bytes were written, {found} are there")
        if digests and digest_file(path) != expected.sha256:
            raise _corrupt(folder, name, "the content is not what was written")
    if digests:
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        for name in sorted(there - record.files.keys() - {MANIFEST}):
            raise _corrupt(folder, name, "the file was added after the run")


def check_identity(folder: Path, record: RunRecord) -> None:
    """The recorded fields and digests still give the artifact's id; raises CorruptArtifact where they do not."""
    if artifact_id(_kind(folder, record), record.fields, record.files) != record.artifact:
        raise _corrupt(folder, MANIFEST, f"its fields do not give the id {record.artifact}")


def _corrupt(folder: Path, name: str, cause: str) -> CorruptArtifact:
    return CorruptArtifact(f"{folder / name}: {cause}; remove the folder {folder} and run again to make it anew")
