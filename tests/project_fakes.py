"""A small project that a tiny random model learns in seconds, shared by the tests of the project and of the app."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from fakes import tiny_model_folder

LABELS = ("red", "green", "blue")
_WORDS = ("river", "stone", "cloud", "paper", "glass", "table", "north", "music", "amber", "tiger", "lemon", "wagon")


def table_rows(count: int = 96, *, seed: int = 0, labels: Sequence[str] = LABELS) -> list[tuple[str, str]]:
    """(text, label): the last word of the text gives the label away; no two texts are alike."""
    chance, rows = random.Random(seed), {}
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
