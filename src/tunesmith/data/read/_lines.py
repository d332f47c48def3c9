"""Lines of a text file, one at a time: a line that cannot be used never touches its neighbours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tunesmith.core.types import Drop
from tunesmith.data.read._files import BOM, Opener
from tunesmith.data.read._parts import WHOLE, Part

STEP = "read"
_SKIP_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end; `number` is 1-based, `byte` the offset of its first byte in the file."""

    number: int
    text: str
    byte: int


def lines(
    path: Path | Opener, shown: str, *, max_bytes: int, notes: Counter[str], part: Part = WHOLE
) -> Iterator[Line | Drop]:
    r"""Every line of the part that is not blank, as text or as the drop it has to be.

    Memory holds one line of at most `max_bytes`; a longer one is skipped in pieces. Lines end with `\n` or `\r\n`
    only, so that Unicode separators inside a JSON string do not break it. A byte order mark is taken off and noted.

    Args:
        path: the file.
        shown: its name in places.
        max_bytes: longest line that is read.
        notes: `byte-order-mark` is counted here.
        part: which lines.
    """
    with path.open("rb") as file:
        file.seek(part.start)
        byte, number = part.start, part.line
        while (part.end is None or byte < part.end) and (raw := file.readline(max_bytes + 1)):
            number += 1
            begin, byte = byte, byte + len(raw)
            whole = raw.endswith(b"\n") or len(raw) <= max_bytes
            if begin == 0 and raw.startswith(BOM):
                notes["byte-order-mark"] += 1
                raw = raw.removeprefix(BOM)
            place = f"{shown}:{number}"
            if not whole:
                skipped, ended = _skip_line(file)
                byte += skipped + ended
                detail = f"{len(raw) + skipped:,} bytes, the limit is {max_bytes:,} (max_line_mb)"
                yield Drop(place=place, step=STEP, reason="line-too-long", detail=detail, byte=begin)
            elif raw.strip():
                yield _line_of(raw.rstrip(b"\r\n"), number, place, begin)


def _line_of(raw: bytes, number: int, place: str, byte: int) -> Line | Drop:
    if b"\0" in raw:
        detail = f"NUL byte at byte {raw.index(0) + 1} of the line"
        return Drop(place=place, step=STEP, reason="nul-bytes", detail=detail, byte=byte)
    try:
        return Line(number, raw.decode("utf-8"), byte)
    except UnicodeDecodeError as error:
        detail = f"byte 0x{raw[error.start]:02x} at byte {error.start + 1} of the line is not UTF-8"
        return Drop(place=place, step=STEP, reason="invalid-utf8", detail=detail, byte=byte)


def _skip_line(file: BinaryIO) -> tuple[int, int]:
    """Read to the end of the line in pieces; (bytes skipped without the line's end, bytes of that end)."""
    skipped = 0
    while piece := file.readline(_SKIP_BYTES):
        if piece.endswith(b"\n"):
            return skipped + len(piece) - 1, 1
        skipped += len(piece)
    return skipped, 0
