"""What an import brings with it, looked at in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

HEAVY = {
    *("torch", "transformers", "peft", "accelerate", "numpy", "scipy", "sklearn", "statsmodels", "pyarrow"),
    *("plotly", "sacrebleu", "rouge_score", "sqlalchemy", "gguf", "safetensors", "tokenizers", "jinja2"),
}


def modules_after(*names: str) -> set[str]:
    """Top-level modules that importing `names` leaves in `sys.modules`."""
    program = f"import json, sys\nimport {', '.join(names)}\nprint(json.dumps(sorted(sys.modules)))"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def test_importing_tunesmith_brings_nothing() -> None:
    brought = modules_after("tunesmith")
    assert "tunesmith" in brought
    assert brought.isdisjoint(HEAVY | {"pydantic", "rich", "typer", "ruamel"})


@pytest.mark.parametrize(
    "names",
    [
        ("tunesmith.core.types", "tunesmith.core.protocols", "tunesmith.core.shelf", "tunesmith.core.files"),
        ("tunesmith.core.ids", "tunesmith.core.events", "tunesmith.core.errors", "tunesmith.core.spec"),
        ("tunesmith.profile.spec", "tunesmith.profile.check", "tunesmith.profile.stage"),
    ],
)
def test_core_and_profile_bring_no_heavy_library(names: tuple[str, ...]) -> None:
    assert modules_after(*names).isdisjoint(HEAVY)


def test_the_records_bring_only_their_database() -> None:
    brought = modules_after("tunesmith.records.store", "tunesmith.records.ledger")
    assert brought & HEAVY == {"sqlalchemy"}
    assert "psycopg" not in brought
