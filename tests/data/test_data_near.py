"""Near copies at scale: what is promised of long texts, of crowds, and of whoever does the work."""

from __future__ import annotations

import copy
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.core.protocols import Executor, Here
from tunesmith.data import near as near_module
from tunesmith.data.grams import Grams, Hashes, OnDisk, grams_of
from tunesmith.data.near import Pairs, near
from tunesmith.data.signatures import MISS, Plan
from tunesmith.project.executors.local import Local


def found(grams: Grams, threshold: float, **more: Any) -> Pairs:
    every = np.ones(grams.texts, dtype=bool)
    return near(grams, threshold, among=every, counted=~every, general=~every, **more)


def told(pairs: Pairs) -> list[tuple[int, int, float]]:
    return list(zip(*(part.tolist() for part in pairs), strict=True))


def pair_at(threshold: float, size: int, draw: np.random.Generator) -> list[Hashes]:
    """Two sets of `size` grams with the smallest shared part that reaches the threshold: ceil(2 t n / (1 + t))."""
    shared = math.ceil(2 * threshold * size / (1 + threshold))
    common = draw.integers(0, 1 << 63, shared, dtype=np.uint64)
    return [
        np.unique(np.concatenate([common, draw.integers(0, 1 << 63, size - shared, dtype=np.uint64)])) for _ in "ab"
    ]


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.85, 0.95])
@pytest.mark.parametrize("size", [60, 110, 1200, pytest.param(6000, marks=pytest.mark.slow)])
def test_long_texts_just_at_the_threshold_are_found(threshold: float, size: int) -> None:
    """Forty pairs at the threshold and nothing else: one in 25,000 such tests would miss one of them."""
    draw = np.random.default_rng(size)
    sets = [one for _ in range(40) for one in pair_at(threshold, size, draw)]
    grams = Grams([(np.concatenate(sets), np.array([len(one) for one in sets], dtype=np.int32))])
    assert [(i, j) for i, j, _ in told(found(grams, threshold))] == [(2 * n, 2 * n + 1) for n in range(40)]


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.85, 0.95, 0.999])
def test_the_plan_keeps_its_promise_by_its_own_reckoning(threshold: float) -> None:
    """Every text looks at so many parts that all of them differ with a probability below one in a million.

    By hand at 0.85: parts hold 7.7 to 16.6 grams of the union; one of 7.7 is whole and holds 9 with probability
    e^-1.15 P(Poisson(6.5) >= 9) = 0.316 x 0.208 = 0.066, so about ln(1e6) / 0.066 = 209 parts are wanted (207, not
    rounded).
    """
    plan = Plan.of(threshold)
    for bits in range(16):
        times, used = plan.divisions(bits)
        assert times * used >= plan.parts
    if threshold == 0.85:
        assert (plan.least, round(plan.mean, 1), plan.parts, plan.short) == (9, 7.7, 207, 99)
    assert MISS == 1e-6


def form(number: int, draw: random.Random) -> str:
    """A row of a form: 150 letters that all rows have, and four that none has."""
    return "the applicant has asked for the credit on the usual terms " * 3 + "".join(draw.choices("qxzjkvw", k=4))


def test_a_crowd_is_held_together_by_its_first_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """300 rows, all near each other, are 44,850 pairs; told are those with the first row and with some neighbours."""
    monkeypatch.setattr(near_module, "_AT_EASE", 0)
    draw = random.Random(1)
    texts = [form(i, draw) + str(i) for i in range(300)]
    pairs = told(found(Grams([grams_of(texts)]), 0.6))
    assert {j for i, j, _ in pairs if i == 0} == set(range(1, 300))
    assert len(pairs) < 44_850 / 2


def on_disk(texts: list[str], folder: Path) -> Grams:
    blocks = []
    for begin in range(0, len(texts), 50):
        flat, sizes = grams_of(texts[begin : begin + 50])
        np.save(folder / f"{begin}.npy", flat)
        blocks.append((OnDisk(folder / f"{begin}.npy", len(flat)), sizes))
    return Grams(blocks)


def texts_with_copies() -> list[str]:
    draw = random.Random(5)
    own = ["".join(draw.choices("abcdefghijklmnop ", k=draw.choice([30, 90, 400, 1500]))) for _ in range(120)]
    return [*own, *(text[: len(text) // 2] + "x" + text[len(text) // 2 + 1 :] for text in own[::2])]


def test_grams_on_disk_are_sent_as_paths(tmp_path: Path) -> None:
    grams = on_disk(texts_with_copies(), tmp_path)
    (blocks,) = grams.__reduce__()[1]
    assert all(flat.path.parent == tmp_path for flat, _ in blocks)
    assert told(found(copy.copy(grams), 0.85)) == told(found(grams, 0.85)) != []


@pytest.mark.slow
@pytest.mark.parametrize("executor", [Local(2), Local(8)], ids=["two", "eight"])
def test_whoever_does_the_work_the_pairs_are_the_same(
    executor: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_module, "_BUCKET_GRAMS", 10_000)
    monkeypatch.setattr(near_module, "_WORTH_SENDING", 0)
    grams = on_disk(texts_with_copies(), tmp_path)
    one = told(found(grams, 0.85, executor=Here(), folder=tmp_path))
    assert one == told(found(grams, 0.85, executor=executor, folder=tmp_path)) != []
    assert [path for path in tmp_path.iterdir() if path.name.startswith("near-")] == []
