"""Content ids: the same content, the same id; anything else, another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.core.ids import canonical_json, content_id, digest_bytes, digest_file, digest_folder
from tunesmith.core.types import Message, Noun

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class Free(Noun):
    value: Any


def test_canonical_json_by_hand() -> None:
    value = {"b": (1, 2.5), "a": {"é": None}, "c": {"y", "x"}, "d": Path("x") / "y"}
    assert canonical_json(value) == '{"a":{"é":null},"b":[1,2.5],"c":["x","y"],"d":"x/y"}'.encode()


def test_content_id_by_hand() -> None:
    """printf '{"a":1}' | sha256sum | cut -c1-16"""
    assert content_id("run", {"a": 1}) == "run-015abd7f5cc57a2d"


@given(JSON)
def test_canonical_json_says_the_same_value_again_and_does_not_depend_on_order(value: Any) -> None:
    data = canonical_json(value)
    read = json.loads(data.decode("utf-8", "surrogatepass"))
    assert read == value
    assert canonical_json(read) == data
    if isinstance(value, dict):
        assert canonical_json(dict(reversed(value.items()))) == data


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_are_refused_however_deep(bad: float) -> None:
    for value in (bad, {"a": [bad]}, Free(value=bad), {"a": Free(value={"b": (bad,)})}):
        with pytest.raises(ValueError, match="JSON compliant"):
            canonical_json(value)


def test_what_json_cannot_say_is_refused() -> None:
    for value in (object(), b"bytes", {"a": 1j}, {(1, 2): 3}):
        with pytest.raises(TypeError):
            canonical_json(value)


def test_a_model_is_its_fields() -> None:
    message = Message(role="user", content="hi")
    assert canonical_json({"m": message}) == canonical_json({"m": message.model_dump()})
    assert canonical_json(Free(value={"b", "a"})) == b'{"value":["a","b"]}'


def test_digests_of_files(tmp_path: Path) -> None:
    """sha256sum of an empty file begins with e3b0c442, of the three bytes abc with ba7816bf."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "abc").write_bytes(b"abc")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "left-out").write_bytes(b"x")
    found = digest_folder(tmp_path, skip=["left-out"])
    assert list(found) == ["deep/er/abc", "empty"]
    assert [digest[:8] for digest in found.values()] == ["ba7816bf", "e3b0c442"]


def test_a_large_file_is_read_whole(tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096 * 2 + b"end"  # a little more than two chunks of 1 MiB
    (tmp_path / "large").write_bytes(data)
    assert digest_file(tmp_path / "large") == digest_bytes(data)
