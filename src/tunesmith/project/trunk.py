"""The fixed trunk of stages; the plan follows from the types of their parameters."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from tunesmith.core.errors import Problem
from tunesmith.core.spec import Section
from tunesmith.core.types import Artifact


@dataclass(frozen=True)
class Stage:
    """One stage, known by its module: `NAME`, `VERSION`, `run`, and optionally `check` and `outside`.

    Args:
        path: dotted name of the module.
        section: which section of the project file its `spec` parameter is.
    """

    path: str
    section: str

    @cached_property
    def module(self) -> ModuleType:
        """The stage's module, imported on first use."""
        return importlib.import_module(self.path)

    @property
    def name(self) -> str:
        """The stage's name."""
        return str(self.module.NAME)

    @property
    def version(self) -> str:
        """Raised whenever the same spec and inputs would give another result."""
        return str(self.module.VERSION)

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return get_type_hints(self.module.run)

    @property
    def spec(self) -> type[Section]:
        """The type of its section."""
        found: type[Section] = self._hints["spec"]
        return found

    @property
    def makes(self) -> type[Artifact]:
        """The type of artifact it returns."""
        made: type[Artifact] = self._hints["return"]
        return made

    @property
    def needs(self) -> dict[str, type[Artifact]]:
        """Parameter name -> artifact type, in order of the signature."""
        return {
            name: kind
            for name, kind in self._hints.items()
            if name != "return" and isinstance(kind, type) and issubclass(kind, Artifact)
        }

    def check(self, spec: Section, root: Path) -> list[Problem]:
        """What the stage objects to in its section, without heavy work."""
        check: Callable[[Section, Path], list[Problem]] | None = getattr(self.module, "check", None)
        return check(spec, root) if check else []

    def outside(self, spec: Section, root: Path) -> Mapping[str, str]:
        """Digests of the files that the stage reads from outside the run store."""
        outside: Callable[[Section, Path], Mapping[str, str]] | None = getattr(self.module, "outside", None)
        return outside(spec, root) if outside else {}

    def sources(self) -> dict[str, str]:
        """Digest of every source file of the stage's room: relative path -> SHA-256."""
        from tunesmith.core.ids import digest_file

        file = self.module.__file__
        if file is None:
            return {}
        room = Path(file).parent
        return {f.relative_to(room.parent).as_posix(): digest_file(f) for f in sorted(room.rglob("*.py"))}


TRUNK = (
    Stage("tunesmith.profile.stage", "profile"),
    Stage("tunesmith.data.stage", "data"),
    Stage("tunesmith.models.stage", "model"),
    Stage("tunesmith.tune.prepare", "tune"),
    Stage("tunesmith.evaluate.baseline", "evaluate"),
    Stage("tunesmith.tune.stage", "tune"),
    Stage("tunesmith.reason.stage", "reason"),
    Stage("tunesmith.evaluate.stage", "evaluate"),
)


def section_of(spec: Any, stage: Stage) -> Section:
    """The section of a project spec that a stage is filled from."""
    section: Section = getattr(spec, stage.section)
    return section
