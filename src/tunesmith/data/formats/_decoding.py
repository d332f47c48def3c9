"""Bytes of a text as characters, where that can be known and not guessed."""

from __future__ import annotations

import codecs
import re

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks; that of UTF-32 LE begins with that of UTF-16 LE, so it is tried before."""


def decoded(content: bytes, declared: str | None = None) -> str:
    """The text: by its byte order mark, else by what the document declares, else as UTF-8; line ends become line feeds.

    Args:
        content: the bytes.
        declared: name of an encoding that the document itself gives; one that nobody knows counts as none.

    Raises:
        ValueError: the bytes are not in that encoding.
    """
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    if encoding is None and declared is not None:
        encoding = _known(declared)
    try:
        text = content.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        found = f"byte 0x{content[error.start]:02x} at byte {error.start + 1}"
        raise ValueError(f"{found} is not {(encoding or 'utf-8').upper()}") from None
    return re.sub(r"\r\n?", "\n", text.removeprefix("\ufeff"))


def _known(declared: str) -> str | None:
    """The codec for a declared name; GB2312 and GBK are read as GB18030, which holds them and what pages really use."""
    try:
        codec = codecs.lookup(declared)
    except (LookupError, ValueError):
        return None
    if not codec._is_text_encoding:
        return None
    return "gb18030" if codec.name in ("gb2312", "gbk") else codec.name
