"""data-juicer's line: a recipe of its operators, in one process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.drivers._texts_job import drive
from data_juicer.config import init_configs
from data_juicer.core import DefaultExecutor


def work(texts: Path, folder: Path, settings: Any) -> int:
    """Operators `{name: arguments}` in order."""
    recipe, out = folder / "recipe.json", folder / "out" / "kept.jsonl"
    fields = {"project_name": "bench", "dataset_path": str(texts), "export_path": str(out), "np": 1}
    fields |= {"use_cache": False, "op_fusion": False, "open_tracer": False, "process": settings["process"]}
    recipe.write_text(json.dumps(fields), encoding="utf-8")  # JSON is YAML too
    DefaultExecutor(init_configs(["--config", str(recipe)])).run()
    return sum(1 for _ in out.open(encoding="utf-8"))


if __name__ == "__main__":
    drive(work, "py-data-juicer")
