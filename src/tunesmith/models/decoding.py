"""How long a model takes to answer and what its cache holds, for trainings on the model's own answers."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.models.estimate import EFFICIENCY, GB, reading_operations
from tunesmith.models.shape import Shape

BYTES_PER_SECOND = {"cpu": 8e9, "cuda": 1e12}
"""How fast weights pass by while one token a row is made. On a CPU [measured, SmolLM2-135M in float32, one thread: one
row makes 15 tokens a second, 8 rows 53 to 60, 16 rows 84]; on a GPU a third of an H100's memory speed, not measured."""

DECODING_EFFICIENCY = 0.35
"""Share of the speed of matrix products that many rows at a time reach [the same measurement]."""

DRAW_BYTES = 20
"""Of one logit while a token is drawn: itself, its probability, and their sum in float64 (`generate.pick`)."""


@dataclass(frozen=True)
class Asked:
    """One sampling.

    Args:
        prompts: different prompts.
        samples: answers to each.
        prompt_tokens: mean length of a prompt.
        answer_tokens: length of an answer.
        at_once: most tokens that the cache of one batch holds.
    """

    prompts: int
    samples: int
    prompt_tokens: float
    answer_tokens: int
    at_once: int

    @property
    def rows(self) -> int:
        """Answers of the sampling."""
        return self.prompts * self.samples

    @property
    def row_tokens(self) -> float:
        """A prompt with its answer."""
        return self.prompt_tokens + self.answer_tokens

    @property
    def rows_at_once(self) -> int:
        """Answers that are made together."""
        return max(1, min(self.rows, int(self.at_once // self.row_tokens)))


def answering_seconds(shape: Shape, asked: Asked, *, gflops: float, weight_bytes: float, device: str = "cpu") -> float:
    """Seconds of one sampling.

    Each prompt is read once. Then every batch makes one token a row and pass: a pass takes the time in which all
    weights come from memory, and the operations of its rows, 2 for every weight that a token meets, the head's too.
    """
    reading = reading_operations(shape, asked.prompts * asked.prompt_tokens, row_tokens=asked.prompt_tokens)
    passes = asked.answer_tokens * -(-asked.rows // asked.rows_at_once)
    weights = (shape.body + shape.vocabulary * shape.hidden) * weight_bytes / BYTES_PER_SECOND[device]
    met = 2 * (shape.body + shape.vocabulary * shape.hidden)
    making = asked.rows * asked.answer_tokens * met / (gflops * 1e9 * DECODING_EFFICIENCY)
    return reading / (gflops * 1e9 * EFFICIENCY) + passes * weights + making


def answering_parts(shape: Shape, asked: Asked, *, compute_bytes: float) -> dict[str, float]:
    """GB of one batch: keys and values of all layers (and one layer's once more while it grows), and the logits."""
    numbers = asked.rows_at_once * asked.row_tokens * (shape.key + shape.value)
    return {
        "cache of answers": numbers * (shape.layers + 1) * compute_bytes / GB,
        "logits of answers": asked.rows_at_once * shape.vocabulary * DRAW_BYTES / GB,
    }
