"""The rule table fills every `auto`, says why, and never changes what the user wrote."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from typing import Any

import pytest
from pydantic import ValidationError

from tunesmith.models.hardware import look
from tunesmith.tune import rules
from tunesmith.tune.spec import TuneSpec


class Shape:
    def __init__(self, parameters: int = 135_000_000, context: int = 2048) -> None:
        self.parameters, self.context = parameters, context


def filled(rows: int = 500, parameters: int = 135_000_000, **section: Any) -> tuple[TuneSpec, list[rules.Choice]]:
    return rules.resolve(TuneSpec.model_validate(section), Shape(parameters), rows)


def test_a_small_model_and_few_rows_by_the_table() -> None:
    spec, choices = filled()
    assert (spec.learning_rate, spec.epochs, spec.rows_per_step) == (0.001, 3, 8)
    assert spec.strategy.settings["rank"] == 16 and spec.strategy.settings["alpha"] == 32
    assert (spec.context_tokens, spec.tokens_per_micro_batch) == (2048, 4096 if look().gpus else 1024)
    names = {"learning_rate", "epochs", "rows_per_step", "context_tokens", "tokens_per_micro_batch"}
    assert {choice.name for choice in choices} == names | {"strategy.rank", "strategy.alpha"}


@pytest.mark.parametrize(
    ("rows", "parameters"),
    list(product([1, 1000, 1001, 20_000, 10**6], [10**8, 7 * 10**9, 671 * 10**9])),
)
def test_every_size_of_model_and_data_has_a_line_for_everything(rows: int, parameters: int) -> None:
    spec, choices = filled(rows, parameters)
    assert "auto" not in {getattr(spec, name) for name in ("learning_rate", "epochs", "rows_per_step")}
    assert all(choice.reason and choice.source for choice in choices)


def test_larger_models_learn_slower_and_more_rows_need_fewer_passes() -> None:
    rates = [float(filled(parameters=size)[0].learning_rate) for size in (10**8, 7 * 10**9, 70 * 10**9)]
    passes = [float(filled(rows)[0].epochs) for rows in (500, 5000, 500_000)]
    assert rates == sorted(rates, reverse=True) and len(set(rates)) == 3
    assert passes == sorted(passes, reverse=True) and len(set(passes)) == 3


def test_ranks_that_move_start_from_three_small_factors_and_learn_at_five_times_the_rate() -> None:
    for size in (10**8, 7 * 10**9, 70 * 10**9):
        plain, moving = (filled(parameters=size, strategy={"use": use})[0] for use in ("lora", "adaptive"))
        assert float(moving.learning_rate) == pytest.approx(5 * float(plain.learning_rate))


def test_what_the_user_wrote_stays() -> None:
    spec, choices = filled(learning_rate=0.5, strategy={"use": "lora", "rank": 3})
    assert spec.learning_rate == 0.5 and spec.strategy.settings["rank"] == 3
    assert not {"learning_rate", "strategy.rank"} & {choice.name for choice in choices}
    assert filled(learning_rate=0.5, strategy={"use": "lora", "rank": 3}) == (spec, choices)


@pytest.mark.parametrize(("written", "read"), [(True, "on"), (False, "off"), ("on", "on"), ("auto", "auto")])
def test_activation_checkpointing_reads_older_files_and_is_left_to_the_estimate(written: Any, read: str) -> None:
    spec, choices = filled(activation_checkpointing=written)
    assert spec.activation_checkpointing == read
    assert "activation_checkpointing" not in {choice.name for choice in choices}


def test_filling_what_is_filled_changes_nothing() -> None:
    spec, _ = filled()
    assert rules.resolve(spec, Shape(), 500) == (spec, [])


def test_every_problem_of_strategy_and_objective_is_told_at_once() -> None:
    spec = TuneSpec.model_validate(
        {
            "strategy": {"use": "lora", "rnak": 3},
            "objective": [{"use": "cross_entrop"}, {"use": "cross_entropy", "weight": -1}],
        }
    )
    found = rules.problems(spec)
    assert [(problem.code, problem.path) for problem in found] == [
        ("unknown-key", "tune.strategy.rnak"),
        ("unknown-component", "tune.objective[0]"),
        ("wrong-value", "tune.objective[1].weight"),
    ]
    assert "rank" in found[0].hint and "cross_entropy" in found[1].hint


@pytest.mark.parametrize(
    "section", [{"learning_rate": 0}, {"epochs": -1}, {"rows_per_step": 0}, {"checkpoint_every": "soon"}, {"warmup": 1}]
)
def test_values_out_of_range_are_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TuneSpec.model_validate(section)


def test_every_field_says_what_it_is() -> None:
    assert all(field.description for field in TuneSpec.model_fields.values())


def test_checking_and_filling_take_no_torch() -> None:
    code = (
        "import sys; from tunesmith.tune import prepare, rules, stage; from tunesmith.tune.spec import TuneSpec;"
        "from pathlib import Path; stage.check(TuneSpec(), Path());"
        "rules.resolve(TuneSpec(), type('S', (), {'parameters': 1, 'context': 9}), 1);"
        "assert not {'torch', 'transformers', 'peft', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
