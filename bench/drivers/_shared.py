"""What the drivers share. It imports torch and nothing else, so that every peer's own python can run it.

A driver is `python -m bench.drivers.NAME JOB RESULT`, started by `bench/_process.py` with the repository as its working
folder: it reads one JSON job, does the work as its trainer's users would, and writes one JSON result. torch is imported
first, here: what is imported after it is the trainer's own import time.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

GB = 1e9
JUDGED_ROWS = 32
"""Rows on which the trained model is judged; the clock has stopped by then."""

IGNORED = -100
"""Label of a token without loss, in PyTorch and in every peer."""


@dataclass(frozen=True)
class Job:
    """The work. Dropout, weight decay and warm-up are off, the rate falls as a half cosine, the clip norm is 1.

    Args:
        model: folder of the model.
        rows: of each row its tokens `ids`, the places `trained` that carry loss, and the texts `prompt` and `answer`.
        rows_per_step: rows of one optimiser step.
        epochs: passes over the rows.
        learning_rate: peak of AdamW's rate.
        rank, alpha: of the LoRA on query, key, value and output projection of every layer.
        seed: of the data's order and of the adapter.
        device: `cpu` computes in float32, `cuda` in bfloat16.
        threads: of torch, on the processor.
        folder: where the driver may write.
        settings: of this trainer, in its own words.
    """

    model: str
    rows: list[dict[str, Any]]
    rows_per_step: int
    epochs: int
    learning_rate: float
    rank: int
    alpha: int
    seed: int
    device: str
    threads: int
    folder: str
    settings: dict[str, Any]

    @property
    def dtype(self) -> torch.dtype:
        """The type of number of weights and arithmetic."""
        return torch.bfloat16 if self.device == "cuda" else torch.float32

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        return self.epochs * -(-len(self.rows) // self.rows_per_step)


TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")


def read_job() -> Job:
    """The job that the command line names; torch gets its threads and its seed."""
    job = Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    torch.set_num_threads(job.threads)
    torch.manual_seed(job.seed)
    return job


def labels(row: dict[str, Any]) -> list[int]:
    """The row's tokens where they carry loss, `IGNORED` elsewhere."""
    trained = set(row["trained"])
    return [token if place in trained else IGNORED for place, token in enumerate(row["ids"])]


class Clock:
    """Times the training and notes the memory; a context manager around it."""

    def __init__(self, device: str) -> None:
        self.device, self.seconds, self.peak_gb = device, 0.0, 0.0

    def __enter__(self) -> Clock:
        self._wait()
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._wait()
        self.seconds = time.perf_counter() - self._began
        self.peak_gb = peak_gb(self.device)

    def _wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def peak_gb(device: str) -> float:
    """Most memory so far in 1e9 bytes: resident memory of this process, on a GPU what tensors took there."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / GB
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage counts what the process was before it became this program
        kilobytes = next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(kilobytes) * 1024 / GB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GB


@torch.no_grad()
def answer_loss(job: Job, logits: Callable[[torch.Tensor], torch.Tensor]) -> float:
    """Cross-entropy in nats per answer token of the first rows, one at a time, so without padding.

    Args:
        job: its rows.
        logits: tokens [1, T] -> logits [1, T, V] of the trained model, dropout off.
    """
    total = count = 0.0
    for row in job.rows[:JUDGED_ROWS]:
        said = logits(torch.tensor([row["ids"]], device=job.device))[0].float()
        places = torch.tensor(row["trained"])
        wanted = torch.tensor(row["ids"])[places].to(said.device)
        total += float(torch.nn.functional.cross_entropy(said[places - 1], wanted, reduction="sum"))
        count += len(places)
    return total / count


def write_result(clock: Clock, *, trained_tokens: int, loss: float, packages: tuple[str, ...], note: str = "") -> None:
    """Write what was measured to where the command line says.

    Args:
        clock: after the training.
        trained_tokens: labels that the trainer put before its model, counted there and not taken from the job.
        loss: after training, see `answer_loss`.
        packages: whose versions belong to the result.
        note: what else must be known.
    """
    result = {
        "seconds": clock.seconds,
        "peak_gb": clock.peak_gb,
        "trained_tokens": trained_tokens,
        "loss": loss,
        "versions": {name: version(name) for name in ("torch", *packages)},
        "note": note,
    }
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")
