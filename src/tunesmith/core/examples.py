"""Examples on disk: one Parquet file that every room can read.

Nested values (messages, tools, attributes, media) are columns of JSON text. Arrow structs would give every row the
union of all keys and fill the absent ones with nulls, which changes tool schemas and arguments; text stays as it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from tunesmith.core.errors import CorruptArtifact
from tunesmith.core.types import Example, Split

_PLAIN = ("id", "target", "group", "kind", "source", "licence", "place", "byte", "parent", "split", "desirable")
_JSON = ("messages", "rejected", "tools", "images", "audio", "attributes")
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_ROWS_PER_BATCH = 4096
_BYTES_PER_BATCH = 16_000_000


class ExampleWriter:
    """Writes examples to a new Parquet file, one after the other; a context manager.

    The same examples give the same bytes (same pyarrow version). They are written in groups of 4,096, or of as many as
    have 16 MB of text, so memory does not grow with the file. The file is not atomic by itself: stages write into a
    folder that is renamed as a whole.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {"desirable": pa.bool_(), "byte": pa.int64()}
        self._schema = pa.schema([pa.field(name, types.get(name, pa.string())) for name in (*_PLAIN, *_JSON)])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[dict[str, Any]] = []
        self._size = 0
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._writer.close()

    def add(self, example: Example) -> None:
        """Write one more."""
        row = _row(example)
        self._waiting.append(row)
        self._size += len(row["messages"])
        self.rows += 1
        if len(self._waiting) == _ROWS_PER_BATCH or self._size >= _BYTES_PER_BATCH:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            self._writer.write_table(pa.Table.from_pylist(self._waiting, schema=self._schema))
        self._waiting, self._size = [], 0


def write_examples(path: Path, examples: Iterable[Example]) -> int:
    """Write `examples` to a new Parquet file, in order, see `ExampleWriter`; returns the number of rows."""
    with ExampleWriter(path) as writer:
        for example in examples:
            writer.add(example)
    return writer.rows


def read_examples(path: Path, split: Split | None = None) -> list[Example]:
    """The examples that `write_examples` wrote, in the same order.

    Args:
        path: the Parquet file (`snapshot.file("examples.parquet")`).
        split: only rows of this split; None: all rows.

    Raises:
        CorruptArtifact: the file is missing, or was not written by `write_examples`.
    """
    return list(iterate_examples(path, split))


def iterate_examples(path: Path, split: Split | None = None) -> Iterator[Example]:
    """`read_examples` one at a time, so that memory holds one group of rows only."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                for row in file.read_row_group(group).to_pylist():
                    if split is None or row["split"] == split:
                        yield _example(row)
    except (OSError, pa.ArrowInvalid, KeyError, ValueError) as error:
        raise CorruptArtifact(f"{path} does not hold examples: {error}") from error


def _row(example: Example) -> dict[str, Any]:
    plain = example.model_dump(mode="json")
    for name in _JSON:
        plain[name] = _ENCODE(plain[name])
    return plain


def _example(row: dict[str, Any]) -> Example:
    values = {name: json.loads(row[name]) for name in _JSON}
    plain = {name: row[name] for name in _PLAIN if name in row}  # a column that an older version did not write
    return Example.model_validate({**plain, **values})
