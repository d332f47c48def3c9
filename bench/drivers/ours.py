"""tunesmith itself: the stages `model`, `tokens` and `tune`, called as the runner calls them.

Nothing is special here but that data and baseline are left out. The clock counts the stage `tune` but for loading the
model, which the peers' clocks leave out as well: trying whether rows can be packed, border states, training, step
checkpoints, and saving the adapter. The peers' clocks count the training alone.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.drivers._shared import Clock, Job, answer_loss, read_job, write_result

from tunesmith.core.events import Events
from tunesmith.core.examples import write_examples
from tunesmith.core.protocols import Context
from tunesmith.core.types import Example, Message, Profile, Snapshot, example_id
from tunesmith.models import load
from tunesmith.models import stage as model_stage
from tunesmith.models.spec import ModelSpec
from tunesmith.tune import prepare
from tunesmith.tune import stage as tune_stage
from tunesmith.tune.spec import TuneSpec

LORA = {"use": "lora", "roles": ["query", "key", "value", "output"], "upper": 1}


def main() -> None:
    """Run the job."""
    job = read_job()
    with tempfile.TemporaryDirectory(dir=job.folder) as folder:
        clock, checkpoint, trained_tokens = trained(job, Path(folder))
        model = _opened(checkpoint, job).to(job.device).eval()
        loss = answer_loss(job, lambda ids: model(input_ids=ids, use_cache=False).logits)
    write_result(clock, trained_tokens=trained_tokens, loss=loss, packages=("transformers", "peft"))


def _opened(checkpoint: Path, job: Job) -> Any:
    """What was trained, opened by Transformers and PEFT alone: a whole model, or an adapter on the base."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    if (checkpoint / "model").is_dir():
        return AutoModelForCausalLM.from_pretrained(checkpoint / "model", dtype=job.dtype)
    base = AutoModelForCausalLM.from_pretrained(job.model, dtype=job.dtype)
    return PeftModel.from_pretrained(base, checkpoint / "adapter")


def trained(job: Job, folder: Path) -> tuple[Clock, Path, int]:
    """The clock of the stage `tune`, the folder of its checkpoint, and the trained tokens of all epochs."""
    import peft  # noqa: F401  imports have a column of their own
    import transformers.models.llama.modeling_llama  # noqa: F401

    import tunesmith.tune.loop  # noqa: F401

    context = _context(job, folder)
    base = model_stage.run(ModelSpec(use=job.model), context=context).model_copy(update={"id": "base-bench"})
    profile = Profile(problem="explain functions", task="generation")
    examples = [_example(row) for row in job.rows]
    write_examples(folder / "examples.parquet", examples)
    snapshot = Snapshot(rows_in=len(examples), kept=len(examples), folder=folder)
    spec = TuneSpec.model_validate(_section(job))
    tokens = prepare.run(spec, base=base, profile=profile, snapshot=snapshot, context=context)
    tokens = tokens.model_copy(update={"folder": context.out})
    loading = _timed_loading()
    with Clock(job.device) as clock:
        tune_stage.run(spec, base=base, profile=profile, snapshot=snapshot, tokens=tokens, context=context)
    clock.seconds -= sum(loading)
    return clock, context.out, tokens.trained * job.epochs


def _timed_loading() -> list[float]:
    """Gets the seconds of each time that the stage loads a model from now on."""
    load_model, seconds = load.load_model, []

    def timed(*given: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return load_model(*given, **named)
        finally:
            seconds.append(time.perf_counter() - began)

    load.load_model = timed
    return seconds


def _section(job: Job) -> dict[str, Any]:
    """The section `tune` of the project file."""
    section: dict[str, Any] = {
        "strategy": LORA | {"rank": job.rank, "alpha": job.alpha},
        "learning_rate": job.learning_rate,
        "epochs": job.epochs,
        "rows_per_step": job.rows_per_step,
        "schedule": "cosine",
        "warmup": 0,
    }
    return section | job.settings


def _context(job: Job, folder: Path) -> Context:
    for name in ("out", "scratch"):
        (folder / name).mkdir()

    def nobody(_: object) -> Any:
        raise LookupError("training asks no answerer")

    events = Events(lambda event: print(event.kind, event.message, flush=True) if event.kind == "warning" else None)
    return Context(folder, folder / "out", folder / "scratch", events, job.seed, "run-bench", nobody)


def _example(row: dict[str, Any]) -> Example:
    messages: Sequence[Message] = (
        Message(role="user", content=row["prompt"]),
        Message(role="assistant", content=row["answer"]),
    )
    return Example(id=example_id(tuple(messages), None), messages=tuple(messages), split="train")


if __name__ == "__main__":
    main()
