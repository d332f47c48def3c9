# mypy: disable-error-code="import-not-found,import-untyped"
"""The loop that everybody writes: Transformers and PEFT, rows padded to the longest of a step, the model's own loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from bench.drivers._hugging_face import finish, lora
from bench.drivers._shared import IGNORED, Clock, Job, labels, read_job


def main() -> None:
    """Run the job."""
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM, get_cosine_schedule_with_warmup

    job = read_job()
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(job.model, dtype=job.dtype), lora(job)).to(job.device)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    trained_tokens = 0
    model.train()
    with Clock(job.device) as clock:
        optimiser = torch.optim.AdamW(weights, lr=job.learning_rate, weight_decay=0.0, fused=True)
        schedule = get_cosine_schedule_with_warmup(optimiser, 0, job.steps)
        for batch in batches(job):
            trained_tokens += int((batch["labels"] != IGNORED).sum())
            model(**batch, use_cache=False).loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad(set_to_none=True)
    finish(job, model, clock, trained_tokens, ("transformers", "peft"))


def batches(job: Job) -> Iterator[dict[str, Any]]:
    """Ids, mask and labels [B, T] of each step, padded on the right."""
    for _ in range(job.epochs):
        order = torch.randperm(len(job.rows)).tolist()
        for start in range(0, len(order), job.rows_per_step):
            rows = [job.rows[number] for number in order[start : start + job.rows_per_step]]
            ids = [torch.tensor(row["ids"]) for row in rows]
            wanted = [torch.tensor(labels(row)) for row in rows]
            mask = [torch.ones_like(row) for row in ids]
            padded = {"input_ids": (ids, 0), "attention_mask": (mask, 0), "labels": (wanted, IGNORED)}
            yield {
                name: torch.nn.utils.rnn.pad_sequence(part, batch_first=True, padding_value=value).to(job.device)
                for name, (part, value) in padded.items()
            }


if __name__ == "__main__":
    main()
