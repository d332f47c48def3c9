"""What a faster arithmetic costs: written answers as one form of a model reads them, beside another."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from bench import _process, _rows

ANSWERS = 32
GSM8K = _process.ROOT / ".." / "shared" / "data" / "gsm8k" / "train.jsonl"
_ANNOTATION = re.compile(r"<<.*?>>")


@dataclass(frozen=True)
class Read:
    """What a model makes of written answers.

    Args:
        loss: mean over their tokens, end of turn included, in nats.
        likeliest: the token it finds likeliest at each of them.
    """

    loss: float
    likeliest: torch.Tensor

    def same(self, other: Read) -> float:
        """Share of the tokens at which both find the same one likeliest."""
        return float((self.likeliest == other.likeliest).double().mean())


def written(model: Path) -> tuple[list[dict[str, Any]], str]:
    """Questions with answers that people wrote, as `bench._rows.tokenised` has them, and where they are from."""
    if not GSM8K.is_file():
        return _rows.tokenised(_rows.rows(ANSWERS), model), "docstrings of functions of the Python library"
    lines = GSM8K.read_text(encoding="utf-8").splitlines()[:ANSWERS]
    rows = [_rows.Row(one["question"], _ANNOTATION.sub("", one["answer"])) for one in map(json.loads, lines)]
    return _rows.tokenised(rows, model), "worked answers of GSM8K"


@torch.inference_mode()
def read(model: Any, rows: list[dict[str, Any]]) -> Read:
    """Every row by itself, in one call of `model` each."""
    losses, likeliest = [], []
    for row in rows:
        ids, trained = torch.tensor([row["ids"]]), torch.tensor(row["trained"])
        logits = model(input_ids=ids).logits[0, trained - 1].float()
        losses.append(torch.nn.functional.cross_entropy(logits, ids[0, trained], reduction="none"))
        likeliest.append(logits.argmax(-1))
    return Read(float(torch.cat(losses).double().mean()), torch.cat(likeliest))
