# mypy: disable-error-code="import-not-found,import-untyped"
"""LitGPT's `finetune_lora`, with the rows as a data module of tokens and its checkpoint converted from the folder.

Its own schedule has a warm-up of at least one step at rate 0, the others have none: it is given theirs. It does not
clip gradients. Clocked is its training loop, without the conversion before it, the example and the merge after it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from bench.drivers._shared import IGNORED, Clock, Job, answer_loss, labels, read_job, write_result

CONFIG = "SmolLM2-135M-Instruct"
NEVER = 1_000_000


def main() -> None:
    """Run the job."""
    from litgpt.args import EvalArgs, TrainArgs
    from litgpt.finetune import lora

    job = read_job()
    checkpoint = _converted(job)
    fit, cross_entropy, seen, counted = lora.fit, lora.chunked_cross_entropy, [], []

    def counting(logits: Any, targets: Any, **named: Any) -> Any:
        if torch.is_grad_enabled():  # not the validation
            counted.append(int((targets != IGNORED).sum()))
        return cross_entropy(logits, targets, **named)

    def timed(**named: Any) -> Any:
        with Clock(job.device) as clock:
            counts = fit(**named)
        seen.append((named["model"], clock))
        return counts

    lora.fit, lora.chunked_cross_entropy, lora.merge_lora = timed, counting, lambda **_: None
    lora.generate_example = lambda *_: None  # it would ask for a test set
    lora.save_hyperparameters = lambda *_: None  # it would ask for a package that LitGPT does not require
    lora.get_lr_scheduler = lambda optimizer, warmup_steps, max_steps: torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, T_max=max_steps
    )
    lora.setup(
        checkpoint,
        out_dir=Path(job.folder) / "out",
        precision="bf16-true" if job.device == "cuda" else "32-true",
        lora_r=job.rank,
        lora_alpha=job.alpha,
        lora_dropout=0.0,
        lora_key=True,
        lora_projection=True,
        data=_rows(job),
        train=TrainArgs(
            save_interval=None,
            global_batch_size=job.rows_per_step,
            micro_batch_size=job.settings["micro_batch_size"],
            epochs=job.epochs,
        ),
        eval=EvalArgs(interval=NEVER, max_iters=1, max_new_tokens=1, final_validation=False),
        optimizer={"class_path": "torch.optim.AdamW", "init_args": {"lr": job.learning_rate, "weight_decay": 0.0}},
        seed=job.seed,
    )
    model, clock = seen[0]
    model.eval()
    loss = answer_loss(job, lambda ids: model(ids))
    write_result(clock, trained_tokens=sum(counted), loss=loss, packages=("litgpt",))


def _converted(job: Job) -> Path:
    """The model's folder with LitGPT's own form of the weights in it."""
    from litgpt.scripts.convert_hf_checkpoint import convert_hf_checkpoint

    folder = Path(job.folder) / CONFIG
    folder.mkdir()
    for file in Path(job.model).iterdir():
        (folder / file.name).symlink_to(file)
    convert_hf_checkpoint(folder, model_name=CONFIG)
    return folder


def _rows(job: Job) -> Any:
    from litgpt.data import DataModule
    from litgpt.data.base import get_sft_collate_fn
    from litgpt.prompts import Default
    from torch.utils.data import DataLoader

    class Rows(DataModule):  # type: ignore[misc]  # the base is untyped
        """The job's rows, shuffled each epoch."""

        def __init__(self) -> None:
            super().__init__()
            self.prompt_style, self.batch_size = Default(), 1
            self.collate = get_sft_collate_fn()

        def connect(self, tokenizer: Any = None, batch_size: int = 1, max_seq_length: Any = None, **_: Any) -> None:
            self.batch_size = batch_size

        def train_dataloader(self) -> Any:
            return DataLoader(_samples(job.rows), self.batch_size, shuffle=True, collate_fn=self.collate)

        def val_dataloader(self) -> Any:
            return DataLoader(_samples(job.rows[:1]), 1, collate_fn=self.collate)

    return Rows()


def _samples(rows: list[dict[str, Any]]) -> Any:
    """The rows as LitGPT's data sets give them."""
    samples = []
    for row in rows:
        counts = dict.fromkeys(("raw", "raw_plus_prompt_template"), len(row["ids"]))
        ids, wanted = torch.tensor(row["ids"]), torch.tensor(labels(row))
        samples.append({"input_ids": ids, "labels": wanted, "token_counts": counts})
    return samples


if __name__ == "__main__":
    main()
