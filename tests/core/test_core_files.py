"""Files are whole or absent: failures and kills injected at every write, sync and rename."""

from __future__ import annotations

import os
import shutil
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from tunesmith.core.errors import UserError
from tunesmith.core.files import (
    atomic_file,
    atomic_folder,
    read_json,
    resolve_under,
    sweep_temporary,
    write_bytes,
    write_json,
)

OLD, NEW = b"old content", b"new content, longer than the old"


class Injected(OSError):
    """The failure that a test injects."""


@contextmanager
def at_call(number: int, act: Callable[[], None]) -> Iterator[None]:
    """Do `act` in place of the `number`-th sync, rename or file opening below this point."""
    seen = 0

    def counting(real: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*args: object, **kwargs: object) -> object:
            nonlocal seen
            seen += 1
            if seen == number:
                act()
            return real(*args, **kwargs)

        return wrapped

    with (
        mock.patch.object(os, "fsync", counting(os.fsync)),
        mock.patch.object(Path, "open", counting(Path.open)),
        mock.patch.object(Path, "rename", counting(Path.rename)),
        mock.patch.object(Path, "replace", counting(Path.replace)),
    ):
        yield


def fail() -> None:
    raise Injected(28, "No space left on device")


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def failing_calls(action: Callable[[], object]) -> Iterator[int]:
    """Run `action` with its 1st, 2nd, ... call failing, until it succeeds."""
    for number in range(1, 60):
        try:
            with at_call(number, fail):
                action()
        except Injected:
            yield number
        else:
            return
    raise AssertionError("never succeeded")


def killed_calls(action: Callable[[], object]) -> Iterator[int]:
    """Run `action` in a child that is killed at its 1st, 2nd, ... call, until a child lives."""
    for number in range(1, 60):
        child = os.fork()
        if child == 0:
            try:
                with at_call(number, kill):
                    action()
            finally:
                os._exit(0)
        if os.WIFEXITED(os.waitpid(child, 0)[1]):
            return
        yield number
    raise AssertionError("never lived")


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork, which this system lacks")


def write_folder(target: Path, content: bytes) -> None:
    with atomic_folder(target) as folder:
        (folder / "deep").mkdir()
        (folder / "a").write_bytes(content)
        (folder / "deep" / "b").write_bytes(content)


def content_of(target: Path) -> bytes | None:
    """What a whole folder holds; None where there is none; an assertion where it is half of anything."""
    if not target.exists():
        return None
    found = {path.relative_to(target).as_posix() for path in target.rglob("*")}
    assert found == {"a", "deep", "deep/b"}
    contents = {(target / "a").read_bytes(), (target / "deep" / "b").read_bytes()}
    assert len(contents) == 1
    return contents.pop()


# -- one file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [None, OLD])
def test_a_failing_write_leaves_the_old_file_or_the_new_and_nothing_else(tmp_path: Path, before: bytes | None) -> None:
    """The calls: open, sync of the file, rename, sync of the folder."""
    target = tmp_path / "file"
    failures = 0
    if before is not None:
        target.write_bytes(before)
    for _ in failing_calls(lambda: write_bytes(target, NEW)):
        failures += 1
        assert (target.read_bytes() if target.exists() else None) in (before, NEW)
        assert [path.name for path in tmp_path.iterdir()] in ([], ["file"])
        if failures < 4:
            assert (target.read_bytes() if target.exists() else None) == before
    assert failures == 4
    assert target.read_bytes() == NEW


@needs_fork
@pytest.mark.parametrize("before", [None, OLD])
def test_a_killed_write_leaves_the_old_file_or_the_new(tmp_path: Path, before: bytes | None) -> None:
    target = tmp_path / "file"
    if before is not None:
        target.write_bytes(before)
    for _ in killed_calls(lambda: write_bytes(target, NEW)):
        assert (target.read_bytes() if target.exists() else None) in (before, NEW)
        sweep_temporary(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] in ([], ["file"])
    assert target.read_bytes() == NEW


def test_a_short_write_is_not_renamed(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(OLD)
    with pytest.raises(Injected), atomic_file(target) as file:
        file.write(NEW[:5])
        fail()
    assert target.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [target]


def test_the_file_is_synced_before_the_rename_and_the_folder_after_it(tmp_path: Path) -> None:
    order: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace

    def sync(descriptor: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real_sync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        order.append("rename")
        return real_replace(self, target)

    with mock.patch.object(os, "fsync", sync), mock.patch.object(Path, "replace", replace):
        write_bytes(tmp_path / "file", NEW)
    assert order == ["file", "rename", "folder"]


def test_parent_folders_are_made_and_the_umask_is_kept(tmp_path: Path) -> None:
    """0o666 & ~0o027 = 0o640 for files, 0o777 & ~0o027 = 0o750 for folders."""
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "a" / "b" / "file", NEW)
        write_folder(tmp_path / "folder", NEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a" / "b" / "file").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750


# -- a folder -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [None, OLD])
def test_a_failing_folder_write_leaves_old_or_new_and_nothing_else(tmp_path: Path, before: bytes | None) -> None:
    target = tmp_path / "target"
    if before is not None:
        write_folder(target, before)
    failures = 0
    for _ in failing_calls(lambda: write_folder(target, NEW)):
        failures += 1
        found = content_of(target)
        assert found in (before, NEW)
        if found == NEW:  # only the last sync failed: begin again from the old state
            left = [path for path in tmp_path.iterdir() if path != target]
            assert all(path.suffix == ".old" for path in left)
            shutil.rmtree(target)
            for path in left:
                shutil.rmtree(path)
            if before is not None:
                write_folder(target, before)
        else:
            assert [path.name for path in tmp_path.iterdir()] in ([], ["target"])
    assert failures >= 6
    assert content_of(target) == NEW


@needs_fork
@pytest.mark.parametrize("before", [None, OLD])
def test_a_killed_folder_write_leaves_old_or_new_after_the_sweep(tmp_path: Path, before: bytes | None) -> None:
    """The moment between moving the old aside and the new in is covered too: the sweep puts the old one back."""
    target = tmp_path / "target"
    if before is not None:
        write_folder(target, before)
    put_back = kills = 0
    for _ in killed_calls(lambda: write_folder(target, NEW)):
        kills += 1
        put_back += before is not None and not target.exists()
        sweep_temporary(tmp_path, of="target")
        assert content_of(target) in (before, NEW)
        assert [path.name for path in tmp_path.iterdir()] in ([], ["target"])
        if content_of(target) == NEW:
            shutil.rmtree(target)
            if before is not None:
                write_folder(target, before)
    assert kills >= 6
    assert put_back == (before is not None)
    assert content_of(target) == NEW


def test_an_interrupted_block_leaves_the_old_folder(tmp_path: Path) -> None:
    write_folder(tmp_path / "target", OLD)
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "target") as folder:
        (folder / "a").write_bytes(NEW)
        raise KeyboardInterrupt
    assert content_of(tmp_path / "target") == OLD
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_the_sweep_can_be_held_to_one_target(tmp_path: Path) -> None:
    names = [".a.0123456789ab.tmp", ".b.0123456789ab.tmp", ".a.b.0123456789ab.tmp", ".a.other.tmp", ".hidden", "a"]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in sweep_temporary(tmp_path, of="a")] == [".a.0123456789ab.tmp"]
    assert len(sweep_temporary(tmp_path)) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.other.tmp", ".hidden", "a"]
    assert sweep_temporary(tmp_path / "none") == []


# -- JSON and paths -------------------------------------------------------------------------------------


def test_json_goes_round_and_refuses_nan(tmp_path: Path) -> None:
    value = {"é": [1, 2.5, None, True, "中\u2028"], "": {}}
    write_json(tmp_path / "x.json", value)
    assert read_json(tmp_path / "x.json") == value
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert read_json(tmp_path / "x.json") == value


@pytest.mark.parametrize(
    ("data", "line"),
    [(b"", 1), (b'{\n"a": 1\n"b": 2}', 3), (b"\xff\xfe{", None), (b'{"a": 1} x', 1), (b"[" * 200_000, None)],
)
def test_broken_json_is_a_problem_with_its_line(tmp_path: Path, data: bytes, line: int | None) -> None:
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(UserError) as caught:
        read_json(tmp_path / "x.json")
    (problem,) = caught.value.problems
    assert (problem.code, problem.line, problem.path) == ("broken-json", line, str(tmp_path / "x.json"))


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing-file"):
        read_json(tmp_path / "x.json")
    with pytest.raises(UserError, match="unreadable-file"):
        read_json(tmp_path)


def test_paths_are_held_inside_their_root(tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "data").mkdir(parents=True)
    (root / "out").symlink_to(tmp_path)
    assert resolve_under(root, "data/x.csv") == (root / "data" / "x.csv").resolve()
    assert resolve_under(root, "data/../x") == (root / "x").resolve()
    assert resolve_under(root, ".") == root.resolve()
    for path in ("..", "../project-2/x", "/etc/passwd", "out/x", "data/../../x"):
        with pytest.raises(UserError, match="path-outside"):
            resolve_under(root, path)
