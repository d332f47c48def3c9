"""How long sampled answers take and what their cache holds, against measured rates and numbers by hand."""

from __future__ import annotations

import pytest

from tunesmith.models import catalog
from tunesmith.models.decoding import Asked, answering_parts, answering_seconds
from tunesmith.models.shape import Shape, shape_of_entry


@pytest.mark.parametrize(("rows", "rate"), [(1, 15), (8, 56.5), (16, 84)])
def test_rates_of_smollm2_are_those_that_were_measured(rows: int, rate: float) -> None:
    """Prompts of 142 tokens, 64 new ones, float32, one thread of 91 GFLOP/s; the prompt is not counted in the rates."""
    shape = shape_of_entry(catalog.lookup("smollm2-135m-instruct"))
    asked = Asked(prompts=1, samples=rows, prompt_tokens=142, answer_tokens=64, at_once=16_384)
    read = Asked(prompts=1, samples=rows, prompt_tokens=142, answer_tokens=0, at_once=16_384)
    whole, reading = (answering_seconds(shape, one, gflops=91, weight_bytes=4) for one in (asked, read))
    assert rows * 64 / (whole - reading) == pytest.approx(rate, rel=0.15)


def test_answers_that_do_not_fit_together_are_made_in_batches_by_hand() -> None:
    """2 layers, key and value 4 each, vocabulary 10: 2 prompts of 6 tokens, 4 answers each of 4 tokens, room for 45
    tokens: 4 rows of 10 at a time, 2 batches. The cache: 40 tokens x 8 numbers x (2 + 1) layers x 2 bytes = 1,920;
    logits 4 x 10 x 20 = 800. A body of 100 and a head of 40 weights, 4 bytes each, 8e9 bytes a second: 8 passes
    of 560 bytes; 32 tokens of 280 operations at 0.35 of 1e9; reading 12 tokens of 200 + 2 x 6 x 8 operations at 0.6e9.
    """
    shape = Shape("X", 140, 140, 2, 4, 4, 4, 4, 4, 8, 10, True, 64)
    asked = Asked(prompts=2, samples=4, prompt_tokens=6, answer_tokens=4, at_once=45)
    assert (asked.rows, asked.rows_at_once) == (8, 4)
    parts = answering_parts(shape, asked, compute_bytes=2)
    assert parts == {"cache of answers": pytest.approx(1920e-9), "logits of answers": pytest.approx(800e-9)}
    seconds = answering_seconds(shape, asked, gflops=1, weight_bytes=4)
    assert seconds == pytest.approx(8 * 560 / 8e9 + 32 * 280 / 0.35e9 + 12 * 296 / 0.6e9)
