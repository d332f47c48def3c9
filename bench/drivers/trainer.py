# mypy: disable-error-code="import-not-found,import-untyped"
"""The Transformers `Trainer` with a PEFT adapter; its data collator pads to the longest row of the batch."""

from __future__ import annotations

from bench.drivers._hugging_face import arguments, columns, finish, lora, measure
from bench.drivers._shared import read_job


def main() -> None:
    """Run the job."""
    from peft import get_peft_model
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        Trainer,
        TrainingArguments,
    )

    job = read_job()
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(job.model, dtype=job.dtype), lora(job))
    trainer = Trainer(
        model=model,
        args=TrainingArguments(**arguments(job)),
        train_dataset=columns(job),
        data_collator=DataCollatorForSeq2Seq(AutoTokenizer.from_pretrained(job.model)),
    )
    clock, trained_tokens = measure(job, trainer)
    finish(job, model, clock, trained_tokens, ("transformers", "peft", "accelerate"))


if __name__ == "__main__":
    main()
