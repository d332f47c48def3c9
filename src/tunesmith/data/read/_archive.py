"""Members of zip and tar archives, read in memory: nothing is unpacked onto the disk, so no name can lead anywhere."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tunesmith.core.errors import shorten
from tunesmith.core.types import Drop
from tunesmith.data.read._files import Held
from tunesmith.data.read._lines import STEP

_PACKED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_TAR_MARK, _TAR_MARK_AT = b"ustar", 257
_ZIP_MARKS = (b"PK\x03\x04", b"PK\x05\x06")
_MOST_MEMBERS = 100_000
_MOST_RATIO, _RATIO_FROM_BYTES = 200, 100_000_000
"""An archive that unpacks to more than 100 MB and to more than 200 times its size is taken for a bomb: text is packed
to a tenth, at the very most to a hundredth."""
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


class _Bomb(Exception):
    """More comes out of an archive than any archive of its size may hold."""


def is_archive(head: bytes) -> bool:
    """Whether a file that begins so is an archive or packed; Office files, which are archives too, come before."""
    marked = head.startswith((*_ZIP_MARKS, *_PACKED))
    return marked or head[_TAR_MARK_AT : _TAR_MARK_AT + len(_TAR_MARK)] == _TAR_MARK


def members(path: Path, shown: str, *, most_bytes: int) -> Iterator[Held | Drop]:
    """Every file in the archive, in its order: read, or as the drop it has to be; folders are passed over.

    Members that are links, devices, encrypted, damaged, or whose name is absolute or climbs (`..`), are drops of their
    own. A bomb ends the archive with one drop.

    Args:
        path: the archive.
        shown: its name in places; a member stands at `SHOWN/NAME`.
        most_bytes: largest member.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
            file.seek(0)
            yield from (
                _zipped(file, shown, most_bytes)
                if head.startswith(_ZIP_MARKS)
                else _tarred(file, head, shown, most_bytes)
            )
    except _Bomb as error:
        yield Drop(place=shown, step=STEP, reason="archive-bomb", detail=str(error))
    except _BROKEN as error:
        yield Drop(place=shown, step=STEP, reason="broken-archive", detail=shorten(str(error) or type(error).__name__))


def _zipped(file: IO[bytes], shown: str, most_bytes: int) -> Iterator[Held | Drop]:
    with zipfile.ZipFile(file) as packed:
        found = packed.infolist()
        _refuse_bomb(sum(member.file_size for member in found), file.seek(0, io.SEEK_END), len(found))
        for member in found:
            mode = member.external_attr >> 16
            if member.filename.endswith("/"):  # is_dir() fails on an empty name
                continue
            place = f"{shown}/{shorten(member.filename)}"
            problem = _unsafe(member.filename)
            if problem is None and stat.S_ISLNK(mode):
                problem = "link-in-archive", "a symbolic link"
            if problem is None and member.flag_bits & 1:
                problem = "encrypted", "a password is needed"
            yield _member(
                place, member.filename, member.file_size, problem, lambda m=member: packed.open(m), most_bytes
            )


def _tarred(file: IO[bytes], head: bytes, shown: str, most_bytes: int) -> Iterator[Held | Drop]:
    """A tar archive, packed or not; a packed file that is none is its own only member."""
    opener = next((opener for mark, opener in _PACKED.items() if head.startswith(mark)), None)
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    raw: Any = file
    if opener is not None:
        unpacked = opener(file, "rb")
        begin = unpacked.read(512)
        unpacked.seek(0)
        raw = _Limited(unpacked, size)
        if begin[_TAR_MARK_AT : _TAR_MARK_AT + len(_TAR_MARK)] != _TAR_MARK:
            name = PurePosixPath(shown).stem
            yield _member(f"{shown}/{name}", name, 0, None, lambda: raw, most_bytes)
            return
    with tarfile.open(fileobj=raw, mode="r|") as packed:
        for count, member in enumerate(packed, start=1):
            if count > _MOST_MEMBERS:
                raise _Bomb(f"more than {_MOST_MEMBERS:,} members")
            if member.isdir():
                continue
            problem = _unsafe(member.name)
            if problem is None and (member.issym() or member.islnk()):
                problem = "link-in-archive", f"a link to {shorten(member.linkname, width=60)}"
            if problem is None and not member.isreg():
                problem = "not-a-file", "a device, a pipe, or something else that holds no text"
            place = f"{shown}/{shorten(member.name)}"
            yield _member(place, member.name, member.size, problem, lambda m=member: packed.extractfile(m), most_bytes)


def _member(
    place: str, name: str, size: int, problem: tuple[str, str] | None, opened: Any, most_bytes: int
) -> Held | Drop:
    """One member read, or its drop; six parameters, because zip and tar say the same things in different words."""
    if problem is None and size > most_bytes:
        problem = "document-too-long", f"{size:,} bytes, the limit is {most_bytes:,} (max_mb)"
    if problem is None:
        try:
            content = opened().read(most_bytes + 1)
        except _BROKEN as error:
            problem = "broken-member", shorten(str(error) or type(error).__name__)
        else:
            if len(content) <= most_bytes:
                return Held(PurePosixPath(name).name, content, place)
            problem = "document-too-long", f"more than {most_bytes:,} bytes (max_mb)"
    return Drop(place=place, step=STEP, reason=problem[0], detail=problem[1])


def _unsafe(name: str) -> tuple[str, str] | None:
    """What is wrong with a member's name: nothing is written under it, but an honest archive has no such name."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not name.strip() or not parts or "\0" in name:
        return "unsafe-name", "no name"
    if ".." in parts or parts[0] == "/" or (len(name) > 1 and name[1] == ":"):
        return "unsafe-name", f"'{shorten(name, width=60)}' leads out of the archive"
    return None


def _refuse_bomb(unpacked: int, packed: int, count: int) -> None:
    if count > _MOST_MEMBERS:
        raise _Bomb(f"more than {_MOST_MEMBERS:,} members")
    if unpacked > max(_RATIO_FROM_BYTES, _MOST_RATIO * packed):
        raise _Bomb(f"{packed:,} bytes unpack to at least {unpacked:,}")


class _Limited(io.RawIOBase):
    """Unpacked bytes that end with a `_Bomb` when there are too many for the packed ones."""

    def __init__(self, file: Any, packed: int) -> None:
        self._file, self._packed, self._given = file, packed, 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        content: bytes = self._file.read(size)
        self._given += len(content)
        _refuse_bomb(self._given, self._packed, 0)
        return content
