"""Text, then conversations, then pairs in one training: each goes on from the one before, whatever interrupts it."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tune_fakes import base_of, context_of, profile, snapshot_of, spec

from fakes import tiny_model_folder
from tunesmith.core.events import Event
from tunesmith.core.types import Base, Example, Message, Tokens, example_id
from tunesmith.tune import prepare, stage

LORA = {"use": "lora", "rank": 4, "alpha": 8, "upper": 0.5, "dropout": 0.1}
PHASES = [
    {"rows": "text", "epochs": 1},
    {"rows": "supervised", "epochs": 2},
    {"rows": "pairs", "epochs": 2, "objective": [{"use": "dpo", "beta": 0.5}, {"use": "kto"}], "learning_rate": 0.02},
]
SECTION = {"strategy": LORA, "phases": PHASES, "checkpoint_every": "1 steps", "context_tokens": 40}


def examples() -> list[Example]:
    """Three texts, one of them longer than the context; eight conversations, four of them pairs; one held out."""
    made = []
    for number, text in enumerate(("Water boils.", "The sun rises in the east. " * 12, "Fever is no diagnosis.")):
        said = (Message(role="user", content=text),)
        made.append(Example(id=example_id(said, None), messages=said, place=f"text:{number}", split="train"))
    for number in range(9):
        turns = (Message(role="user", content=f"{number}?"), Message(role="assistant", content=f"yes {number}"))
        worse = Message(role="assistant", content="no") if number % 2 else None
        split: Any = "valid" if number == 8 else "train"
        made.append(Example(id=example_id(turns, None, worse), messages=turns, rejected=worse, split=split))
    return made


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Base, Tokens]:
    folder = tmp_path_factory.mktemp("job")
    base = base_of(tiny_model_folder(folder, num_hidden_layers=4))
    context = context_of(folder)
    snapshot = snapshot_of(folder / "snapshot", examples())
    made = prepare.run(spec(**SECTION), base=base, profile=profile(), snapshot=snapshot, context=context)
    return base, made.model_copy(update={"folder": context.out})


def trained(
    job: tuple[Base, Tokens], folder: Path, heard: list[Event] | None = None, **settings: Any
) -> dict[str, Any]:
    context = context_of(folder, heard)
    section = spec(**{**SECTION, **settings})
    made = stage.run(section, base=job[0], profile=profile(), snapshot=snapshot_of(), tokens=job[1], context=context)
    lines = [json.loads(line) for line in (context.out / "curves.jsonl").read_text().splitlines()]
    points = [{name: value for name, value in point.items() if name != "tokens_per_second"} for point in lines]
    return {"points": points, "weights": load_file(context.out / "adapter" / "adapter_model.safetensors"), "made": made}


@pytest.fixture(scope="module")
def whole(job: tuple[Base, Tokens], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return trained(job, tmp_path_factory.mktemp("whole"))


def test_every_phase_has_its_steps_its_terms_and_its_name_in_the_curve(whole: dict[str, Any]) -> None:
    """In steps of 4: seven rows of text (one text has five), once; 8 conversations twice; 4 pairs twice."""
    names = [point["phase"] for point in whole["points"]]
    assert names == ["1 of 3, text"] * 2 + ["2 of 3, supervised"] * 4 + ["3 of 3, pairs"] * 2
    pairs = whole["points"][-2:]
    assert all(
        {"dpo", "dpo.accuracy", "dpo.margin", "dpo.chosen", "kto.reference_point"} <= point.keys() for point in pairs
    )
    assert pairs[0]["dpo.margin"] == pytest.approx(0, abs=0.5) and pairs[0]["dpo"] == pytest.approx(0.693, abs=0.2)
    assert all("cross_entropy" in point for point in whole["points"][:-2])
    made = whole["made"]
    assert made.steps == len(names)
    assert made.loss_last == whole["points"][-3]["cross_entropy"]


def test_a_phase_begins_with_the_weights_of_the_one_before(
    job: tuple[Base, Tokens], whole: dict[str, Any], tmp_path: Path
) -> None:
    """Without the third phase the first two are the same, step by step; the third changes the weights once more."""
    two = trained(job, tmp_path, phases=PHASES[:2])
    steps = [{**point, "phase": ""} for point in whole["points"][:-2]]
    assert [{**point, "phase": ""} for point in two["points"]] == steps
    assert any(not torch.equal(weight, whole["weights"][name]) for name, weight in two["weights"].items())


@pytest.mark.parametrize("phase", ["1 of 3", "2 of 3", "3 of 3"])
def test_a_run_that_is_interrupted_in_any_phase_ends_bit_for_bit_as_the_other(
    job: tuple[Base, Tokens], whole: dict[str, Any], tmp_path: Path, phase: str
) -> None:
    """Ctrl-C in the phase's first step."""

    class Interrupted(list[Event]):
        def append(self, event: Event) -> None:
            if event.kind == "metric" and event.data["phase"].startswith(phase):
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trained(job, tmp_path, Interrupted())
    again = trained(job, tmp_path)
    assert again["points"] == whole["points"]
    assert all(torch.equal(weight, whole["weights"][name]) for name, weight in again["weights"].items())
