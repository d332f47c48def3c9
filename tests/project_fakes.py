"""A small project that a tiny random model learns in seconds, shared by the tests of the project and of the app."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from fakes import tiny_model_folder

LABELS = ("red", "green", "blue")
_WORDS = ("river", "stone", "cloud", "paper", "glass", "table", "north", "music", "amber", "tiger", "lemon", "wagon")


def table_rows(count: int = 96, *, seed: int = 0, labels: Sequence[str] = LABELS) -> list[tuple[str, str]]:
    """(text, label): the last word of the text gives the label away; no two texts are alike."""
    chance = random.Random(seed)
    rows: dict[str, str] = {}
    while len(rows) < count:
        label = len(rows) % len(labels)
        text = " ".join([*chance.sample(_WORDS, 4), chance.choice("xyz"), "ABCDEFGH"[label]])
        rows.setdefault(text, labels[label])
    return list(rows.items())


def write_csv(path: Path, rows: Sequence[tuple[str, str]], *, header: str = "text,label") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(f"{line}\n" for line in [header, *(f'"{text}","{label}"' for text, label in rows)]), "utf-8"
    )


def settings(**changed: Any) -> dict[str, Any]:
    """The project file as a mapping; `changed` replaces whole sections (None takes one out)."""
    whole = {
        "schema": 1,
        "name": "colours",
        "profile": {
            "problem": "Name the colour.",
            "labels": list(LABELS),
            "targets": [
                {"measure": "accuracy", "at_least": 0.5},
                {"measure": "valid_output", "at_least": 0.5},
                {"measure": "retention", "at_least": 0.0},
            ],
        },
        "model": {"use": "model"},
        "data": {
            "sources": [
                {"use": "table", "path": "rows.csv", "system": "Colour?", "template": "{text}", "answer": "label"}
            ],
            "duplicates": {"near": None},
            "split": {"train": 0.6, "valid": 0.1, "test": 0.3},
            "limits": {"test_rows": 20},
        },
        "tune": {
            "strategy": {"use": "lora", "rank": 8, "alpha": 16, "upper": 1.0},
            "learning_rate": 0.01,
            "epochs": 12,
            "rows_per_step": 8,
            "context_tokens": 128,
        },
        "evaluate": {
            "latency_rows": 0,
            "likelihood_rows": 24,
            "resamples": 200,
            "retention": {"items": 20, "passages": 2},
        },
    }
    return {name: value for name, value in {**whole, **changed}.items() if value is not None}


def write_settings(folder: Path, whole: dict[str, Any]) -> Path:
    path = folder / "tunesmith.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(whole, file)
    return path


def tiny_model(folder: Path) -> Path:
    """A model of 50,000 weights under `folder/model`, whose logits are wide enough to learn quickly."""
    folder.mkdir(parents=True, exist_ok=True)
    made = tiny_model_folder(folder, num_hidden_layers=2, initializer_range=0.15, max_position_embeddings=1024)
    return made.rename(folder / "model")


def project_folder(folder: Path, **changed: Any) -> Path:
    """A whole project: tiny model, 96 rows of 3 colours, project file."""
    tiny_model(folder)
    write_csv(folder / "rows.csv", table_rows())
    write_settings(folder, settings(**changed))
    return folder


ROOT = Path(__file__).resolve().parents[1]
FORMATS = ROOT.parent / "shared" / "data" / "formats"


def stage_folders(project: Path) -> set[str]:
    """`stage/run` of every finished run, hidden and temporary names included: a half-written one would show."""
    return {p.relative_to(project / ".tunesmith/runs").as_posix() for p in project.glob(".tunesmith/runs/*/*")}


def files_below(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@dataclass(frozen=True)
class Ended:
    """What a command line came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as exactly one JSON document."""
        return json.loads(self.out)

    @property
    def codes(self) -> list[str]:
        """The codes of the problems that were told with `--json`."""
        return [problem["code"] for problem in self.json["problems"]]


class CommandLine:
    """Command lines in processes of their own, forked from one that has torch loaded; see command_server.py."""

    def __init__(self, cache: Path) -> None:
        self.env = {"TUNESMITH_CACHE": str(cache), "COLUMNS": "200", "TUNESMITH_LANG": "en"}
        env = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")]),
            "OMP_NUM_THREADS": "1",
        }
        self.server = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "command_server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
            text=True,
        )

    def __call__(
        self, *argv: str | Path, cwd: Path | None = None, interrupt_at: str = "", env: dict[str, str] | None = None
    ) -> Ended:
        """Run one command line to its end.

        Args:
            argv: its words.
            cwd: its working folder.
            interrupt_at: send SIGINT as soon as standard error holds this text.
            env: more environment variables.
        """
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            asked = {"argv": [str(word) for word in argv], "cwd": str(cwd or folder), "out": str(out), "err": str(err)}
            pid = self._ask({**asked, "env": self.env | (env or {})})["pid"]
            if interrupt_at:
                self._wait_for(interrupt_at, err)
                os.kill(pid, signal.SIGINT)
            code = self._answer()["code"]
            return Ended(code, out.read_text("utf-8"), err.read_text("utf-8"))

    def _ask(self, asked: dict[str, Any]) -> Any:
        assert self.server.stdin is not None
        self.server.stdin.write(json.dumps(asked) + "\n")
        self.server.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self.server.stdout is not None
        return json.loads(self.server.stdout.readline())

    @staticmethod
    def _wait_for(text: str, err: Path) -> None:
        until = time.monotonic() + 120
        while not (err.exists() and text in err.read_text("utf-8", errors="replace")):
            assert time.monotonic() < until, f"'{text}' never came"
            time.sleep(0.02)

    def close(self) -> None:
        for stream in (self.server.stdin, self.server.stdout):
            assert stream is not None
            stream.close()
        self.server.wait()
