# mypy: disable-error-code="import-not-found,import-untyped"
"""TRL's `SFTTrainer`, given the model as a folder and the rows as tokens with labels.

Its default asks for bfloat16 also on a processor; the job's type of number stands instead, on both sides.
"""

from __future__ import annotations

from bench.drivers._hugging_face import arguments, columns, finish, lora, measure
from bench.drivers._shared import read_job


def main() -> None:
    """Run the job."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    job = read_job()
    rows = [{name: row[name] for name in ("input_ids", "labels")} for row in columns(job)]
    trainer = SFTTrainer(
        model=job.model,
        args=SFTConfig(**arguments(job), model_init_kwargs={"dtype": job.dtype}),
        train_dataset=Dataset.from_list(rows),
        peft_config=lora(job),
    )
    clock, trained_tokens = measure(job, trainer)
    finish(job, trainer.model, clock, trained_tokens, ("trl", "transformers", "peft"))


if __name__ == "__main__":
    main()
