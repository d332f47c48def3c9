"""Answers of a model that are asked for once: kept line by line, so that a killed run does not ask again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path


class Remembered:
    """Texts and what was answered to them, in a file to which every new answer is added at once.

    Args:
        path: the file; made with its folder where it is not there. A last line that was cut by a kill is asked again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, str] = {}
        self.asked = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            for line in path.read_bytes().split(b"\n"):
                try:
                    key, said = json.loads(line)
                    self._known[str(key)] = str(said)
                except ValueError:  # an empty or a torn line
                    continue

    def answers(self, texts: Sequence[str], ask: Callable[[Sequence[str]], list[str]]) -> list[str]:
        """The answer to each text; only those that are not known are asked for, each once."""
        new = [text for text in dict.fromkeys(texts) if _key(text) not in self._known]
        for start in range(0, len(new), _AT_ONCE):
            some = new[start : start + _AT_ONCE]
            said = ask(some)
            self.asked += len(some)
            lines = [json.dumps([_key(t), a]) + "\n" for t, a in zip(some, said, strict=True)]
            with self._path.open("ab") as file:
                file.write(("\n" + "".join(lines)).encode("ascii"))  # a torn line before does not spoil these
            self._known.update({_key(text): answer for text, answer in zip(some, said, strict=True)})
        return [self._known[_key(text)] for text in texts]


_AT_ONCE = 16


def _key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
