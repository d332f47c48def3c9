"""`artifact.json`: what lies in a run's folder, who made it from what, and the digest of every file."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from tunesmith import __version__
from tunesmith.core import types
from tunesmith.core.errors import CorruptArtifact
from tunesmith.core.ids import canonical_json, content_id, digest_file, digest_folder
from tunesmith.core.types import Artifact, Noun

MANIFEST = "artifact.json"

_LIBRARIES = (
    *("torch", "transformers", "peft", "tokenizers", "safetensors", "numpy", "pyarrow"),
    *("scipy", "scikit-learn", "statsmodels", "pydantic"),
)
_NOT_CONTENT = frozenset({"id", "run", "inputs", "gates"})


class FileRecord(Noun):
    """One file of an artifact: its size in bytes and the SHA-256 of its content."""

    bytes: int
    sha256: str


class RunRecord(Noun):
    """One run of one stage: everything that is needed to say where an artifact comes from.

    Fields:
        run: id of the run; `stage` the stage that ran.
        type: name of the artifact's class in `core.types`; `artifact` its id.
        inputs: ids of the artifacts it was made from.
        spec: the filled section of the project file.
        code: source file -> digest of the code that did the work.
        files: relative path -> size and digest, for every file but this record.
        tunesmith: version of tunesmith; `versions`: library -> version, Python among them.
        started, ended: UTC, ISO 8601 with microseconds.
        fields: the artifact's own fields, gates included.
    """

    format: int = 1
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


def artifact_id(artifact: Artifact, digests: Mapping[str, str]) -> str:
    """The content id: fields and file digests, without what differs between two runs of the same work."""
    # not mode="json": that would quietly turn a NaN inside free-form values into null
    fields = artifact.model_dump(exclude={*_NOT_CONTENT, *artifact.volatile})
    files = {name: digest for name, digest in digests.items() if name not in artifact.volatile_files}
    return content_id(artifact.prefix, {"fields": fields, "files": files})


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
    except (OSError, ValidationError) as error:
        raise _corrupt(folder, MANIFEST, str(error).partition("\n")[0]) from None


def open_artifact(folder: Path, record: RunRecord) -> Artifact:
    """The artifact that `record` describes, with id, run, inputs and folder set.

    Raises:
        CorruptArtifact: its type is unknown or its fields do not fit the type.
    """
    kind = getattr(types, record.type, None)
    if not (isinstance(kind, type) and issubclass(kind, Artifact)):
        raise _corrupt(folder, MANIFEST, f"there is no artifact type '{record.type}'")
    own = {"id": record.artifact, "run": record.run, "inputs": record.inputs, "folder": folder}
    try:
        return kind.model_validate({**record.fields, **own})
    except ValidationError as error:
        raise _corrupt(folder, MANIFEST, str(error).replace("\n", " ")) from None


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


def check_identity(folder: Path, artifact: Artifact, record: RunRecord) -> None:
    """The artifact's fields and digests still give its id; raises CorruptArtifact where they do not."""
    digests = {name: file.sha256 for name, file in record.files.items()}
    if artifact_id(artifact, digests) != record.artifact:
        raise _corrupt(folder, MANIFEST, f"its fields do not give the id {record.artifact}")


def _corrupt(folder: Path, name: str, cause: str) -> CorruptArtifact:
    return CorruptArtifact(f"{folder / name}: {cause}; remove the folder {folder} and run again to make it anew")
