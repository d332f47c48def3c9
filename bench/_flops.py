"""The least operations of the work, and the share of a card's peak that a rate of tokens stands for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunesmith.models.shape import Shape

CARDS = Path(__file__).with_name("cards.json")


def least_operations(
    shape: Shape, rows: list[dict[str, Any]], *, trainable: int, lowest: int = 0, epochs: int = 1, cached: bool = False
) -> float:
    """Floating-point operations that the training cannot do without; see `models.estimate.training_operations`.

    Args:
        shape: the model.
        rows: as `drivers._shared.Job` has them.
        trainable: trained weights.
        lowest: lowest trained layer.
        epochs: passes over the rows.
        cached: whether the layers below `lowest` are computed in the first pass only.
    """
    from tunesmith.models.estimate import Work, training_operations

    tokens = sum(len(row["ids"]) for row in rows)
    work = Work(
        trainable=trainable,
        tokens=tokens,
        trained_tokens=sum(len(row["trained"]) for row in rows),
        row_tokens=round(tokens / len(rows)),
        lowest=lowest,
        epochs=epochs,
        cached=cached,
    )
    return training_operations(shape, work)


def utilisation(*, tokens_per_second: float, operations_per_token: float, peak_tflops: float) -> float:
    """Model FLOP utilisation (Chowdhery et al. 2022, appendix B): useful operations a second over the card's peak.

    Useful are those of `least_operations`; what is computed again or for padding does not count.
    """
    return tokens_per_second * operations_per_token / (peak_tflops * 1e12)


def peak_tflops(card: str) -> float | None:
    """Peak of the card in 1e12 bfloat16 operations a second; None: the table does not know it.

    The first name of `cards.json` whose words all stand in `card` counts, as the driver names it
    (`NVIDIA H100 80GB HBM3`).
    """
    words = set(card.replace("-", " ").lower().split())
    for line in json.loads(CARDS.read_text(encoding="utf-8")):
        if set(line["name"].lower().split()) <= words:
            return float(line["tflops"])
    return None
