"""A training that is interrupted and resumed is bitwise the whole one, with every term and weighting."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from tune_fakes import context_of, profile, snapshot_of, some_rows, spec, tiny_base, tokens_of

from tunesmith.core.errors import UserError
from tunesmith.core.events import Event
from tunesmith.core.ids import digest_folder
from tunesmith.core.types import Base
from tunesmith.models.adapters import open_trained
from tunesmith.tune import stage

CE = {"use": "cross_entropy"}
MULTI: list[dict[str, Any]] = [
    {**CE, "weight": 0.6},
    {"use": "domain_alignment", "weight": 0.3},
    {"use": "teacher_consistency", "weight": 0.1},
]
OBJECTIVES: dict[str, dict[str, Any]] = {
    "teacher_consistency": {"objective": [CE, {"use": "teacher_consistency", "top": "all", "on": "both"}]},
    "domain_alignment": {"objective": [CE, {"use": "domain_alignment"}]},
    "ewc": {"objective": [CE, {"use": "ewc", "weight": 100.0}]},
    "l2_sp": {"objective": [CE, {"use": "l2_sp", "weight": 0.1}]},
    "replay": {"objective": [CE, {"use": "replay", "weight": 0.5}]},
    "uncertainty": {"objective": "multi", "weighting": {"use": "uncertainty"}},
    "gradnorm": {"objective": "multi", "weighting": {"use": "gradnorm"}},
}


class StopAfter(list[Event]):
    """Presses Ctrl-C when a step has been told."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    def append(self, event: Event) -> None:
        if event.kind == "metric":
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)


def run(tmp_path: Path, base: Base, name: str, heard: list[Event] | None = None, **settings: Any) -> Path:
    """Train 6 steps (10 rows in steps of 4, twice), 7 general rows beside them; the folder of the checkpoint."""
    general = [replace(row, part="general") for row in some_rows(7, seed=9, prefix=[11, 12])]
    tokens = tokens_of(tmp_path / "tokens", [*some_rows(10), *general])
    context = context_of(tmp_path / name, heard)
    stage.run(
        spec(checkpoint_every="60 s", **settings),
        base=base,
        profile=profile(),
        snapshot=snapshot_of(),
        tokens=tokens,
        context=context,
    )
    return context.out


def curve(out: Path) -> list[dict[str, Any]]:
    points = [json.loads(line) for line in (out / "curves.jsonl").read_text().splitlines()]
    return [{key: value for key, value in point.items() if key != "tokens_per_second"} for point in points]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_interrupted_after_three_of_six_steps(name: str, tmp_path: Path) -> None:
    base, settings = tiny_base(tmp_path), OBJECTIVES[name]
    whole = run(tmp_path, base, "whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, base, "parts", StopAfter(3), **settings)
    resumed = run(tmp_path, base, "parts", **settings)
    assert len(curve(whole)) == 6 and curve(resumed) == curve(whole)
    assert digest_folder(resumed, skip=["curves.jsonl"]) == digest_folder(whole, skip=["curves.jsonl"])


@pytest.mark.parametrize("use", ["full", "layered", "adaptive", "blockwise"])
def test_all_of_them_at_once_with_every_strategy(use: str, tmp_path: Path) -> None:
    base, strategy = tiny_base(tmp_path), {"use": use, **({} if use == "full" else {"rank": 4, "alpha": 8})}
    terms = [*MULTI, {"use": "ewc"}, {"use": "l2_sp", "weight": 0.01}, {"use": "replay", "weight": 0.1}]
    settings: dict[str, Any] = {"strategy": strategy, "objective": terms, "learning_rate": 1e-3}
    whole = run(tmp_path, base, "whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, base, "parts", StopAfter(3), **settings)
    resumed = run(tmp_path, base, "parts", **settings)
    assert open_trained(whole, base_path=Path(base.path), dtype=torch.float32) is not None
    assert curve(resumed) == curve(whole) and all(point["ewc"] > 0 for point in curve(whole)[1:])
    assert digest_folder(resumed, skip=["curves.jsonl"]) == digest_folder(whole, skip=["curves.jsonl"])


def test_a_second_phase_asks_the_same_base_and_is_resumed_too(tmp_path: Path) -> None:
    """Two phases of 3 steps; stopped in the second, whose terms ask the base with the adapter off."""
    base = tiny_base(tmp_path)
    second = [CE, {"use": "teacher_consistency"}, {"use": "l2_sp", "weight": 0.1}]
    phases = [{"objective": "multi", "epochs": 1}, {"objective": second, "epochs": 1}]
    whole = run(tmp_path, base, "whole", phases=phases)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, base, "parts", StopAfter(5), phases=phases)
    resumed = run(tmp_path, base, "parts", phases=phases)
    assert curve(resumed) == curve(whole)
    assert digest_folder(resumed, skip=["curves.jsonl"]) == digest_folder(whole, skip=["curves.jsonl"])
    points = curve(whole)
    assert [point["teacher_consistency"] > 1e-6 for point in points] == [False, True, True, True, True, True]


def test_multi_is_the_three_terms_written_out(tmp_path: Path) -> None:
    assert spec(objective="multi") == spec(objective=MULTI)
    base = tiny_base(tmp_path)
    point = curve(run(tmp_path, base, "multi", objective="multi"))[0]
    parts = 0.6 * point["cross_entropy"] + 0.3 * point["domain_alignment"] + 0.1 * point["teacher_consistency"]
    assert point["loss"] == pytest.approx(parts)
    with pytest.raises(ValueError, match="did you mean 'multi'"):
        spec(objective="mutli")


def test_the_fisher_is_kept_with_the_checkpoint_under_the_bases_names(tmp_path: Path) -> None:
    base = tiny_base(tmp_path)
    out = run(tmp_path, base, "a", objective=[CE, {"use": "ewc"}])
    with safe_open(out / "terms" / "fisher.safetensors", framework="pt") as kept:
        names = set(kept.keys())
        assert kept.get_slice("model.layers.2.self_attn.q_proj.weight").get_shape() == [32, 32]
    assert all(name.startswith(("model.layers.2.", "model.layers.3.")) for name in names) and len(names) == 14


def test_general_rows_go_along_with_every_step_and_are_no_rows_of_the_epoch(tmp_path: Path) -> None:
    """A share of 0.5 of 4 rows is 2; the epoch still has 3 steps. EWC alone takes none along."""
    base = tiny_base(tmp_path)
    alone = curve(run(tmp_path, base, "alone", objective=[CE, {"use": "ewc"}]))
    beside = curve(run(tmp_path, base, "beside", objective=[CE, {"use": "replay", "share": 0.5}]))
    assert len(alone) == len(beside) == 6
    assert [a["cross_entropy"] > 0 and b["replay"] > 0 for a, b in zip(alone, beside, strict=True)] == [True] * 6
    assert all(b["tokens"] > a["tokens"] for a, b in zip(alone, beside, strict=True))


def test_rows_run_one_at_a_time_give_the_same_figures(tmp_path: Path) -> None:
    """The plain forward, whose last states are logits: the same Fisher, the same teacher, up to rounding."""
    base = tiny_base(tmp_path)
    terms = [CE, {"use": "ewc", "weight": 100.0}, {"use": "teacher_consistency", "top": "all", "on": "both"}]
    packed = curve(run(tmp_path, base, "packed", objective=terms))
    plain = curve(run(tmp_path, base, "plain", objective=terms, speed={"pack": False}))
    for ours, theirs in zip(plain, packed, strict=True):
        for name in ("cross_entropy", "ewc", "teacher_consistency"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-3, abs=1e-7), (name, ours["step"])


def test_strong_anchors_hold_the_model_where_it_was(tmp_path: Path) -> None:
    """The distance that L2-SP tells after 6 steps, at a weight of 0.001 and of 1,000."""
    base = tiny_base(tmp_path)
    far = [
        curve(run(tmp_path, base, str(weight), objective=[CE, {"use": "l2_sp", "weight": weight}]))[-1]["l2_sp"]
        for weight in (0.001, 1000.0)
    ]
    assert far[1] < 0.2 * far[0]


def test_a_term_without_its_rows_says_how_to_give_some(tmp_path: Path) -> None:
    base = tiny_base(tmp_path)
    tokens = tokens_of(tmp_path / "tokens", some_rows(5))
    settings = spec(objective=[CE, {"use": "replay"}])
    with pytest.raises(UserError, match="split: general"):
        stage.run(settings, base=base, profile=profile(), snapshot=snapshot_of(), tokens=tokens,
                  context=context_of(tmp_path))  # fmt: skip
