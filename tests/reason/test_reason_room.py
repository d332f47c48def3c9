"""The reasoning room: a checkpoint becomes an expert, and the expert answers by its recipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from fakes import edit_json, tiny_model_folder
from reason_fakes import Drawer, Votes, base_in
from tunesmith.core.errors import UserError
from tunesmith.core.events import Event, Events
from tunesmith.core.examples import write_examples
from tunesmith.core.files import read_json
from tunesmith.core.protocols import Context, LikelihoodAnswerer, Sampler
from tunesmith.core.spec import Use
from tunesmith.core.types import (
    Answer,
    Base,
    Checkpoint,
    Example,
    Expert,
    Message,
    Profile,
    Sampling,
    Snapshot,
    Split,
    example_id,
)
from tunesmith.models import hardware
from tunesmith.models.answerer import LocalAnswerer
from tunesmith.models.hardware import Hardware
from tunesmith.models.int8 import Int8Linear
from tunesmith.reason import line, stage
from tunesmith.reason.answerer import ExpertAnswerer, line_of, open_answerer
from tunesmith.reason.line import Line
from tunesmith.reason.replay import read_chains
from tunesmith.reason.shelf import PATHS
from tunesmith.reason.spec import ReasonSpec

ASK = [Message(role="user", content="The capital?")]


def checkpoint_in(folder: Path, **fields: Any) -> Checkpoint:
    return Checkpoint(
        id="ckpt-1", folder=folder, base="base-1", base_path="", base_revision="", strategy={"use": "lora"},
        trainable=1, steps=1, epochs=1, seed=0, loss_first=1, loss_last=1, seconds=1, tokens_per_second=1,
        peak_memory_gb=1, **{"chat_template_hash": "abc", **fields},
    )  # fmt: skip


def row(question: str, answer: str, split: Split) -> Example:
    messages = (Message(role="user", content=question), Message(role="assistant", content=answer))
    return Example(id=example_id(messages, None), messages=messages, split=split)


ROWS = [
    row("A box holds 5 bolts. How many are in 2 boxes?", "2 * 5 = 10\nAnswer: 10", "train"),
    row("A box holds 4 nuts. How many are in 3 boxes?", "3 * 4 = 12\nAnswer: 12", "train"),
    row("A bag holds 6 pens. How many are in 4 bags?", "4 * 6 = 24\nAnswer: 24", "valid"),
    row("A bag holds 7 pens. How many are in 4 bags?", "no number", "valid"),
    row("A box holds 4 nuts. How many are in 3 boxes", "12", "test"),
]
"""The second training row is the test row."""


def made(
    tmp_path: Path, spec: ReasonSpec, model: Drawer | None = None, checkpoint: Checkpoint | None = None
) -> tuple[Expert, list[Event]]:
    """The stage's expert, its files in `tmp_path / "out"`, and what it told."""
    out, told = tmp_path / "out", list[Event]()
    out.mkdir(parents=True)
    write_examples(out / "examples.parquet", ROWS)
    asked = Drawer(lambda conversation, number: f"Let me see. The answer is {24 + number // 6}.")

    @contextmanager
    def opened(thing: Base | Expert) -> Iterator[LikelihoodAnswerer]:
        assert isinstance(thing, Expert) and thing.reasoning == {"engine": spec.engine, "calculator": spec.calculator}
        yield model or asked

    base = base_in(tiny_model_folder(tmp_path))
    expert = stage.run(
        spec,
        base=base,
        profile=Profile(problem="p", task="generation", labels=()),
        snapshot=Snapshot(folder=out, rows_in=5, kept=5),
        checkpoint=checkpoint or checkpoint_in(tmp_path / "c"),
        context=Context(tmp_path, out, tmp_path, Events(told.append), 4, "run-1", opened),
    )
    return expert.model_copy(update={"folder": out}), told


def test_the_stage_makes_an_expert_of_a_checkpoint(tmp_path: Path) -> None:
    expert, _ = made(tmp_path, ReasonSpec(at_most_tokens=12))
    assert expert.checkpoint == "ckpt-1"
    assert expert.adapter_path == str(tmp_path / "c" / "adapter")
    assert expert.chat_template_hash == "abc"
    assert expert.reasoning == {
        "paths": {"use": "direct"},
        "sampling": {"temperature": 0.6, "top_p": 0.95, "think": "auto", "seed": 4},
        "engine": "exact",
        "calculator": False,
        "check": [],
        "fuse": None,
        "conclude": "auto",
        "options": [],
        "abstain_below": 0.0,
        "at_most_tokens": 12,
    }
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["examples.parquet"]


def test_a_model_that_was_trained_itself_is_the_expert(tmp_path: Path) -> None:
    (tmp_path / "c" / "model").mkdir(parents=True)
    expert, _ = made(tmp_path, ReasonSpec())
    assert (expert.base_path, expert.adapter_path) == (str(tmp_path / "c" / "model"), None)


def test_ways_that_show_examples_get_training_rows_without_held_out_ones(tmp_path: Path) -> None:
    spec = ReasonSpec(paths=Use.model_validate({"use": "self_consistency", "draws": 2, "ask": [{"use": "few_shot"}]}))
    expert, told = made(tmp_path, spec)
    thinks = line_of(expert)
    assert [entry.question for entry in thinks.library.entries] == [ROWS[0].messages[0].content]
    assert any(event.data.get("held-out") == 1 for event in told)
    assert "pens" not in (tmp_path / "out" / "held_out.json").read_text()
    assert expert.reasoning["paths"]["ask"][0]["use"] == "few_shot"
    assert thinks.paths == PATHS.build(spec.paths)


def test_a_fusion_is_taught_on_validation_rows_and_the_chains_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of the two validation rows has a number to compare with; 7 chains say 24, the eighth one 25."""
    shelf = SimpleNamespace(build=lambda use, where: Votes(), settings=lambda use, where: {"use": use.use})
    for module in (stage, line):
        monkeypatch.setattr(module, "FUSIONS", shelf)
    paths = Use.model_validate({"use": "self_consistency", "draws": 7})
    expert, _ = made(tmp_path, ReasonSpec(paths=paths, fuse=Use(use="votes"), conclude="number"))
    (question,) = read_chains(tmp_path / "out" / "chains.jsonl")
    assert (question.right, [chain.conclusion for chain in question.chains]) == ("24", ["24"] * 6 + ["25"])
    thinks = line_of(expert)
    assert (thinks.learnt, thinks.stopping) == ({"rows": 1}, {})
    assert thinks.answer(question.chains).confidence == pytest.approx(6 / 7)


def test_stopping_is_taught_on_all_chains_of_validation_rows(tmp_path: Path) -> None:
    """One row cannot confirm any level: nothing stops early unless the rest cannot change the vote."""
    paths = Use.model_validate({"use": "adaptive", "at_most": 5})
    expert, _ = made(tmp_path, ReasonSpec(paths=paths, conclude="number"))
    (question,) = read_chains(tmp_path / "out" / "chains.jsonl")
    assert len(question.chains) == 5
    thinks = line_of(expert)
    assert (thinks.stopping["full"], thinks.stopping["level"]) == (5, 0.0)
    replayed = read_json(tmp_path / "out" / "replayed.json")
    assert [point["chains"] for point in replayed["ways"]["vote"]] == [1, 2, 3, 5]
    assert replayed["settled"] == {"differ": 0}


def test_everything_wrong_with_the_section_is_told(tmp_path: Path) -> None:
    spec = ReasonSpec.model_validate(
        {"paths": {"use": "few_shot", "shots": 0}, "check": [{"use": "arithmetics"}], "fuse": {"use": "majoritty"}}
    )
    assert [(p.code, p.path) for p in stage.check(spec, tmp_path)] == [
        ("wrong-value", "reason.paths.shots"),
        ("unknown-component", "reason.check[0]"),
        ("unknown-component", "reason.fuse"),
    ]
    inside = ReasonSpec.model_validate({"paths": {"use": "adaptive", "ask": [{"use": "few_shot", "by": {"use": "x"}}]}})
    assert [p.code for p in stage.check(inside, tmp_path)] == ["unknown-component"]


def test_an_unknown_way_of_reasoning_is_told_with_the_nearest(tmp_path: Path) -> None:
    problems = stage.check(ReasonSpec(paths=Use(use="dirct")), tmp_path)
    assert [(p.code, p.path, p.hint) for p in problems] == [
        ("unknown-component", "reason.paths", "did you mean 'direct'?")
    ]
    assert stage.check(ReasonSpec(), tmp_path) == []


def test_a_limit_below_one_token_is_refused() -> None:
    with pytest.raises(ValidationError):
        ReasonSpec(at_most_tokens=0)


def test_the_lower_limit_counts_and_likelihood_passes_through() -> None:
    class Limits(Drawer):
        limits: ClassVar[list[int]] = []

        def sample(self, *asked: Any, at_most_tokens: int, **more: Any) -> list[list[Answer]]:
            self.limits.append(at_most_tokens)
            return super().sample(*asked, at_most_tokens=at_most_tokens, **more)

    expert = ExpertAnswerer(Limits(lambda c, n: "so"), Line(PATHS.build("direct")), at_most_tokens=8)
    assert isinstance(expert, LikelihoodAnswerer) and isinstance(expert, Sampler)
    assert [expert.answer([ASK], at_most_tokens=n)[0].text for n in (20, 3)] == ["so", "so"]
    assert expert.chains([ASK], at_most_tokens=20)[0][0].written == "so"
    assert expert.sample([ASK], draws=[range(2)], at_most_tokens=9, how=Sampling())[0][1].text == "so"
    assert Limits.limits == [8, 3, 8, 8]
    assert expert.likelihood([ASK], [["a", "b"]])[0][1].log_probability == -1.0
    assert expert.text_likelihood(["a"])[0].tokens == 2


def test_a_base_and_an_expert_of_it_without_adapter_answer_alike(tmp_path: Path) -> None:
    base = base_in(tiny_model_folder(tmp_path))
    expert = Expert(
        id="exp-1", checkpoint=None, base_path=base.path, chat_template_hash=base.chat_template_hash,
        reasoning={"paths": {"use": "direct"}, "at_most_tokens": 4},
    )  # fmt: skip
    with open_answerer(base) as one, open_answerer(expert) as other:
        assert (one.name, other.name) == ("base-1", "exp-1")
        assert one.answer([ASK], at_most_tokens=4)[0].text == other.answer([ASK], at_most_tokens=9)[0].text


def test_an_expert_answers_in_its_engine_and_a_base_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without bfloat16 units is told before anything is run."""
    machine = Hardware(cores=1, free_cores=1, memory_gb=8, free_gb=8, int8="hardware")
    monkeypatch.setattr(hardware, "look", lambda: machine)
    base = base_in(tiny_model_folder(tmp_path))
    expert = Expert(
        checkpoint=None, base_path=base.path, chat_template_hash=base.chat_template_hash, reasoning={"engine": "int8"}
    )
    with open_answerer(base) as one, open_answerer(expert) as other:
        assert isinstance(other, ExpertAnswerer) and isinstance(one, LocalAnswerer)
        fast: Any = other.model
        heads = [model.get_output_embeddings() for model in (one.model, fast.model)]
    assert [isinstance(head, Int8Linear) for head in heads] == [False, True]
    problems = stage.check(ReasonSpec(engine="bf16"), tmp_path)
    assert [(problem.code, problem.path) for problem in problems] == [("no-bf16", "reason.engine")]


def test_another_chat_template_than_in_training_is_refused(tmp_path: Path) -> None:
    base = base_in(tiny_model_folder(tmp_path))
    edit_json(Path(base.path) / "tokenizer_config.json", eos_token="<|endoftext|>")
    with pytest.raises(UserError, match="template-changed"), open_answerer(base):
        pass
