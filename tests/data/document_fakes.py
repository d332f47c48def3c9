"""Small valid files of every format, and their hostile relatives, made byte by byte."""

from __future__ import annotations

import io
import json
import random
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping


def pdf(*pages: str, content: bytes | None = None, kids: str | None = None, extra: bytes = b"") -> bytes:
    """A PDF with one line of text a page.

    Args:
        pages: the texts.
        content: a content stream, Flate-packed, instead of that of every page.
        kids: the page tree's children instead of the pages.
        extra: entries for the trailer.
    """
    numbers = [4 + 2 * i for i in range(len(pages))]
    tree = kids if kids is not None else " ".join(f"{n} 0 R" for n in numbers)
    objects = {
        1: b"<</Type/Catalog/Pages 2 0 R>>",
        2: f"<</Type/Pages/Kids[{tree}]/Count {len(pages)}>>".encode(),
        3: b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    }
    for n, text in zip(numbers, pages, strict=True):
        resources = "/Resources<</Font<</F1 3 0 R>>>>/MediaBox[0 0 612 792]"
        objects[n] = f"<</Type/Page/Parent 2 0 R{resources}/Contents {n + 1} 0 R>>".encode()
        stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
        packed = content is not None
        body = content if content is not None else stream
        filtered = b"/Filter/FlateDecode" if packed else b""
        objects[n + 1] = b"<</Length %d%s>>stream\n%s\nendstream" % (len(body), filtered, body)
    out, offsets = bytearray(b"%PDF-1.4\n"), {}
    for number, body in objects.items():
        offsets[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offsets[n] for n in sorted(offsets))
    out += b"trailer\n<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, extra, start)
    return bytes(out)


def deflated_zeros(megabytes: int, unit: bytes = b" ") -> bytes:
    """A Flate stream that unpacks to so many MB."""
    packer = zlib.compressobj(9)
    piece = unit * (1_000_000 // len(unit))
    return b"".join(packer.compress(piece) for _ in range(megabytes)) + packer.flush()


def zipped(members: Mapping[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as packed:
        for name, content in members.items():
            packed.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


def zip_link(name: str, target: str) -> bytes:
    """A zip archive with a good text and a symbolic link."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("good.txt", "good words")
        info = zipfile.ZipInfo(name)
        info.create_system, info.external_attr = 3, 0o120777 << 16
        packed.writestr(info, target)
    return out.getvalue()


def tarred(*members: tuple[str, bytes | None, Callable[[tarfile.TarInfo], None] | None], mode: str = "w") -> bytes:
    """A tar archive of (name, content, what to change of the header)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as packed:  # type: ignore[call-overload]
        for name, content, change in members:
            info = tarfile.TarInfo(name)
            info.size = len(content or b"")
            if change is not None:
                change(info)
            packed.addfile(info, io.BytesIO(content or b""))
    return out.getvalue()


_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>{}</Types>'
)
_RELS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}" '
    'Target="{target}"/></Relationships>'
)
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def docx(*paragraphs: str, body: str | None = None, head: str = "") -> bytes:
    """A Word document; `body` instead of paragraphs, `head` between the XML declaration and the root."""
    inner = body if body is not None else "".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in paragraphs)
    override = (
        '<Override PartName="/word/document.xml" ContentType='
        '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/>'
    )
    return zipped(
        {
            "[Content_Types].xml": _TYPES.format(override),
            "_rels/.rels": _RELS.format(kind="officeDocument", target="word/document.xml"),
            "word/document.xml": f'<?xml version="1.0"?>{head}<w:document xmlns:w="{_WORD}"><w:body>{inner}</w:body>'
            "</w:document>",
        }
    )


def xlsx(*rows: list[str | int], sheet: str | None = None, head: str = "") -> bytes:
    """A workbook with one sheet; `sheet` is its `sheetData` instead of the rows."""
    if sheet is None:
        sheet = "".join(_row(number, cells) for number, cells in enumerate(rows, start=1))
    overrides = (
        '<Override PartName="/xl/workbook.xml" ContentType='
        '"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
        '<Override PartName="/xl/worksheets/sheet1.xml" ContentType='
        '"application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>'
    )
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    return zipped(
        {
            "[Content_Types].xml": _TYPES.format(overrides),
            "_rels/.rels": _RELS.format(kind="officeDocument", target="xl/workbook.xml"),
            "xl/workbook.xml": f'<?xml version="1.0"?><workbook xmlns="{_SHEET}" xmlns:r="{relation}"><sheets>'
            '<sheet name="Loans" sheetId="1" r:id="rId1"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": _RELS.format(kind="worksheet", target="worksheets/sheet1.xml"),
            "xl/worksheets/sheet1.xml": f'<?xml version="1.0"?>{head}<worksheet xmlns="{_SHEET}"><sheetData>{sheet}'
            "</sheetData></worksheet>",
        }
    )


def _row(number: int, cells: list[str | int]) -> str:
    told = ""
    for column, cell in enumerate(cells):
        place = f"{chr(ord('A') + column)}{number}"
        if isinstance(cell, int):
            told += f'<c r="{place}"><v>{cell}</v></c>'
        else:
            told += f'<c r="{place}" t="inlineStr"><is><t>{cell}</t></is></c>'
    return f'<row r="{number}">{told}</row>'


def parquet() -> bytes:
    """A Parquet file of two rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": ["one", "two"], "n": [1, 2]}), out)
    return bytes(out.getvalue())


def valid_files() -> dict[str, bytes]:
    """Name -> a small valid file of every format that `documents` reads."""
    turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "good day"}]
    lines = [json.dumps({"text": f"row {i} of some words"}) for i in range(4)] + [json.dumps({"messages": turns})]
    return {
        "a.txt": "Plain words, in two lines.\nAnd a second — with ünïcode 中文.\n".encode(),
        "a.md": b"---\ntitle: x\n---\n# Heading\n\nWords with *marks*.\n\n- item\n",
        "a.html": b"<!doctype html><html><head><meta charset='utf-8'><title>t</title></head><body><p>One &amp; two</p>"
        b"<table><tr><td>1</td><td>2</td></tr></table></body></html>",
        "a.csv": b'age,words,rating\n41,"a, b",good\n23,"c\nd",bad\n',
        "a.tsv": b"age\twords\n41\ta\n23\tb\n",
        "a.jsonl": "\n".join(lines).encode() + b"\n",
        "a.json": ("[" + ",\n".join(lines) + "]").encode(),
        "a.parquet": parquet(),
        "a.pdf": pdf("First page words", "Second page words"),
        "a.docx": docx("A paragraph of words", "and a second one"),
        "a.xlsx": xlsx(["age", "rating"], [41, "good"], [23, "bad"]),
        "a.zip": zipped({"one.txt": "inner words", "two/rows.jsonl": lines[0] + "\n"}),
        "a.tar": tarred(("one.txt", b"inner words", None)),
        "a.tar.gz": tarred(("one.txt", b"inner words", None), mode="w:gz"),
    }


def mutated(content: bytes, draw: random.Random) -> bytes:
    """`content` with a few bytes flipped, cut, doubled, put in or put elsewhere."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 5, 20))):
        at = draw.randrange(len(data) + 1) if data else 0
        end = min(len(data), at + draw.choice((1, 2, 8, 64)))
        kind = draw.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del data[at:end]
        elif kind == 2:
            data[at:at] = data[at:end] * draw.choice((1, 3, 50))
        elif kind == 3:
            data[at:at] = draw.randbytes(draw.choice((1, 4, 32)))
        elif kind == 4:
            data[at:at] = draw.choice((b"\0", b"\xff", b'"', b"<", b"[" * 200, b"\n", b"\xed\xa0\x80", b"9" * 40))
        else:
            del data[at:]
    return bytes(data)
