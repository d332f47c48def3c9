"""Ends of texts: the sum of a plain forward, and whether greedy decoding would say them; padding changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fakes import tiny_model_folder
from tunesmith.models.endings import ends_told
from tunesmith.models.load import load_model


def test_ends_are_those_of_a_plain_forward_whatever_stands_beside_them(tmp_path: Path) -> None:
    """Three rows of other lengths; the last one ends in what the model itself would say twice."""
    model = load_model(tiny_model_folder(tmp_path, "llama", initializer_range=0.2))
    rows = [[5, 60, 7, 120, 33], [9, 8, 7], [40, 41, 42, 43, 44, 45]]
    with torch.inference_mode():
        for _ in range(2):
            rows[2].append(int(model(torch.tensor([rows[2]])).logits[0, -1].argmax()))
        plain = [model(torch.tensor([row])).logits[0].log_softmax(-1) for row in rows]
    ends = [2, 1, 2]
    told = ends_told(model, rows, ends)
    for (value, greedy), row, logs, end in zip(told, rows, plain, ends, strict=True):
        places = range(len(row) - end, len(row))
        assert value == pytest.approx(float(sum(logs[t - 1, row[t]] for t in places)), abs=1e-4)
        assert greedy == all(int(logs[t - 1].argmax()) == row[t] for t in places)
    assert [greedy for _, greedy in told][2]
    assert ends_told(model, rows, [0, 0, 0]) == [(0.0, True)] * 3
