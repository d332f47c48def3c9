"""A training with rewards as a whole: it learns, tells its figures, and goes on after a kill as if there was none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reward_fakes import ENDS, Says, examples_of, row_of_example
from tune_fakes import context_of, profile, snapshot_of, spec, tiny_base, tokens_of

from tunesmith.core.events import Event, Events
from tunesmith.core.ids import digest_file
from tunesmith.core.types import Base
from tunesmith.models.chat import Chat
from tunesmith.tune import stage
from tunesmith.tune.rules import problems

REWARD = {"use": "policy_gradient", "reward": [{"use": "says"}], "samples": 4, "at_most_tokens": 6}
LORA = {"use": "lora", "rank": 4, "alpha": 8, "upper": 0.5, "dropout": 0.1}


class Killed(Exception):
    """Stands for a kill: nothing after it is run."""


def run(folder: Path, base: Base, settings: dict[str, Any], kill_at: int | None = None) -> dict[str, Any]:
    """Train in `folder`, or go on there; end in the middle of step `kill_at` where that is given."""
    examples = examples_of(5)
    chat = Chat.of(base.path)
    rows = [row_of_example(chat, example) for example in examples]
    heard: list[Event] = []

    def listen(event: Event) -> None:
        heard.append(event)
        if event.kind == "metric" and event.data["step"] == kill_at:
            raise Killed

    made = context_of(folder)
    context = replace(made, events=Events(listen), scorer=lambda use, profile: Says(ENDS))
    stage.run(
        spec(**settings),
        base=base,
        profile=profile(),
        snapshot=snapshot_of(folder / "snapshot", examples),
        tokens=tokens_of(folder / "tokens", rows[:4], rows[4:]),
        context=context,
    )
    points = [json.loads(line) for line in (context.out / "curves.jsonl").read_text().splitlines()]
    curve = [{name: value for name, value in point.items() if name != "tokens_per_second"} for point in points]
    return {"adapter": digest_file(context.out / "adapter/adapter_model.safetensors"), "curve": curve, "heard": heard}


def settings(rows: str, *terms: dict[str, Any], **others: Any) -> dict[str, Any]:
    told = {"epochs": 3, "rows_per_step": 2, "checkpoint_every": "1 steps", "strategy": LORA, **others}
    return {**told, "phases": [{"rows": rows, "objective": list(terms)}]}


def test_reward_rises_and_its_figures_are_in_the_curve(tmp_path: Path) -> None:
    """4 prompts in steps of 4 are 1 step an epoch: 24 samplings of 4 x 8 answers."""
    base = tiny_base(tmp_path, initializer_range=0.3)
    term = {**REWARD, "samples": 8, "kl": 0.01}
    found = run(tmp_path / "a", base, settings("prompts", term, epochs=24, rows_per_step=4, learning_rate=0.05))
    rewards = [point["policy_gradient.reward"] for point in found["curve"]]
    assert len(rewards) == 24
    assert sum(rewards[-3:]) / 3 > sum(rewards[:3]) / 3 + 0.2
    first = found["curve"][0]
    assert 0 <= first["policy_gradient.dead_groups"] < 1 and 0 <= first["policy_gradient.ended"] <= 1
    assert 1 <= first["policy_gradient.answer_tokens"] <= 6 and first["policy_gradient.unscored"] == 0
    assert first["policy_gradient.kl"] == pytest.approx(0, abs=1e-6)
    assert found["curve"][-1]["policy_gradient.kl"] > 0.01
    assert "valid_loss" in found["curve"][-1] and "policy_gradient.clipped" not in first
    sampled = [e.data for e in found["heard"] if e.kind == "progress" and e.data["unit"] == "answers"]
    assert [told["done"] for told in sampled[:2]] == [0, 32] and sampled[0]["total"] == 32


@pytest.mark.parametrize(
    "told",
    [
        settings("prompts", REWARD),
        settings("prompts", {**REWARD, "updates": 3, "kl": 0.1}),
        settings("supervised_and_prompts", {**REWARD, "updates": 2}, {"use": "cross_entropy", "weight": 0.5}),
    ],
    ids=["one update", "three updates", "with supervised rows"],
)
def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path, told: dict[str, Any]) -> None:
    base = tiny_base(tmp_path, initializer_range=0.3)
    whole = run(tmp_path / "whole", base, told)
    for at in (2, 5):
        with pytest.raises(Killed):
            run(tmp_path / "killed", base, told, kill_at=at)
    found = run(tmp_path / "killed", base, told)
    assert found["curve"] == whole["curve"] and found["adapter"] == whole["adapter"]
    assert any(point["gradient_norm"] > 0 for point in whole["curve"])


def test_ratios_leave_one_after_the_first_update(tmp_path: Path) -> None:
    """updates 3 at a high rate: the first step of a sampling clips nothing, the last two some tokens."""
    base = tiny_base(tmp_path, initializer_range=0.3)
    term = {**REWARD, "updates": 3, "clip": (0.01, 0.01)}
    strategy = {**LORA, "dropout": 0.0}
    made = run(tmp_path / "a", base, settings("prompts", term, learning_rate=0.02, epochs=2, strategy=strategy))
    clipped = [point["policy_gradient.clipped"] for point in made["curve"]]
    assert len(clipped) == 12 and clipped[0::3] == [0.0] * 4 and sum(clipped) > 0


def test_after_a_supervised_phase_rows_are_still_packed(tmp_path: Path) -> None:
    """The adapter is not zero any more, and its dropout would make packed and plain logits differ."""
    base = tiny_base(tmp_path, initializer_range=0.3)
    phases = [{"rows": "supervised"}, {"rows": "prompts", "objective": [{**REWARD, "kl": 0.1}], "epochs": 1}]
    found = run(tmp_path / "a", base, {"strategy": LORA, "epochs": 2, "phases": phases})
    assert [point["phase"][0] for point in found["curve"]] == ["1", "1", "2"]
    assert not [event for event in found["heard"] if event.kind == "warning"]


def test_sampling_without_a_reward_is_told() -> None:
    phases = [{"rows": "prompts"}, {"rows": "supervised_and_prompts", "objective": [REWARD, REWARD]}]
    found = problems(spec(phases=phases))
    assert [(one.code, one.path) for one in found] == [
        ("no-reward", "tune.phases[0].objective"),
        ("no-reward", "tune.phases[1].objective"),
    ]
    assert "found 0" in found[0].message and "found 2" in found[1].message
    assert not problems(spec(phases=[{"rows": "supervised_and_prompts", "objective": [REWARD]}]))


def test_rewards_in_a_phase_that_samples_nothing_are_told(tmp_path: Path) -> None:
    [found] = stage.check(spec(objective=[REWARD]), tmp_path)
    assert found.code == "needs-rows" and "policy_gradient reads `rows: prompts`" in found.message


def test_a_curriculum_from_easy_to_hard_and_from_shown_to_rewarded(tmp_path: Path) -> None:
    """Two steps an epoch, three epochs: the first three steps weigh 0.9 to 0.1, the others 0.6 to 0.4."""
    base = tiny_base(tmp_path, initializer_range=0.3)
    curriculum = {"order": "easy_to_hard", "supervised": [0.9, 0.6]}
    told = settings("supervised_and_prompts", {"use": "cross_entropy"}, REWARD, curriculum=curriculum)
    for number, point in enumerate(run(tmp_path / "a", base, told)["curve"]):
        share = 0.9 if number < 3 else 0.6
        wanted = share * point["cross_entropy"] + (1 - share) * point["policy_gradient"]
        assert point["loss"] == pytest.approx(wanted)


def test_activation_checkpointing_samples_the_same_answers(tmp_path: Path) -> None:
    base = tiny_base(tmp_path, initializer_range=0.3)
    told = settings("prompts", {**REWARD, "updates": 2}, epochs=1)
    plain, forgetful = (run(tmp_path / str(on), base, {**told, "activation_checkpointing": on}) for on in (False, True))
    assert plain["curve"] == forgetful["curve"] and plain["adapter"] == forgetful["adapter"]


def test_wrong_settings_are_told_with_their_place() -> None:
    wrong = {**REWARD, "samples": 1, "clip": [0.2, -1], "reward": [{"use": "says", "weight": 0}], "topp": 1}
    found = problems(spec(phases=[{"rows": "prompts", "objective": [wrong]}]))
    where = "tune.phases[0].objective[0]"
    names = ("samples", "clip[1]", "reward[0].weight", "topp")
    assert {one.path for one in found} >= {f"{where}.{name}" for name in names}
