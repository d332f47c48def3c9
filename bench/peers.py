"""Training: ours against TRL, LLaMA-Factory, LitGPT and the Transformers Trainer, each in a process of its own.

All train the same LoRA (rank 16, alpha 32, on query, key, value and output, no dropout) on the same tokens, with loss
on answers only, 8 rows a step, the same rate and schedule. Rates count the tokens of the rows, no padding. Every
trained model is judged by the same code on the same rows.

torchtune is left out: it is no longer developed, asks for torchao below 0.18, and has no builder for SmolLM2. Packing
into blocks of fixed length (TRL's `packing`, LLaMA-Factory's `neat_packing`) is left out because it puts another number
of rows into each step; TRL's `padding_free` computes the same on 8.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench import _environments, _flops, _process, _rows, floor
from bench._frame import Asked, Column, Figures, Outcome
from bench.drivers._shared import JUDGED_ROWS, Job

ROUNDS = 3
ROWS = 32
ROWS_PER_STEP = 8
RANK, ALPHA = 16, 32
LEARNING_RATE = 2e-4
SAME_LOSS = 0.01
"""Share by which losses may differ: another order of the rows and another random adapter, but the same work."""

ROLES = ("query", "key", "value", "output")
CONTENDERS = Path(__file__).with_name("contenders.json")
COLUMNS = (
    Column("tokens_per_second", "tokens/s"),
    Column("seconds", "seconds", 1),
    Column("peak_gb", "peak GB", 2),
    Column("import_s", "import s, without torch's", 1),
    Column("loss", "loss after", 4, compared=False),
)


@dataclass(frozen=True)
class Contender:
    """A trainer with its settings; a line of `contenders.json`.

    Args:
        name: in the table.
        driver: file of `bench/drivers`.
        environment: its virtual environment; empty: the one that runs the benchmark.
        packages: requirements of that environment.
        settings: in the trainer's own words, on top of the job's.
        cuda: the same, on a GPU only.
        why: what is behind the settings.
    """

    name: str
    driver: str
    environment: str = ""
    packages: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    cuda: dict[str, Any] = field(default_factory=dict)
    why: str = ""


def contenders(only: tuple[str, ...] = ()) -> list[Contender]:
    """tunesmith, and of the others those whose names have one of `only` in them; all if it is empty."""
    known = [Contender(**line) for line in json.loads(CONTENDERS.read_text(encoding="utf-8"))]
    wanted = [c for c in known[1:] if not only or any(part.lower() in c.name.lower() for part in only)]
    if only and not wanted:
        raise SystemExit(
            f"--only: no contender is like {', '.join(only)}; there are {', '.join(c.name for c in known)}"
        )
    return [known[0], *wanted]


def run(asked: Asked) -> Outcome:
    """All contenders in turn, as many rounds as are asked for."""
    rows = _rows.tokenised(_rows.rows(asked.rows or ROWS), asked.model)
    measure = yardstick(asked, rows)
    outcome = Outcome((*COLUMNS, measure.column))
    chosen = contenders(asked.only)
    pythons = _pythons(chosen, outcome)
    for number in range(asked.rounds or ROUNDS):
        for contender in [c for c in chosen if c.name in pythons]:
            job = job_of(contender, rows, asked)
            try:
                result = _process.drive(pythons[contender.name], contender.driver, job)
            except _process.Failed as error:
                outcome.notes.append(f"{contender.name} left the comparison: {error}")
                del pythons[contender.name]
                continue
            outcome.add(contender.name, figures := _figures(result, job, measure))
            rate, seconds = figures["tokens_per_second"], figures["seconds"]
            print(f"  round {number + 1}, {contender.name}: {rate:.0f} tokens/s, {seconds:.1f} s", flush=True)
            if len(outcome.runs[contender.name]) == 1:
                outcome.notes += _about(contender, result, job)
    outcome.notes += [_told_rows(rows), measure.told, *other_losses(outcome)]
    return outcome


def job_of(contender: Contender, rows: list[dict[str, Any]], asked: Asked) -> Job:
    """The work for one contender; `_process.drive` sets the folder."""
    return Job(
        model=str(asked.model),
        rows=rows,
        rows_per_step=ROWS_PER_STEP,
        epochs=asked.epochs or 1,
        learning_rate=LEARNING_RATE,
        rank=RANK,
        alpha=ALPHA,
        seed=0,
        device=asked.device,
        threads=asked.threads,
        folder="",
        settings=contender.settings | (contender.cuda if asked.device == "cuda" else {}),
    )


@dataclass(frozen=True)
class Yardstick:
    """What the work could be done in: the floor on a processor, the peak of the card on a GPU.

    Args:
        column: of the table.
        operations_per_token: the least.
        peak_tflops: 1e12 operations a second that are to be had.
        told: one line on it.
    """

    column: Column
    operations_per_token: float
    peak_tflops: float
    told: str

    def of(self, tokens_per_second: float) -> Figures:
        """Model FLOP utilisation in percent, or the time as a multiple of the floor; nothing for an unknown card."""
        if not self.peak_tflops:
            return {}
        used = _flops.utilisation(
            tokens_per_second=tokens_per_second,
            operations_per_token=self.operations_per_token,
            peak_tflops=self.peak_tflops,
        )
        return {self.column.name: 100 * used if self.column.name == "mfu" else 1 / used}


def yardstick(asked: Asked, rows: list[dict[str, Any]]) -> Yardstick:
    """For the LoRA of this comparison."""
    from tunesmith.models.estimate import lora_parameters
    from tunesmith.models.shape import shape_of_folder

    shape = shape_of_folder(asked.model)
    least = _flops.least_operations(shape, rows, trainable=lora_parameters(shape, RANK, roles=ROLES))
    per_token = least / sum(len(row["ids"]) for row in rows)
    if asked.device == "cuda":
        card, peak = _card(asked.peak_tflops)
        known = f"{peak:,.0f} TFLOP/s in bfloat16" if peak else "an unknown peak: --peak-tflops N names it"
        told = f"{card} with {known}; the least is {per_token / 1e9:.3f} GFLOP a token"
        return Yardstick(Column("mfu", "MFU %", 1, compared=False), per_token, peak, told)
    speed = floor.speed(shape, rows, threads=asked.threads)
    told = f"floor: {least / 1e12:.2f} TFLOP at {speed:.0f} GFLOP/s of matrix products are {least / speed / 1e9:.1f} s"
    return Yardstick(Column("floor", "x floor", 2, compared=False), per_token, speed / 1e3, told)


def _card(given: float | None) -> tuple[str, float]:
    import torch

    card = torch.cuda.get_device_name()
    return card, given or _flops.peak_tflops(card) or 0.0


def _pythons(chosen: list[Contender], outcome: Outcome) -> dict[str, Path]:
    """Contender -> python with its packages; who cannot be installed is noted and left out."""
    found: dict[str, Path] = {}
    for contender in chosen:
        try:
            found[contender.name] = _environments.python_of(contender.environment, contender.packages)
        except _process.Failed as error:
            outcome.notes.append(f"{contender.name} could not be installed: {error}")
    return found


def _figures(result: dict[str, Any], job: Job, measure: Yardstick) -> Figures:
    rate = job.epochs * sum(len(row["ids"]) for row in job.rows) / result["seconds"]
    plain = {name: float(result[name]) for name in ("seconds", "peak_gb", "import_s", "loss")}
    return {"tokens_per_second": rate, **plain, **measure.of(rate)}


def _about(contender: Contender, result: dict[str, Any], job: Job) -> list[str]:
    """What a reader must know of a contender; a warning where it trained on other tokens than it was given."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    lines = [
        f"{contender.name}: {versions}; {job.settings or 'no settings'}"
        + (f"; {contender.why}" if contender.why else "")
    ]
    wanted = job.epochs * sum(len(row["trained"]) for row in job.rows)
    if result["trained_tokens"] != wanted:
        lines.append(f"WARNING: {contender.name} trained on {result['trained_tokens']} tokens, not on {wanted}")
    return lines


def other_losses(outcome: Outcome) -> list[str]:
    """A warning for each contender whose loss says that it did other work than the first."""
    losses = {name: median(run["loss"] for run in runs) for name, runs in outcome.runs.items()}
    ours = next(iter(losses.values()), 0.0)
    return [
        f"WARNING: {name} came to a loss of {loss:.4f}, not {ours:.4f}: this was not the same work"
        for name, loss in losses.items()
        if abs(loss - ours) > SAME_LOSS * ours
    ]


def _told_rows(rows: list[dict[str, Any]]) -> str:
    tokens = [len(row["ids"]) for row in rows]
    answers = sum(len(row["trained"]) for row in rows)
    parts = [tokens[start : start + ROWS_PER_STEP] for start in range(0, len(tokens), ROWS_PER_STEP)]
    padded = sum(max(part) * len(part) for part in parts)
    return (
        f"{len(rows)} rows of {min(tokens)} to {max(tokens)} tokens from the library of Python "
        f"{platform.python_version()}: {sum(tokens):,} tokens, {answers / sum(tokens):.1%} of them answers; "
        f"padded to the longest of {ROWS_PER_STEP} they would be {padded:,}; loss on the first {JUDGED_ROWS}"
    )
