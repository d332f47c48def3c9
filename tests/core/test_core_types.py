"""The nouns: frozen, explained field by field, and the same after a trip through JSON."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tunesmith.core import types
from tunesmith.core.types import (
    Answer,
    Artifact,
    Base,
    Baseline,
    Checkpoint,
    Corrections,
    Drop,
    Evidence,
    Example,
    Expert,
    GateVerdict,
    Interaction,
    Likelihood,
    Measure,
    Message,
    Noun,
    Profile,
    Reason,
    Refusal,
    Release,
    Report,
    Sampling,
    Score,
    Snapshot,
    Tally,
    Target,
    Tokens,
    ToolCall,
    Triple,
    Usage,
    example_id,
)

CALL = ToolCall(name="add", arguments='{"b": 1, "a": null}', id="c1")
TURNS = (
    Message(role="user", content="1+1? é中"),
    Message(role="assistant", reasoning="", tool_calls=(CALL,), trained=False),
    Message(role="tool", content="2", tool_call_id="c1"),
    Message(role="assistant", content="2", reasoning="one and one"),
)
GATE = GateVerdict.of("G1", [Reason(code="c", message="m", verdict="unknown", evidence={"n": [1, None, 0.5]})])
MEASURE = Measure(name="accuracy", model="expert", value=0.75, low=0.7, high=0.8, n=400, p=0.001)
EVIDENCE = Evidence(sentence="Gout is no rash.", start=3, end=19, row="ex-1", turn=1, place="x.csv:3")
THREE = {"subject": "Gout", "relation": "be", "object": "rash"}
KEYS = {"subject_key": "gout", "relation_key": "be", "object_key": "rash"}
NOUNS: list[Noun] = [
    *(CALL, *TURNS, GATE, GATE.reasons[0], MEASURE),
    Example(
        id="ex-1",
        messages=TURNS,
        target="2",
        rejected=TURNS[3],
        desirable=True,
        tools=("{}",),
        attributes={"sex": "f"},
        split="test",
    ),
    Target(measure="f1", at_least=0.8, slice="sex=f", surely=True),
    Base(
        name="m",
        revision="r",
        digest="d",
        architecture="A",
        parameters=1,
        active_parameters=1,
        layers=1,
        hidden=1,
        vocabulary=1,
        context=1,
        sampling={"temperature": 0.6},
    ),
    Profile(problem="p", task="classification", labels=("a", "b"), targets=(Target(measure="f1", at_most=1),)),
    Drop(place="x.csv:3", step="read", reason="empty", fate="merged", byte=17),
    Refusal(reason="too-short", detail="3 words", fate="aside"),
    Tally(step="read", rows_in=4, kept=1, dropped={"empty": 1}, merged={"copy": 2}, changed=1),
    Snapshot(rows_in=3, kept=2, dropped={"empty": 1}, splits={"train": 2}, leakage={"exact": 0}, gates=(GATE,)),
    Tokens(
        chat_template_hash="h",
        rows={"train": 2},
        tokens=9,
        trained=3,
        cut=0,
        rows_cut=0,
        rows_untrained=0,
        end_of_turn_missing=0,
        reasoning_lost=0,
        shared_prefix=4,
        estimate={"memory_gb": 1.5},
    ),
    Checkpoint(
        base="base-1",
        base_path="/m",
        base_revision="r",
        strategy={"use": "lora", "rank": 16},
        trainable=1,
        steps=1,
        epochs=1.5,
        seed=0,
        loss_first=2.0,
        loss_last=1.0,
        chat_template_hash="h",
        seconds=1.0,
        tokens_per_second=1.0,
        peak_memory_gb=1.0,
    ),
    Expert(checkpoint=None, base_path="/m", calibrations={"temperature": 1.2}),
    Answer(text="2", paths=("2", "3"), confidence=0.5, usage=Usage(prompt_tokens=3), stop="length"),
    Likelihood(log_probability=-2.0, tokens=4),
    Score(value=None, unscored="no-number"),
    Baseline(answers=3, seconds=1.0),
    Report(measures=(MEASURE,), targets=({"measure": "f1"},), seeds=(0,), notes=("one seed",)),
    Release(experts=("exp-1",), shares={"exp-1": 1.0}, report="rep-1"),
    Interaction(id="i-1", release="rel-1", request=TURNS[:1], answer=Answer(text="2"), at=1.5),
    Corrections(rows=1, causes={"wrong": 1}, reviewers=("ann",)),
    Usage(prompt_tokens=3, answer_tokens=1, seconds=0.5),
    Sampling(temperature=0.0, think=256),
    EVIDENCE,
    Triple(**THREE, **KEYS, confidence=0.9, negated=True, evidence=EVIDENCE),
    Artifact(id="art-1", run="run-1", inputs=("a", "b")),
]
KINDS = [
    kind
    for _, kind in inspect.getmembers(types, inspect.isclass)
    if issubclass(kind, Noun) and kind.__module__ == types.__name__ and kind is not Noun
]


def test_every_noun_is_tried_here() -> None:
    assert {type(noun) for noun in NOUNS} == set(KINDS)


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: type(noun).__name__)
def test_a_noun_comes_back_from_json_as_it_was(noun: Noun) -> None:
    assert type(noun).model_validate_json(noun.model_dump_json()) == noun
    assert type(noun).model_validate(noun.model_dump(mode="json")) == noun


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: type(noun).__name__)
def test_a_noun_is_frozen_and_knows_no_other_field(noun: Noun) -> None:
    field = next(iter(type(noun).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(noun, field, getattr(noun, field))
    with pytest.raises(ValidationError, match="extra_forbidden"):
        type(noun).model_validate({**noun.model_dump(), "unheard_of": 1})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_field_is_explained(kind: type[Noun]) -> None:
    """A field is named in its class's docstring, unless a class of few fields says in a sentence what it is."""
    text = inspect.getdoc(kind) or ""
    assert text
    own = [name for name in kind.model_fields if name in kind.__annotations__]
    if "Fields:" in text:
        assert [name for name in own if name not in text] == []
    else:
        assert len(own) <= 4


def test_prefixes_of_artifacts_differ() -> None:
    made = [kind for kind in KINDS if issubclass(kind, Artifact)]
    assert len({kind.prefix for kind in made}) == len(made)
    for kind in made:
        assert set(kind.volatile) <= set(kind.model_fields)


def test_the_folder_is_never_written() -> None:
    made = Snapshot(rows_in=1, kept=1, folder=Path("/somewhere"))
    assert "folder" not in made.model_dump()
    assert "somewhere" not in made.model_dump_json()
    assert made.file("drops.jsonl") == Path("/somewhere/drops.jsonl")
    with pytest.raises(ValueError, match="open it through the run store"):
        Snapshot(rows_in=1, kept=1).file("drops.jsonl")


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["passed", "passed"], "passed"),
        (["passed", "unknown"], "unknown"),
        (["unknown", "failed", "passed"], "failed"),
    ],
)
def test_a_gate_passes_only_if_every_reason_does(verdicts: list[Any], expected: str) -> None:
    verdict = GateVerdict.of("G1", [Reason(code="c", message="m", verdict=v) for v in verdicts])
    assert verdict.verdict == expected
    assert verdict.stops == (expected != "passed")
    assert not verdict.model_copy(update={"lowered": "pilot"}).stops


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [
        (Target(measure="m", at_least=0.8), 0.8, True),
        (Target(measure="m", at_least=0.8), 0.7999, False),
        (Target(measure="m", at_least=0.0), -0.1, False),
        (Target(measure="m", at_most=0.1), 0.1, True),
        (Target(measure="m", at_most=0.1), 0.2, False),
        (Target(measure="m", at_least=0.8), float("nan"), False),
        (Target(measure="m", at_most=0.8), float("nan"), False),
    ],
)
def test_thresholds(target: Target, value: float, met: bool) -> None:
    assert target.met_by(value) == met


def test_prompt_and_reference_of_an_example() -> None:
    row = Example(id="ex-1", messages=TURNS)
    assert row.prompt == TURNS[:3]
    assert row.reference == "2"
    assert Example(id="ex-1", messages=TURNS, target="two").reference == "two"
    asked = Example(id="ex-1", messages=TURNS[:1])
    assert asked.prompt == TURNS[:1]
    assert asked.reference == ""


def test_an_example_id_depends_on_what_is_said_and_on_nothing_else() -> None:
    one = example_id(TURNS, "2")
    assert one == example_id(TURNS, "2")
    assert one.startswith("ex-")
    different = [example_id(TURNS[:3], "2"), example_id(TURNS, None), example_id(TURNS, "2", TURNS[3])]
    assert len({one, *different}) == 4


@pytest.mark.parametrize(("kept", "balanced"), [(2, True), (1, False), (3, False)])
def test_a_tally_is_balanced_when_every_row_is_counted_once(kept: int, balanced: bool) -> None:
    """Five rows in; two dropped, one merged: two must have gone on."""
    assert Tally(step="s", rows_in=5, kept=kept, dropped={"a": 2}, merged={"b": 1}).balanced == balanced


def test_likelihood_per_token() -> None:
    assert Likelihood(log_probability=-2.0, tokens=4).per_token == -0.5
    assert Likelihood(log_probability=0.0, tokens=0).per_token == 0.0
