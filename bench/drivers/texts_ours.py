"""Our line: the stage `data` on one JSONL file of texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy  # noqa: F401 - before the clock starts, as the peers import it
import pyarrow.parquet  # noqa: F401
import scipy.sparse  # noqa: F401
from bench.drivers._texts_job import drive

from tunesmith.core.events import Events
from tunesmith.core.protocols import Context
from tunesmith.core.types import Profile
from tunesmith.data import stage
from tunesmith.data.spec import DataSpec


def work(texts: Path, folder: Path, settings: Any) -> int:
    """Source to snapshot with the section `data` of `settings`."""
    source = {"use": "text", "path": str(texts)}
    limits = {"broken": 1.0, "dropped": 1.0}
    spec = DataSpec.model_validate(
        {"duplicates": {"exact": False, "near": None}, **settings, "limits": limits} | {"sources": [source]}
    )
    out, scratch = folder / "out", folder / "scratch"
    out.mkdir()
    scratch.mkdir()

    def nobody(_: Any) -> Any:
        raise NotImplementedError

    context = Context(root=folder, out=out, scratch=scratch, events=Events(), seed=0, run="run-1", open=nobody)
    return stage.run(spec, profile=Profile(problem="p", task="generation"), context=context).kept


if __name__ == "__main__":
    drive(work, "tunesmith")
