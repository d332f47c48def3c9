"""Peak memory of real trainings of small models of several shapes, in processes of their own, beside the estimate.

What the constants of the estimate were fitted on (SmolLM2) has other widths, depths and tokens than these.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fakes import tiny_model_folder

DRIVER = Path(__file__).with_name("memory_driver.py")
LORA = {"use": "lora", "rank": 16, "alpha": 32, "upper": 1.0}
LAYERED = {"use": "layered", "rank": 16, "alpha": 32, "frozen": 0.5, "adapted": 0.3}
WIDE = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 8}
NARROW = {"hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 6}
DEEP = {"hidden_size": 320, "intermediate_size": 640, "num_hidden_layers": 12}
HEADS: dict[str, Any] = {"num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 1024}

CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "full": (NARROW, {"strategy": {"use": "full"}}),
    "lora": (NARROW, {"strategy": LORA}),
    "lora on attention, wide": (WIDE, {"strategy": {**LORA, "roles": "attention"}}),
    "layered": (NARROW, {"strategy": LAYERED}),
    "full, wide": (WIDE, {"strategy": {"use": "full"}}),
    "lora, wide": (WIDE, {"strategy": LORA}),
    "lora on the upper half, wide": (WIDE, {"strategy": {**LORA, "upper": 0.5}}),
    "lora, activations again, wide": (WIDE, {"strategy": LORA, "activation_checkpointing": "on"}),
    "full, activations again": (NARROW, {"strategy": {"use": "full"}, "activation_checkpointing": "on"}),
    "full, deep": (DEEP, {"strategy": {"use": "full"}}),
    "lora, deep": (DEEP, {"strategy": LORA}),
    "blockwise, deep": (DEEP, {"strategy": {"use": "blockwise", "rank": 4, "alpha": 8, "upper": 1.0}}),
    "layered, deep": (DEEP, {"strategy": LAYERED}),
}
QUICK = 4
"""So many of them always; the others are for changes of the formula: `-m slow`."""


def measured(tmp_path: Path, size: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    small = tiny_model_folder(tmp_path)
    model = tiny_model_folder(tmp_path, "qwen2", **{**HEADS, **size})
    told = {"epochs": 1, "rows_per_step": 8, "tokens_per_micro_batch": 4096, "checkpoint_every": "99 steps"}
    job = {
        "folder": str(tmp_path),
        "small": str(small),
        "model": str(model),
        "rows": 16,
        "length": int(os.environ.get("EST_LENGTH", "256")),
    }
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(DRIVER)], input=json.dumps({**job, "spec": {**told, **settings}}), env=environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.strip().rpartition("\n")[2])
    return found


@pytest.mark.parametrize(
    "name", [*[*CASES][:QUICK], *(pytest.param(name, marks=pytest.mark.slow) for name in [*CASES][QUICK:])]
)
def test_the_estimate_of_memory_is_within_15_percent_of_what_a_training_takes(name: str, tmp_path: Path) -> None:
    found = measured(tmp_path, *CASES[name])
    assert found["measured"] == pytest.approx(found["runtime"] + found["predicted"], rel=0.15), found
