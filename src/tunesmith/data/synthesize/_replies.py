"""What a model said, kept: append-only JSON Lines, one answer a line, found again by the id of its question."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tunesmith.core.ids import canonical_json


@dataclass(frozen=True)
class Reply:
    """An answer, or why there is none.

    Args:
        text: what was said.
        stop: `end`, or `length` where it was cut at the longest answer.
        failed: kebab-case reason why there is no answer; empty where there is one.
        detail: what was seen when it failed.
        prompt_tokens, answer_tokens: what the model counted; None where it did not say.
        seconds: wall time of the request that was answered.
    """

    text: str = ""
    stop: str = "end"
    failed: str = ""
    detail: str = ""
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    seconds: float = 0.0


class Replies:
    """The file of answers; safe between threads. Failures are not kept: a later run may ask again.

    A line that a kill cut in half is taken off when the file is opened.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        self._lock = threading.Lock()
        self._places: dict[str, int] = {}
        self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def find(self, key: str) -> Reply | None:
        """The answer to a question that was asked before."""
        with self._lock:
            place = self._places.get(key)
            if place is None:
                return None
            self._file.seek(place)
            return _reply(json.loads(self._file.readline()))

    def keep(self, key: str, reply: Reply) -> None:
        """Write an answer down, on the disk before this returns."""
        said = {name: value for name, value in asdict(reply).items() if name not in ("failed", "detail")}
        line = canonical_json({"key": key, **said}) + b"\n"
        with self._lock:
            self._places[key] = self._file.seek(0, os.SEEK_END)
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())

    def _read(self) -> None:
        self._file.seek(0)
        whole = 0
        while line := self._file.readline():
            entry = _entry(line)
            if entry is None and not line.endswith(b"\n"):
                break
            if entry is not None:
                self._places[entry["key"]] = whole
            whole += len(line)
        self._file.truncate(whole)


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("key"), str) and line.endswith(b"\n") else None


def _reply(entry: Mapping[str, Any]) -> Reply:
    return Reply(**{name: value for name, value in entry.items() if name != "key"})
