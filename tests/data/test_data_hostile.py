"""Input that was made to hurt: nothing crashes, hangs or swells, each is told with place and reason, neighbours live.

The classes are data: (name, what it is made of, what must come of it). `OK` means that the row is read as it is.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from document_fakes import deflated_zeros, docx, pdf, tarred, xlsx, zip_link, zipped

from tunesmith.core.errors import UserError
from tunesmith.core.ids import digest_folder
from tunesmith.core.types import Drop, Example
from tunesmith.data.read.conversations import Conversations
from tunesmith.data.read.documents import Documents
from tunesmith.data.read.table import Table

OK, NOTHING = "ok", "nothing"
LIMIT = ("broken-document", "took-too-long", "took-too-much-memory", "crashed-parser")
"""A document that is meant to exhaust its parser: which of its limits it meets first is the parser's business."""
GOOD = b'{"instruction": "Name a colour.", "output": "red"}'


def row(instruction: str) -> bytes:
    return json.dumps({"instruction": instruction, "output": "x"}, ensure_ascii=False).encode()


def turn(**last: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": "q"}, last]}).encode()


JSON_LINES: dict[str, tuple[bytes, str]] = {
    "cut in the middle": (b'{"instruction": "a", "outp', "broken-json"),
    "trailing comma": (b'{"instruction": "a", "output": "b",}', "broken-json"),
    "single quotes": (b"{'instruction': 'a', 'output': 'b'}", "broken-json"),
    "comment": (b'{"instruction": "a", /* b */ "output": "b"}', "broken-json"),
    "two objects": (GOOD + GOOD, "broken-json"),
    "text after the object": (GOOD + b" and more", "broken-json"),
    "byte order mark in the middle": (b"\xef\xbb\xbf" + GOOD, "broken-json"),
    "control character in a string": (b'{"instruction": "a\x01b", "output": "b"}', "broken-json"),
    "NUL byte": (b'{"instruction": "a\0b", "output": "b"}', "nul-bytes"),
    "NUL bytes only": (b"\0" * 5000, "nul-bytes"),
    "no UTF-8": (b'{"instruction": "\xff", "output": "b"}', "invalid-utf8"),
    "Latin-1": ('{"instruction": "café", "output": "b"}'.encode("latin-1"), "invalid-utf8"),
    "GB18030": ('{"instruction": "年龄", "output": "b"}'.encode("gb18030"), "invalid-utf8"),
    "UTF-16": ('{"instruction": "a"}'.encode("utf-16-le").replace(b"\n", b""), "nul-bytes"),
    "overlong UTF-8": (b'{"instruction": "\xc0\xaf", "output": "b"}', "invalid-utf8"),
    "surrogate in UTF-8": (b'{"instruction": "\xed\xa0\x80", "output": "b"}', "invalid-utf8"),
    "beyond Unicode": (b'{"instruction": "\xf4\x90\x80\x80", "output": "b"}', "invalid-utf8"),
    "lone surrogate escape": (b'{"instruction": "\\ud800", "output": "b"}', "broken-json"),
    "surrogates the wrong way round": (b'{"instruction": "\\udc00\\ud800", "output": "b"}', "broken-json"),
    "lone surrogate in a key": (b'{"instruction": "a", "output": "b", "\\uDFFF": 1}', "broken-json"),
    "line of 12 MB": (row("x" * 12_000_000), "line-too-long"),
    "lists nested 100,000 deep": (b"[" * 100_000, "broken-json"),
    "objects nested 100,000 deep": (b'{"a":' * 100_000, "broken-json"),
    "key twice": (b'{"instruction": "a", "output": "b", "output": "c"}', "broken-json"),
    "NaN": (b'{"instruction": NaN, "output": "b"}', "broken-json"),
    "infinity": (b'{"instruction": -Infinity, "output": "b"}', "broken-json"),
    "number beyond a float": (b'{"instruction": 1e400, "output": "b"}', "broken-json"),
    "number of 5,000 digits": (b'{"instruction": %s, "output": "b"}' % (b"9" * 5000), "broken-json"),
    "list": (b'["a", "b"]', "not-an-object"),
    "number": (b"42", "not-an-object"),
    "empty object": (b"{}", "unknown-format"),
    "keys of nobody": (b'{"q": "a"}', "unknown-format"),
    "turns that are no list": (b'{"messages": "q"}', "broken-turn"),
    "turn that is a number": (b'{"messages": [1]}', "broken-turn"),
    "role of nobody": (turn(role="root", content="a"), "unknown-role"),
    "content that is a number": (turn(role="assistant", content=5), "broken-turn"),
    "video": (turn(role="assistant", content=[{"type": "video", "value": "v"}]), "unknown-part"),
    "deep JSON inside a call": (turn(role="function_call", content="[" * 50_000), "broken-tool-call"),
    "tools that are no JSON": (turn(role="assistant", content="a")[:-1] + b', "tools": "{"}', "broken-tools"),
    "empty answer": (b'{"instruction": "a", "output": " "}', "empty-answer"),
    # what looks dangerous and is only text
    "line and paragraph separators": (row("a\u2028b\u2029c\u0085d"), OK),
    "bidirectional override": (row("user\u202egnp.exe"), OK),
    "noncharacters": (row("a\ufffe\uffff\U0010ffff"), OK),
    "spreadsheet formula": (row("=cmd|' /C calc'!A0"), OK),
    "braces of a template": (row("{0.__class__} {{x}} ${jndi:ldap://x} {% raw %}"), OK),
    "SQL": (row("'; DROP TABLE rows; --"), OK),
    "path": (row("../../etc/passwd"), OK),
    "terminal escapes": (row("\u001b[2J\u001b]0;x\u0007"), OK),
    "expressions that backtrack": (row("a" * 60_000 + "!" + "<" * 60_000 + "&" * 60_000 + "(" * 60_000), OK),
    "a million combining marks": (row("e" + "\u0301" * 1_000_000), OK),
    "ten thousand keys": (GOOD[:-1] + b"".join(b', "k%d": 0' % i for i in range(10_000)) + b"}", OK),
}


@pytest.mark.parametrize("name", JSON_LINES)
def test_a_hostile_line_spoils_only_itself(name: str, tmp_path: Path) -> None:
    """Three lines, the hostile one in the middle; the byte offset of each is counted here by hand."""
    bad, expected = JSON_LINES[name]
    (tmp_path / "rows.jsonl").write_bytes(GOOD + b"\n" + bad + b"\n" + GOOD + b"\n")
    items = list(Conversations("rows.jsonl").read(tmp_path, ()))
    assert [item.place for item in items] == [f"rows.jsonl:{n}" for n in (1, 2, 3)]
    assert [item.byte for item in items] == [0, len(GOOD) + 1, len(GOOD) + len(bad) + 2]
    assert outcome(items[0]) == outcome(items[2]) == OK
    assert outcome(items[1]) == expected
    assert not isinstance(items[1], Drop) or 0 < len(items[1].detail) < 700


CSV_LINES: dict[str, tuple[bytes, list[str]]] = {
    "quote that never closes": (b'"1,x', ["unclosed-quote"]),
    "too few cells": (b"1", ["wrong-column-count"]),
    "too many cells": (b"1,x,y", ["wrong-column-count"]),
    "ten thousand cells": (b"," * 10_000, ["wrong-column-count"]),
    "quote inside": (b'"a"b,x', ["broken-csv"]),
    "NUL in a cell": (b"1,\0", ["nul-bytes"]),
    "Latin-1 cell": (b"1,caf\xe9", ["invalid-utf8"]),
    "broken line inside a quote": (b'"a\n\xff\nb",x', ["invalid-utf8", "broken-csv"]),
    "a carriage return alone": (b'"a\rb",x', [OK]),
    "formula": (b"=1+1,@SUM(A1)", [OK]),
}


@pytest.mark.parametrize("name", CSV_LINES)
def test_a_hostile_record_spoils_only_itself(name: str, tmp_path: Path) -> None:
    bad, expected = CSV_LINES[name]
    (tmp_path / "rows.csv").write_bytes(b"a,b\n0,good\n" + bad + b"\n9,good\n")
    items = list(Table("rows.csv", template="{a}", answer="b").read(tmp_path, ()))
    assert [outcome(item) for item in items] == [OK, *expected, OK]
    assert (items[0].byte, items[-1].byte) == (4, 12 + len(bad))


def _link(info: tarfile.TarInfo) -> None:
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"


def _hard_link(info: tarfile.TarInfo) -> None:
    info.type, info.linkname = tarfile.LNKTYPE, "../../etc/passwd"


def _device(info: tarfile.TarInfo) -> None:
    info.type, info.devmajor, info.devminor = tarfile.CHRTYPE, 1, 5


def _pipe(info: tarfile.TarInfo) -> None:
    info.type = tarfile.FIFOTYPE


def _with_good(*member: Any) -> bytes:
    return tarred(("good.txt", b"good words", None), member, ("last.txt", b"good words", None))


def _zip_changed(find: bytes, put: bytes, content: bytes = b"good words " * 9) -> bytes:
    return zipped({"bad.txt": content}).replace(find, put)


def _encrypted() -> bytes:
    """Bit 0 of the general flags, in the local header and in the central directory, says that a password is needed."""
    data = bytearray(zipped({"bad.txt": b"words"}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def _entities(root: str) -> str:
    """A billion laughs: ten entities of ten references each."""
    lines = ['<!ENTITY a0 "ha">'] + [f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10)]
    return f"<!DOCTYPE {root} [{''.join(lines)}]>"


_OUTER_ENTITY = '<!DOCTYPE w:document [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
DEEP = 1_000_000

FILES: dict[str, tuple[str, Callable[[], bytes], tuple[str, ...]]] = {
    "empty file": ("b.txt", lambda: b"", ("empty-document",)),
    "nothing but space": ("b.txt", lambda: b" \n\t\n" * 1000, ("empty-document",)),
    "Latin-1 text": ("b.txt", lambda: "café".encode("latin-1"), ("broken-document",)),
    "GB18030 text": ("b.txt", lambda: "高血压诊断".encode("gb18030"), ("broken-document",)),
    "UTF-16 text with its mark": ("b.txt", lambda: "good wörds".encode("utf-16"), (OK,)),
    "UTF-32 text with its mark": ("b.txt", lambda: "good wörds".encode("utf-32"), (OK,)),
    "text with a NUL": ("b.txt", lambda: b"a\0b", ("unknown-format",)),
    "text with a NUL far inside": ("b.txt", lambda: b"a" * 5000 + b"\0b", ("nul-bytes",)),
    "program": ("b.txt", lambda: b"\x7fELF\x02\x01\x01" + b"\0" * 100, ("unknown-format",)),
    "database": ("b.db", lambda: b"SQLite format 3\0" + b"\0" * 100, ("unknown-format",)),
    "pickle": ("b.pkl", lambda: b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x02os\x94.", ("unknown-format",)),
    "picture": ("b.png", lambda: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ("unknown-format",)),
    "7z": ("b.7z", lambda: b"7z\xbc\xaf\x27\x1c\0\x04", ("unknown-format",)),
    "text of 60 MB": ("b.txt", lambda: b"words " * 10_000_000, ("document-too-long",)),
    "front matter without an end": ("b.md", lambda: b"---\n" + b"a: &x [*x]\n" * 50_000, (OK,)),
    "PDF in a text file's name": ("b.txt", lambda: pdf("good words"), (OK,)),
    "PDF of a mark alone": ("b.pdf", lambda: b"%PDF-1.7\n", LIMIT),
    "PDF cut in the middle": ("b.pdf", lambda: pdf("good words")[:300], (*LIMIT, OK)),
    "PDF without pages": ("b.pdf", lambda: pdf(), LIMIT),
    "PDF without text": ("b.pdf", lambda: pdf(""), LIMIT),
    "PDF whose page tree is a ring": ("b.pdf", lambda: pdf("x", kids="2 0 R 2 0 R"), LIMIT),
    "PDF whose cross references are a ring": ("b.pdf", lambda: pdf("good words", extra=b"/Prev 9"), (*LIMIT, OK)),
    "PDF that counts two billion pages": (
        "b.pdf",
        lambda: pdf("x").replace(b"/Count 1", b"/Count 2000000000"),
        (*LIMIT, OK),
    ),
    "PDF that is encrypted": ("b.pdf", lambda: pdf("x", extra=b"/Encrypt<</Filter/Standard/V 9>>"), LIMIT),
    "PDF that unpacks to 500 MB": ("b.pdf", lambda: pdf("x", content=deflated_zeros(500)), LIMIT),
    "PDF with a million text operators": (
        "b.pdf",
        lambda: pdf("x", content=deflated_zeros(20, b"BT (a) Tj ET ")),
        (*LIMIT, OK),
    ),
    "PDF nested 100,000 deep": ("b.pdf", lambda: pdf("x", extra=b"/X" + b"[" * 100_000), (*LIMIT, OK)),
    "Word document cut in the middle": ("b.docx", lambda: docx("words")[:400], ("broken-archive", *LIMIT)),
    "Word document with a billion laughs": (
        "b.docx",
        lambda: docx(body="<w:p><w:r><w:t>&a9;</w:t></w:r></w:p>", head=_entities("w:document")),
        (*LIMIT, "empty-document"),
    ),
    "Word document that asks for a file of the system": (
        "b.docx",
        lambda: docx(body="<w:p><w:r><w:t>safe&x;</w:t></w:r></w:p>", head=_OUTER_ENTITY),
        (*LIMIT, OK, "empty-document"),
    ),
    "Word document that unpacks to 300 MB": ("b.docx", lambda: docx(body=" " * 300_000_000), LIMIT),
    "Word document nested 100,000 deep": ("b.docx", lambda: docx(body="<w:p>" * 100_000), LIMIT),
    "workbook cut in the middle": ("b.xlsx", lambda: xlsx(["a"], [1])[:500], ("broken-archive", "broken-workbook")),
    "workbook of one cell at the far end": (
        "b.xlsx",
        lambda: xlsx(
            sheet='<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
        ),
        ("broken-workbook", OK),
    ),
    "workbook with a billion laughs": (
        "b.xlsx",
        lambda: xlsx(sheet="&a9;", head=_entities("worksheet")),
        ("broken-workbook", NOTHING),
    ),
    "workbook with formulas": (
        "b.xlsx",
        lambda: xlsx(
            ["good"],
            sheet='<row r="1"><c r="A1" t="inlineStr"><is><t>good words</t></is></c></row>'
            "<row r='2'><c r='A2'><f>WEBSERVICE(\"http://x\")</f><v>7</v></c></row>",
        ),
        (OK,),
    ),
    "page nested a million deep": ("b.html", lambda: b"<html>" + b"<div>" * DEEP + b"good words", (*LIMIT, OK)),
    "page with a tag of a million attributes": (
        "b.html",
        lambda: b"<html><p " + b"".join(b"a%d=1 " % i for i in range(DEEP)) + b">good words</p>",
        (*LIMIT, OK),
    ),
    "page that never closes anything": ("b.html", lambda: b"<html><table><tr><td><b><i>" * 50_000 + b"x", (*LIMIT, OK)),
    "page of an encoding that nobody knows": (
        "b.html",
        lambda: b'<html><meta charset="x-nobody"><p>good words</p>',
        (OK,),
    ),
    "page of an encoding that is none": ("b.html", lambda: b'<html><meta charset="zlib"><p>good words</p>', (OK,)),
    "page that lies about its encoding": (
        "b.html",
        lambda: b'<html><meta charset="utf-8">caf\xe9',
        ("broken-document",),
    ),
    "page in GB2312": ("b.html", lambda: '<html><meta charset="gb2312"><p>好 good words</p>'.encode("gb18030"), (OK,)),
    "page of script alone": ("b.html", lambda: b"<html><script>while(1);</script></html>", ("empty-document",)),
    "page with a comment without an end": (
        "b.html",
        lambda: b"<html>" + b"<!-- " * 200_000,
        (*LIMIT, "empty-document", OK),
    ),
    "zip member that climbs": ("b.zip", lambda: zipped({"../../bad.txt": "x"}), ("unsafe-name",)),
    "zip member with an absolute name": ("b.zip", lambda: zipped({"/etc/cron.d/bad": "x"}), ("unsafe-name",)),
    "zip member that climbs with backslashes": ("b.zip", lambda: zipped({"..\\..\\bad.txt": "x"}), ("unsafe-name",)),
    "zip member without a name": ("b.zip", lambda: zipped({"Q": "x"}).replace(b"Q", b"\0"), ("unsafe-name",)),
    "zip member named dot": ("b.zip", lambda: zipped({".": "x"}), ("unsafe-name",)),
    "zip member on a drive": ("b.zip", lambda: zipped({"C:/bad.txt": "x"}), ("unsafe-name",)),
    "zip bomb": ("b.zip", lambda: zipped({"bad.txt": bytes(400_000_000)}), ("archive-bomb",)),
    "zip in a zip": ("b.zip", lambda: zipped({"inner.zip": zipped({"bad.txt": "x"})}), ("nested-archive",)),
    "zip with a password": ("b.zip", _encrypted, ("encrypted",)),
    "zip with a wrong sum": ("b.zip", lambda: _zip_changed(b"good words", b"evil words"), ("broken-member", OK)),
    "zip packed in a way of its own": (
        "b.zip",
        lambda: _zip_changed(b"\x08\0", b"\x63\0"),
        ("broken-member", "broken-archive"),
    ),
    "zip cut in the middle": ("b.zip", lambda: zipped({"bad.txt": b"words" * 500})[:80], ("broken-archive",)),
    "empty zip": ("b.zip", lambda: zipped({}), (NOTHING,)),
    "packed file": ("b.txt.gz", lambda: gzip.compress(b"good words"), (OK,)),
    "packed bomb": ("b.gz", lambda: gzip.compress(bytes(300_000_000)), ("archive-bomb", "document-too-long")),
    "packed file cut in the middle": (
        "b.gz",
        lambda: gzip.compress(os.urandom(5000))[:900],
        ("broken-archive", "broken-member"),
    ),
    "packed tar bomb": (
        "b.tgz",
        lambda: gzip.compress(tarred(("bad.txt", bytes(250_000_000), None))),
        ("document-too-long", "archive-bomb"),
    ),
    "JSON list that breaks off": ("b.json", lambda: b'[{"text": "good words"},\n{"text": ', (OK, "broken-json")),
    "JSON list with an element of 60 MB": (
        "b.json",
        lambda: b'[{"text": "' + b"x" * 60_000_000 + b'"}]',
        ("broken-json",),
    ),
    "Parquet of marks alone": ("b.parquet", lambda: b"PAR1" + b"\xff" * 64 + b"PAR1", ("broken-parquet",)),
}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_spoils_only_itself(name: str, tmp_path: Path) -> None:
    """Between two good files; at most 2 s of processor time in the parser, so ten in all on a busy machine."""
    file, make, expected = FILES[name]
    folder = tmp_path / "project" / "in"
    folder.mkdir(parents=True)
    for good in ("a.txt", "z.txt"):
        (folder / good).write_text("good words", encoding="utf-8")
    (folder / file).write_bytes(make())
    before = digest_folder(tmp_path)
    began = time.process_time()
    items = list(Documents("in").read(tmp_path / "project", ()))
    assert time.process_time() - began < 10
    assert digest_folder(tmp_path) == before  # nothing was written, inside the project or beside it
    found = [item for item in items if file in item.place]
    assert [outcome(item) for item in items if item not in found] == [OK, OK]
    assert {outcome(item) for item in found} <= set(expected)
    assert found or NOTHING in expected
    assert all(item.place.startswith(f"in/{file}") for item in found)
    assert all("root:" not in (item.text or "") for item in found if isinstance(item, Example))


ARCHIVES: dict[str, tuple[str, Callable[[], bytes], list[str]]] = {
    "tar member that climbs": ("b.tar", lambda: _with_good("../bad.txt", b"x", None), [OK, "unsafe-name", OK]),
    "tar member with an absolute name": ("b.tar", lambda: _with_good("/tmp/bad", b"x", None), [OK, "unsafe-name", OK]),
    "tar with a link": ("b.tar", lambda: _with_good("bad", None, _link), [OK, "link-in-archive", OK]),
    "tar with a hard link": ("b.tar", lambda: _with_good("bad", None, _hard_link), [OK, "link-in-archive", OK]),
    "tar with a device": ("b.tar", lambda: _with_good("bad", None, _device), [OK, "not-a-file", OK]),
    "tar with a pipe": ("b.tar", lambda: _with_good("bad", None, _pipe), [OK, "not-a-file", OK]),
    "tar cut after its first member": (
        "b.tar",
        lambda: _with_good("b", b"x" * 900, None)[:1600],
        [OK, "broken-member", "broken-archive"],
    ),
    "zip with a link": ("b.zip", lambda: zip_link("bad", "/etc/passwd"), [OK, "link-in-archive"]),
    "archive with names that differ in case": (
        "b.zip",
        lambda: zipped({"A.txt": "good words", "a.txt": "good words"}),
        [OK, OK],
    ),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_hostile_member_spoils_only_itself(name: str, tmp_path: Path) -> None:
    file, make, expected = ARCHIVES[name]
    (tmp_path / file).write_bytes(make())
    before = digest_folder(tmp_path)
    items = list(Documents(file).read(tmp_path, ()))
    assert [outcome(item) for item in items] == expected
    assert all(item.place.startswith(f"{file}/") or item.place == file for item in items)
    assert digest_folder(tmp_path) == before


def test_links_and_pipes_in_a_folder_are_told_and_not_opened(tmp_path: Path) -> None:
    folder = tmp_path / "project" / "in"
    folder.mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    (folder / "a.txt").write_text("good words", encoding="utf-8")
    (folder / "b-out.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "c-nowhere.txt").symlink_to(folder / "absent")
    (folder / "d-ring.txt").symlink_to(folder / "d-ring.txt")
    (folder / "e-folder").symlink_to(tmp_path)
    os.mkfifo(folder / "f-pipe.txt")
    (folder / "g-inside.txt").symlink_to(folder / "a.txt")
    (folder / ".hidden").write_bytes(b"\0")
    (folder / os.fsdecode(b"h-\xff.txt")).write_text("good words", encoding="utf-8")
    items = list(Documents("in").read(tmp_path / "project", ()))
    told = {item.place.removeprefix("in/"): outcome(item) for item in items}
    assert told == {
        "a.txt": OK,
        "b-out.txt": "path-outside",
        "c-nowhere.txt": "not-a-file",
        "d-ring.txt": "not-a-file",
        "e-folder": "path-outside",
        "f-pipe.txt": "not-a-file",
        "g-inside.txt": OK,
        "h-\N{REPLACEMENT CHARACTER}.txt": OK,
    }


@pytest.mark.parametrize("path", ["../in", "../*.txt", "in/../../*.txt", "a\0b", "", "absent/*.txt", "in/**/absent"])
def test_a_path_that_leads_out_or_nowhere_is_one_problem(path: str, tmp_path: Path) -> None:
    (tmp_path / "project" / "in").mkdir(parents=True)
    (tmp_path / "out.txt").write_text("secret", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        list(Documents(path).read(tmp_path / "project", ()))
    assert len(caught.value.problems) == 1


def test_there_are_at_least_sixty_classes() -> None:
    assert len({*JSON_LINES, *CSV_LINES, *FILES, *ARCHIVES}) >= 120


def test_a_zip_whose_members_overlap_is_a_bomb(tmp_path: Path) -> None:
    """Fifield's bomb: 300 entries of the central directory point at one member that unpacks to 10 MB."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("x", bytes(10_000_000))
    data = out.getvalue()
    at = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    directory, tail = data[at:end] * 300, bytearray(data[end:])
    tail[8:12] = (300).to_bytes(2, "little") * 2
    tail[12:16] = len(directory).to_bytes(4, "little")
    (tmp_path / "b.zip").write_bytes(data[:at] + directory + bytes(tail))
    assert [outcome(item) for item in Documents("b.zip").read(tmp_path, ())] == ["archive-bomb"]


def outcome(item: Example | Drop) -> str:
    return item.reason if isinstance(item, Drop) else OK
