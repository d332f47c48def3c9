"""Files that a path means: one file, all files of a folder, or those that a pattern with `*`, `?` or `[` matches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.files import resolve_under
from tunesmith.core.types import Drop
from tunesmith.data.read._files import locate
from tunesmith.data.read._lines import STEP
from tunesmith.data.read._parts import Divided, Part, file_parts

_PATTERN = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Found:
    """A file, its name in places, and what is wrong with it as a file (None: nothing)."""

    path: Path
    shown: str
    problem: Drop | None = None


@dataclass(frozen=True)
class Tree:
    """The files that a path of the project file means.

    Args:
        folder: where they lie; of a single file, itself.
        shown: its name in places.
        pattern: which files below the folder; None: the path is a single file.
    """

    folder: Path
    shown: str
    pattern: str | None

    @classmethod
    def of(cls, root: Path, path: str) -> Tree:
        """The tree of `path`; a relative path is held inside `root`.

        Raises:
            UserError: see `_files.locate`; a pattern that climbs.
        """
        if _PATTERN.isdisjoint(path) or "\0" in path:
            if path.strip() and "\0" not in path:
                folder = Path(path) if Path(path).is_absolute() else resolve_under(root, path)
                if folder.is_dir():
                    return cls(folder, path.rstrip("/"), "**/*")
            return cls(locate(root, path), path, None)
        parts = Path(path).parts
        plain = next(i for i, part in enumerate(parts) if not _PATTERN.isdisjoint(part))
        if ".." in parts[plain:]:
            raise UserError(Problem("wrong-value", "a pattern cannot climb with '..'", "name the folder", path))
        before = Path(*parts[:plain])
        folder = before if before.is_absolute() else resolve_under(root, before)
        return cls(folder, before.as_posix() if plain else "", "/".join(parts[plain:]))

    def names(self) -> list[str]:
        """The files' names below the folder, in order; hidden ones (`.git`, `.DS_Store`) are passed over.

        Raises:
            UserError: there is none.
        """
        if self.pattern is None:
            return [""]
        found = {path.relative_to(self.folder).as_posix(): path for path in self.folder.glob(self.pattern)}
        names = [
            name
            for name, path in sorted(found.items())
            if not any(part.startswith(".") for part in name.split("/")) and (path.is_symlink() or not path.is_dir())
        ]
        if not names:
            message = f"there is no file {self.pattern} in this folder"
            raise UserError(Problem("empty-folder", message, "name the file, or another folder", self.shown or "."))
        return names

    def found(self, name: str) -> Found:
        """The file with this name; a link that leads out of the folder, a pipe or a device with its problem."""
        if self.pattern is None:
            return Found(self.folder, self.shown)
        path = self.folder / name
        place = plain_name(f"{self.shown}/{name}" if self.shown else name)
        return Found(path, place, _problem(path, self.folder.resolve(), place))


def find(root: Path, path: str) -> list[Found]:
    """All files of a path; raises like `Tree.of` and `Tree.names`."""
    tree = Tree.of(root, path)
    return [tree.found(name) for name in tree.names()]


def tree_parts(root: Path, path: str) -> list[Part]:
    """Parts of some files each, which carry their names, so that no worker has to look for them again."""
    tree = Tree.of(root, path)
    names = tree.names()
    found = (tree.found(name) for name in names)
    parts = file_parts(0 if one.problem else one.path.stat().st_size for one in found)
    return [replace(part, names=tuple(names[part.file : part.file + part.files])) for part in parts]


def files_of(root: Path, path: str, part: Part) -> Iterator[Found]:
    """The files of one of `tree_parts`."""
    tree = Tree.of(root, path)
    return (tree.found(name) for name in part.names)


class OfTree(Divided):
    """A source that reads every file its path means, some files in each part."""

    path: str

    def parts(self, root: Path) -> list[Part]:
        """Some files each; an archive is one part."""
        return tree_parts(root, self.path)

    def files(self, root: Path) -> list[Path]:
        """The files that are read."""
        return [found.path for found in find(root, self.path) if found.problem is None]


def plain_name(name: str) -> str:
    """A file's name as text: bytes of it that are not UTF-8 are replaced."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _problem(path: Path, base: Path, place: str) -> Drop | None:
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return Drop(place=place, step=STEP, reason="not-a-file", detail="a link that leads nowhere")
    if base not in real.parents:
        return Drop(place=place, step=STEP, reason="path-outside", detail="a link that leads out of the folder")
    if not real.is_file():
        return Drop(place=place, step=STEP, reason="not-a-file", detail="a folder, a pipe or a device is linked here")
    return None
