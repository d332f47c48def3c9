"""One training in a process of its own, its peak memory beside what was predicted: `python memory_driver.py JOB`.

Reads one JSON object from standard input: `folder` (for scratch), `small` and `model` (model folders), `rows` and
`length` of the training rows, `spec` (settings of the section `tune`). A training of the small model comes first, so
that what libraries load and make on first use is there; what the process holds then is its runtime part. Prints
`{"runtime": GB, "measured": GB, "predicted": GB without the runtime part, "parts": {...}}`.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent.parent / "src")]


def measure(asked: dict[str, Any]) -> dict[str, Any]:
    import psutil
    from tune_fakes import spec

    from tunesmith.tune.method import Machine
    from tunesmith.tune.predict import predict

    folder = Path(asked["folder"])
    train(folder / "small", Path(asked["small"]), rows=4, length=20, settings=asked["spec"])
    gc.collect()
    runtime = psutil.Process().memory_info().rss / 1e9
    made, tokens = train(folder / "large", Path(asked["model"]), asked["rows"], asked["length"], asked["spec"])
    machine, path = Machine(100.0, "cpu", 100.0), tokens.file("rows.parquet")
    found = predict(spec(**asked["spec"]), base=base(Path(asked["model"])), rows=path, machine=machine,
                    checkpointing=asked["spec"].get("activation_checkpointing") == "on")  # fmt: skip
    parts = {name: gb for name, gb in found["parts_gb"].items() if name != "runtime"}
    return {"runtime": runtime, "measured": made.peak_memory_gb, "predicted": sum(parts.values()), "parts": parts}


def train(folder: Path, model: Path, rows: int, length: int, settings: dict[str, Any]) -> Any:
    from tune_fakes import context_of, profile, snapshot_of, spec, tokens_of

    from tunesmith.tune import stage
    from tunesmith.tune.batches import Row

    ids = [(5, 9, 100 + n, *[(7 * n + place) % 300 for place in range(length - 3)]) for n in range(rows)]
    made = [Row(f"ex-{n}", row, tuple(range(length - length // 4, length - 1))) for n, row in enumerate(ids)]
    tokens, context = tokens_of(folder / "tokens", made), context_of(folder)
    section = spec(**settings)
    done = stage.run(
        section, base=base(model), profile=profile(), snapshot=snapshot_of(), tokens=tokens, context=context
    )
    return done, tokens


def base(folder: Path) -> Any:
    from tune_fakes import base_of

    return base_of(folder)


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    print(json.dumps(measure(json.load(sys.stdin))))
