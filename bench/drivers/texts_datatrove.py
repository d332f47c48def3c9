"""datatrove's line: a pipeline of its blocks, in one process."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from bench.drivers._texts_job import drive
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.logging import logger

logger.remove()


def work(texts: Path, folder: Path, settings: Any) -> int:
    """Blocks `[module, class, arguments]` in order; with `minhash`, its four steps after them."""
    kept, plain = folder / "kept", {"compression": None}

    def run(name: str, *steps: Any, tasks: int = 1) -> None:
        LocalPipelineExecutor(list(steps), tasks=tasks, workers=1, logging_dir=str(folder / f"log-{name}")).run()

    blocks = [
        getattr(importlib.import_module(f"datatrove.pipeline.{module}"), name)(**arguments)
        for module, name, arguments in settings["blocks"]
    ]
    run("read", JsonlReader(str(texts.parent), glob_pattern=texts.name), *blocks, JsonlWriter(str(kept), **plain))
    if "minhash" in settings:
        config = MinhashConfig(**settings["minhash"])
        signatures, buckets, gone, left = (str(folder / name) for name in ("signatures", "buckets", "gone", "left"))
        read = JsonlReader(str(kept))
        run("signatures", read, MinhashDedupSignature(output_folder=signatures, config=config))
        run("buckets", MinhashDedupBuckets(signatures, buckets, config=config), tasks=config.num_buckets)
        run("clusters", MinhashDedupCluster(buckets, gone, config=config))
        run("filter", read, MinhashDedupFilter(gone), JsonlWriter(left, **plain))
        kept = Path(left)
    return sum(1 for file in kept.glob("*.jsonl") for _ in file.open(encoding="utf-8"))


if __name__ == "__main__":
    drive(work, "datatrove")
