"""What every document format on the shelf promises."""

from __future__ import annotations

import pytest

from tunesmith.core.protocols import DocumentFormat
from tunesmith.core.shelf import Shelf

FORMATS = Shelf("formats", "tunesmith.data.formats")
NAMES = FORMATS.names()
FOREIGN = [b"", b"\x00\x01\x02", b"%PD", b"PK\x03\x04", b"<p", b"\xff\xfe", bytes(range(256))]


@pytest.fixture(params=NAMES)
def form(request: pytest.FixtureRequest) -> DocumentFormat:
    built: DocumentFormat = FORMATS.build(request.param)
    return built


def test_the_shelf_has_what_users_bring() -> None:
    assert {"plain", "markdown", "html", "pdf", "docx"} <= set(NAMES)


@pytest.mark.parametrize("head", FOREIGN, ids=repr)
def test_bytes_of_nothing_in_particular_are_known_to_nobody(form: DocumentFormat, head: bytes) -> None:
    assert not form.knows(head, "file.bin")


def test_it_says_of_what_kind_it_is(form: DocumentFormat) -> None:
    assert form.kind in ("structured", "semi_structured", "unstructured")
    assert form.risky in (True, False)
