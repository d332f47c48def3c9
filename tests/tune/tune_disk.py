"""A disk that fails, ends the process, or forgets, at a chosen call: for tests of what is written.

`watched` counts every call by which files reach the disk, as the system sees them: mkdir, open (for writing), write,
fsync, rename, unlink, rmdir. What happens at a call is told by an `Act`. `Memory` replays a record of such calls and
says which folders a machine may find after its power went off at any of them (Pillai et al. 2014, "All file systems
are not created equal", OSDI: what was not synced may be lost, names and contents each for itself).
"""

from __future__ import annotations

import errno
import io
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock


@dataclass(frozen=True)
class Call:
    """One call: its kind, the path (of rename: both), and of a write its bytes."""

    kind: str
    path: Path
    to: Path | None = None
    data: bytes = b""


Act = Callable[[int, Call, Callable[[], Any]], bool]
"""`act(number, call, half)` before call `number` (from 1); `half()` does half of a write. True: do only half of it."""


def fail(at: int, code: int, *, half: bool = False, on: bool = False) -> Act:
    """Call `at` fails with errno `code`, after half of it if so asked; `on`: and every later one."""

    def act(number: int, call: Call, do_half: Callable[[], Any]) -> bool:
        if number == at or (on and number > at):
            if half:
                do_half()
            raise OSError(code, os.strerror(code), str(call.path))
        return False

    return act


def short(at: int) -> Act:
    """Write `at` takes half of its bytes and says so, like a disk that gets full; the call after it finds it full."""

    def act(number: int, call: Call, half: Callable[[], Any]) -> bool:
        if number == at + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(call.path))
        return number == at

    return act


def die(at: int) -> Act:
    """The process ends by SIGKILL in call `at`, after half of it."""

    def act(number: int, call: Call, half: Callable[[], Any]) -> bool:
        if number == at:
            half()
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    return act


def nothing(number: int, call: Call, half: Callable[[], Any]) -> bool:
    """Every call does what it should."""
    return False


@contextmanager
def watched(act: Act = nothing) -> Iterator[list[Call]]:
    """Yields the calls made so far; needs /proc to know a descriptor's path (Linux)."""
    calls: list[Call] = []

    def happen(call: Call, half: Callable[[], Any] = lambda: None) -> bool:
        calls.append(call)
        return act(len(calls), call, half)

    class Raw(io.FileIO):
        def write(self, data: Any) -> int:
            whole, put = bytes(data), super().write
            half = whole[: len(whole) // 2]
            only_half = happen(Call("write", Path(os.fsdecode(self.name)), data=whole), lambda: put(half))
            return put(half if only_half else whole)

    def opened(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if "b" not in mode or not set(mode) & set("wxa+"):
            return real_open(self, mode, *args, **kwargs)
        happen(Call("open", self))
        return io.BufferedWriter(Raw(self, mode.replace("b", "")))

    def counted(kind: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(first: Any, *more: Any, **options: Any) -> Any:
            place = Path(os.readlink(f"/proc/self/fd/{first}")) if kind == "fsync" else Path(first)
            if options.get("dir_fd") is not None:
                place = Path(os.readlink(f"/proc/self/fd/{options['dir_fd']}")) / place
            happen(Call(kind, place, to=Path(more[0]) if kind == "rename" else None))
            return real(first, *more, **options)

        return call

    real_open = Path.open
    names = {"mkdir": "mkdir", "fsync": "fsync", "rename": "rename", "replace": "rename"}
    names |= {"unlink": "unlink", "rmdir": "rmdir"}
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(Path, "open", opened))
        for name, kind in names.items():
            stack.enter_context(mock.patch.object(os, name, counted(kind, getattr(os, name))))
        yield calls


@dataclass
class _File:
    data: bytes = b""
    synced: bytes = b""


@dataclass
class _Folder:
    names: dict[str, _File | _Folder] = field(default_factory=dict)
    synced: dict[str, _File | _Folder] = field(default_factory=dict)


class Memory:
    """What is on the disk and what is only in memory, after each call of a record."""

    def __init__(self, root: Path) -> None:
        """Begin with everything below `root` synced."""
        self.root, self._top = root, _Folder()
        for path in sorted(root.rglob("*")):
            self._enter(path, _Folder() if path.is_dir() else _File(path.read_bytes(), path.read_bytes()))
        for folder in self._folders(self._top):
            folder.synced = dict(folder.names)

    def apply(self, call: Call) -> None:
        """One more call was made, and did what it should."""
        if call.kind == "mkdir":
            self._enter(call.path, _Folder())
        elif call.kind == "open":
            self._enter(call.path, _File())
        elif call.kind == "write":
            self._at(call.path).data += call.data
        elif call.kind == "rename":
            assert call.to is not None
            self._enter(call.to, self._at(call.path.parent).names.pop(call.path.name))
        elif call.kind in ("unlink", "rmdir"):
            del self._at(call.path.parent).names[call.path.name]
        elif call.kind == "fsync":
            there = self._at(call.path)
            there.synced = dict(there.names) if isinstance(there, _Folder) else there.data

    def after_a_crash(self, target: Path) -> Iterator[tuple[str, Path]]:
        """Write every folder that may be found now below `target`; yields each one's name and place."""
        for names in ("synced", "names"):
            for data in ("lost", "torn", "zeroed", "kept"):
                place = target / f"{names}-{data}"
                place.mkdir(parents=True)
                self._write(self._top, place, names, data)
                yield place.name, place

    def _write(self, folder: _Folder, place: Path, names: str, data: str) -> None:
        for name, there in getattr(folder, names).items():
            if isinstance(there, _Folder):
                (place / name).mkdir()
                self._write(there, place / name, names, data)
            else:
                (place / name).write_bytes(_survives(there, data))

    def _at(self, path: Path) -> Any:
        there: Any = self._top
        for name in path.relative_to(self.root).parts:
            there = there.names[name]
        return there

    def _enter(self, path: Path, what: _File | _Folder) -> None:
        self._at(path.parent).names[path.name] = what

    def _folders(self, folder: _Folder) -> Iterator[_Folder]:
        yield folder
        for inner in folder.names.values():
            if isinstance(inner, _Folder):
                yield from self._folders(inner)


def _survives(file: _File, data: str) -> bytes:
    """What a crash leaves of a file: its synced bytes, and of the others nothing, half, zeros, or all."""
    more = len(file.data) - len(file.synced)
    if data == "zeroed":
        return file.synced + bytes(more)
    return {"lost": file.synced, "torn": file.data[: len(file.synced) + more // 2], "kept": file.data}[data]
