"""What the drivers that work on texts share; it imports nothing but the standard library.

A driver reads one JSON job: `texts`, a JSONL file; `folder`, where it may write; `settings`, the work in the peer's own
words. It writes one JSON result: seconds and processor seconds from the first byte read to the last one written,
imports left out, children included; the highest memory; and how many texts are left.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any


def drive(work: Callable[[Path, Path, Any], int], distribution: str) -> None:
    """Do the job that the command line names and write its result; `work` gives the number of texts that are left."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    began, spent = time.monotonic(), _processor_seconds()
    left = work(Path(job["texts"]), Path(job["folder"]), job["settings"])
    kilobytes = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    result = {
        "seconds": time.monotonic() - began,
        "cpu_s": _processor_seconds() - spent,
        "peak_mb": kilobytes / 1000,
        "left": left,
        "version": version(distribution),
    }
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")


def _processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
