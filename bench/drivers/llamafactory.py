# mypy: disable-error-code="import-not-found,import-untyped"
"""LLaMA-Factory, started as its command line does; the rows come tokenised through its `tokenized_path`.

It imports torchaudio even for text. Where no build of torchaudio fits the installed torch, an empty module stands in.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.drivers._hugging_face import arguments, columns, finish, measure
from bench.drivers._shared import TARGETS, Clock, Job, read_job


def main() -> None:
    """Run the job."""
    _stand_in("torchaudio")
    from llamafactory.train.sft.workflow import CustomSeq2SeqTrainer
    from llamafactory.train.tuner import run_exp

    job = read_job()
    train, seen = CustomSeq2SeqTrainer.train, []

    def timed(self: Any, **named: Any) -> Any:
        result: list[Any] = []
        clock, trained_tokens = measure(job, self, train=lambda: result.append(train(self, **named)))
        seen.append((self.model, clock, trained_tokens))
        return result[0]

    CustomSeq2SeqTrainer.train = timed
    run_exp(_arguments(job))
    model, clock, trained_tokens = seen[0]
    assert isinstance(clock, Clock)
    finish(job, model, clock, trained_tokens, ("llamafactory", "transformers", "peft"))


def _arguments(job: Job) -> dict[str, Any]:
    from datasets import Dataset, DatasetDict

    tokens = Path(job.folder) / "tokens"
    DatasetDict({"train": Dataset.from_list(columns(job))}).save_to_disk(str(tokens))
    given = {
        "stage": "sft",
        "do_train": True,
        "model_name_or_path": job.model,
        "dataset": "rows",
        "tokenized_path": str(tokens),
        "template": "smollm2",
        "finetuning_type": "lora",
        "lora_rank": job.rank,
        "lora_alpha": job.alpha,
        "lora_dropout": 0.0,
        "lora_target": ",".join(TARGETS),
    }
    return given | arguments(job) | {"output_dir": str(Path(job.folder) / "out")}


def _stand_in(name: str) -> None:
    try:
        __import__(name)
    except (ImportError, OSError):
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        sys.modules[name] = module


if __name__ == "__main__":
    main()
