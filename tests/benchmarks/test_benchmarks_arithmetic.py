"""The arithmetic of the benchmarks, by numbers worked out by hand."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules of `bench` that need no training."""
    monkeypatch.syspath_prepend(ROOT)
    names = ("_flops", "_frame", "_process", "_rows", "floor", "peers")
    return SimpleNamespace(**{name.strip("_"): importlib.import_module(f"bench.{name}") for name in names})


def test_utilisation_is_useful_operations_over_the_peak(bench: Any) -> None:
    """30,000 tokens/s x 16.5 GFLOP a token are 495 TFLOP/s; half of a card of 990."""
    assert bench.flops.utilisation(
        tokens_per_second=30_000, operations_per_token=16.5e9, peak_tflops=990
    ) == pytest.approx(0.5)


def test_a_card_is_found_by_the_name_that_its_driver_gives(bench: Any) -> None:
    peak = bench.flops.peak_tflops
    assert peak("NVIDIA H100 80GB HBM3") == 989.4
    assert peak("NVIDIA H100 PCIe") == 756.0
    assert peak("NVIDIA A100-SXM4-80GB") == 312.0
    assert peak("NVIDIA GeForce RTX 4090") == 165.2
    assert peak("NVIDIA L4") == 121.0
    assert peak("Something New") is None


def test_yardsticks_turn_a_rate_into_utilisation_or_a_multiple_of_the_floor(bench: Any) -> None:
    """200 tokens/s x 0.5 GFLOP = 0.1 TFLOP/s; of 0.16 TFLOP/s that is 62.5 %, so 1.6 times the floor."""
    column = bench.frame.Column
    floor = bench.peers.Yardstick(column("floor", "x floor"), 0.5e9, 0.16, "")
    card = bench.peers.Yardstick(column("mfu", "MFU %"), 0.5e9, 0.16, "")
    assert floor.of(200.0) == {"floor": pytest.approx(1.6)}
    assert card.of(200.0) == {"mfu": pytest.approx(62.5)}
    assert bench.peers.Yardstick(column("mfu", "MFU %"), 0.5e9, 0.0, "").of(200.0) == {}


def test_ratios_are_taken_round_by_round_and_told_with_their_spread(bench: Any) -> None:
    """Ours 100, 300, 200 over theirs 50, 100, 100 is 2, 3, 2: median 2, from 2 to 3."""
    outcome = bench.frame.Outcome((bench.frame.Column("rate", "tokens/s"),))
    for ours, theirs in ((100.0, 50.0), (300.0, 100.0), (200.0, 100.0)):
        outcome.add("ours", {"rate": ours})
        outcome.add("theirs", {"rate": theirs})
    assert outcome.ratios("theirs", "rate") == [2.0, 3.0, 2.0]
    told = outcome.told()
    assert "200 (100 to 300)" in told and "2.00 (2.00 to 3.00)" in told
    assert outcome.as_dict()["ratios"] == {"theirs": {"rate": [2.0, 3.0, 2.0]}}


def test_import_time_is_all_own_times_less_the_first_torch(bench: Any) -> None:
    """Own times 1 + 2 + 700 + 300 + 40 ms, of which torch with what it imports is 1,000: 43 ms are left.

    The line of `transformers` comes after a progress bar; a later module that ends in torch is not torch.
    """
    log = """\
import time: self [us] | cumulative | imported package
import time:      1000 |       1000 | site
import time:    300000 |     300000 |   numpy
import time:    700000 |    1000000 | torch
100%|##########| 4/4 import time:     40000 |      40000 | transformers
import time:      2000 |       2000 | accelerate.torch
"""
    assert bench.process.import_seconds(log) == pytest.approx(0.043)


def test_another_loss_is_warned_of(bench: Any) -> None:
    """2.03 is 1.5 % above 2.00, which is more than 1 %; 2.01 is not."""
    outcome = bench.frame.Outcome(())
    for name, loss in (("ours", 2.00), ("near", 2.01), ("far", 2.03)):
        outcome.add(name, {"loss": loss})
    (warning,) = bench.peers.other_losses(outcome)
    assert "far came to a loss of 2.0300, not 2.0000" in warning


def test_the_layered_floor_has_no_gradient_below_its_border(bench: Any) -> None:
    """10 equal layers of 800 weights, 100 tokens of rows of 10, 20 of them trained, vocabulary 50, hidden 10.

    Attention of a layer per token: 10 (10 + 10) = 200. Forward 100 (2 x 8,000 + 10 x 200) = 1.8 M, head forward and
    backward 2 x 20 x 2 x 50 x 10 = 40,000. A later epoch runs 3 of the 10 layers forward, 0.54 M, and backward: input
    gradients 100 x 0.3 (2 x 8,000 + 2 x 10 x 200) = 0.6 M, weight gradients 2 x 100 for each trained weight.
    Trained are the top layer, 800, and queries and keys of two layers: 16 (20 + 20) x 2 = 1,280.
    """
    shape = SimpleNamespace(
        layers=10, hidden=10, query=10, key=10, value=10, mixed=10, inner=10, vocabulary=50, body=8_000
    )
    rows = [{"ids": [0] * 10, "trained": [8, 9]}] * 10
    floors = bench.floor.floors(shape, rows)
    gradients = 600_000 + 200 * (800 + 1_280)
    assert floors["layered"] == pytest.approx(1_800_000 + 40_000 + gradients)
    assert floors["layered, a later epoch"] == pytest.approx(540_000 + 40_000 + gradients)
    assert floors["full"] == pytest.approx(1_800_000 + 40_000 + 100 * (16_000 + 4_000) + 200 * 8_000)


LIBRARY = """\
def first(a, b):
    \'\'\'Say what the sum of two numbers is.\'\'\'
    total = a + b
    return f"the sum of {a} and {b} is {total}, and that is all there is to say"

class Thing:
    def second(self):
        \'\'\'Say something else about this thing.\'\'\'
        return ["one line of words", "another line of words", "a third line of words", self]

def undocumented(a):
    return [a, a, a, a, a, "long enough to be taken, if only there were words about it, which there are not"]
"""


def test_rows_are_documented_functions_and_always_the_same(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "library.py").write_text(LIBRARY)
    monkeypatch.setattr(bench.rows.sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(bench.rows, "ROWS", 2)
    rows = bench.rows.rows(2)
    assert sorted(row.answer for row in rows) == [
        "Say something else about this thing.",
        "Say what the sum of two numbers is.",
    ]
    assert all("Say" not in row.prompt and "return" in row.prompt for row in rows)
    assert bench.rows.rows(1) == rows[:1]
    with pytest.raises(SystemExit, match="has 2 documented short functions"):
        bench.rows.rows(3)


def test_contenders_have_drivers_and_are_chosen_by_a_part_of_their_names(bench: Any) -> None:
    everybody = bench.peers.contenders()
    assert len({contender.name for contender in everybody}) == len(everybody)
    for contender in everybody:
        assert (ROOT / "bench" / "drivers" / f"{contender.driver}.py").is_file()
        assert bool(contender.environment) == bool(contender.packages)
    chosen = [contender.name for contender in bench.peers.contenders(("trl",))]
    assert chosen[0] == "tunesmith" and all("TRL" in name for name in chosen[1:])
    with pytest.raises(SystemExit, match="no contender is like axolotl"):
        bench.peers.contenders(("axolotl",))
