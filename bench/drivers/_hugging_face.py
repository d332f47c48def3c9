# mypy: disable-error-code="import-not-found,import-untyped"
"""What the drivers of trainers built on Transformers' `Trainer` share."""

from __future__ import annotations

from typing import Any

from bench.drivers._shared import IGNORED, TARGETS, Clock, Job, answer_loss, labels, write_result


def arguments(job: Job) -> dict[str, Any]:
    """The job in the words of `TrainingArguments`; the trainer's own settings come last and win."""
    given: dict[str, Any] = {
        "output_dir": job.folder,
        "num_train_epochs": job.epochs,
        "per_device_train_batch_size": job.rows_per_step,
        "learning_rate": job.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "seed": job.seed,
        "use_cpu": job.device == "cpu",
        "bf16": job.device == "cuda",
        "save_strategy": "no",
        "report_to": "none",
    }
    return given | job.settings


def lora(job: Job) -> Any:
    """The job's adapter as a PEFT configuration."""
    from peft import LoraConfig

    return LoraConfig(
        r=job.rank, lora_alpha=job.alpha, lora_dropout=0.0, target_modules=list(TARGETS), task_type="CAUSAL_LM"
    )


def columns(job: Job) -> list[dict[str, Any]]:
    """The rows as tokenised data sets have them."""
    return [
        {"input_ids": row["ids"], "attention_mask": [1] * len(row["ids"]), "labels": labels(row)} for row in job.rows
    ]


class Counting:
    """A data collator that counts the labels it hands on.

    Args:
        collator: the trainer's own.
    """

    def __init__(self, collator: Any) -> None:
        self.collator, self.trained_tokens = collator, 0

    def __call__(self, *given: Any, **named: Any) -> Any:
        """The collator's batch; the first label of a row has nothing before it that could predict it."""
        batch = self.collator(*given, **named)
        self.trained_tokens += int((batch["labels"][..., 1:] != IGNORED).sum())
        return batch


def measure(job: Job, trainer: Any, *, train: Any = None) -> tuple[Clock, int]:
    """Let `trainer` train; the clock, and the labels it trained on.

    Args:
        job: says where it runs.
        trainer: ready to train.
        train: what to call instead of `trainer.train`.
    """
    trainer.data_collator = counting = Counting(trainer.data_collator)
    with Clock(job.device) as clock:
        (train or trainer.train)()
    return clock, counting.trained_tokens


def finish(job: Job, model: Any, clock: Clock, trained_tokens: int, packages: tuple[str, ...]) -> None:
    """Judge the trained model and write the result."""
    model.eval()
    loss = answer_loss(job, lambda ids: model(input_ids=ids, use_cache=False).logits)
    write_result(clock, trained_tokens=trained_tokens, loss=loss, packages=packages)
