"""The reasoning room: a checkpoint becomes an expert, and the expert answers by its recipe."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fakes import edit_json, tiny_model_folder
from tunesmith.core.errors import UserError
from tunesmith.core.events import Events
from tunesmith.core.protocols import Context, Conversation, LikelihoodAnswerer
from tunesmith.core.spec import Use
from tunesmith.core.types import Answer, Base, Checkpoint, Expert, Likelihood, Message
from tunesmith.models.chat import Chat
from tunesmith.reason import stage
from tunesmith.reason.answerer import ExpertAnswerer, open_answerer
from tunesmith.reason.shelf import PATHS
from tunesmith.reason.spec import ReasonSpec

ASK = [Message(role="user", content="The capital?")]


class Echo:
    """Answers with the limit it was given."""

    name = "echo"

    def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        return [Answer(text=f"{c[-1].content} {at_most_tokens}") for c in conversations]

    def likelihood(
        self, conversations: Sequence[Conversation], options: Sequence[Sequence[str]]
    ) -> list[list[Likelihood]]:
        return [[Likelihood(log_probability=-1.0, tokens=1) for _ in some] for some in options]

    def text_likelihood(self, texts: Sequence[str]) -> list[Likelihood]:
        return [Likelihood(log_probability=-2.0, tokens=2) for _ in texts]


def base_in(folder: Path) -> Base:
    return Base(
        id="base-1", name="tiny", revision="", digest="", architecture="LlamaForCausalLM", parameters=1,
        active_parameters=1, layers=2, hidden=32, vocabulary=400, context=512, path=str(folder),
        chat_template_hash=Chat.of(folder).hash,
    )  # fmt: skip


def checkpoint_in(folder: Path, **fields: Any) -> Checkpoint:
    return Checkpoint(
        id="ckpt-1", folder=folder, base="base-1", base_path="", base_revision="", strategy={"use": "lora"},
        trainable=1, steps=1, epochs=1, seed=0, loss_first=1, loss_last=1, seconds=1, tokens_per_second=1,
        peak_memory_gb=1, **{"chat_template_hash": "abc", **fields},
    )  # fmt: skip


def opened(thing: Base | Expert) -> AbstractContextManager[LikelihoodAnswerer]:
    return open_answerer(thing)


def test_the_stage_makes_an_expert_of_a_checkpoint(tmp_path: Path) -> None:
    base = base_in(tiny_model_folder(tmp_path))
    context = Context(tmp_path, tmp_path, tmp_path, Events(), 0, "run-1", opened)
    expert = stage.run(
        ReasonSpec(at_most_tokens=12), base=base, checkpoint=checkpoint_in(tmp_path / "c"), context=context
    )
    assert expert.checkpoint == "ckpt-1"
    assert expert.base_path == base.path
    assert expert.adapter_path == str(tmp_path / "c" / "adapter")
    assert expert.chat_template_hash == "abc"
    assert expert.reasoning == {"use": "direct", "at_most_tokens": 12}


def test_a_model_that_was_trained_itself_is_the_expert(tmp_path: Path) -> None:
    base, checkpoint = base_in(tiny_model_folder(tmp_path)), checkpoint_in(tmp_path / "c")
    (tmp_path / "c" / "model").mkdir(parents=True)
    context = Context(tmp_path, tmp_path, tmp_path, Events(), 0, "run-1", opened)
    expert = stage.run(ReasonSpec(), base=base, checkpoint=checkpoint, context=context)
    assert (expert.base_path, expert.adapter_path) == (str(tmp_path / "c" / "model"), None)


def test_an_unknown_way_of_reasoning_is_told_with_the_nearest(tmp_path: Path) -> None:
    problems = stage.check(ReasonSpec(paths=Use(use="dirct")), tmp_path)
    assert [(p.code, p.path, p.hint) for p in problems] == [
        ("unknown-component", "reason.paths", "did you mean 'direct'?")
    ]
    assert stage.check(ReasonSpec(), tmp_path) == []


def test_a_limit_below_one_token_is_refused() -> None:
    with pytest.raises(ValidationError):
        ReasonSpec(at_most_tokens=0)


@pytest.mark.parametrize("name", PATHS.names())
def test_every_way_of_reasoning_answers_each_question_in_order(name: str) -> None:
    paths = PATHS.build(name)
    questions = [[Message(role="user", content=word)] for word in ("one", "two")]
    answers = paths.answer(Echo(), questions, at_most_tokens=4)
    assert [answer.text.split()[0] for answer in answers] == ["one", "two"]
    assert paths.answer(Echo(), [], at_most_tokens=4) == []


def test_the_lower_limit_counts_and_likelihood_passes_through() -> None:
    expert = ExpertAnswerer(Echo(), PATHS.build("direct"), at_most_tokens=8)
    assert isinstance(expert, LikelihoodAnswerer)
    assert expert.answer([ASK], at_most_tokens=20)[0].text == "The capital? 8"
    assert expert.answer([ASK], at_most_tokens=3)[0].text == "The capital? 3"
    assert expert.likelihood([ASK], [["a", "b"]])[0][1].log_probability == -1.0
    assert expert.text_likelihood(["a"])[0].tokens == 2


def test_a_base_and_an_expert_of_it_without_adapter_answer_alike(tmp_path: Path) -> None:
    base = base_in(tiny_model_folder(tmp_path))
    expert = Expert(
        id="exp-1", checkpoint=None, base_path=base.path, chat_template_hash=base.chat_template_hash,
        reasoning={"use": "direct", "at_most_tokens": 4},
    )  # fmt: skip
    with open_answerer(base) as one, open_answerer(expert) as other:
        assert (one.name, other.name) == ("base-1", "exp-1")
        assert one.answer([ASK], at_most_tokens=4)[0].text == other.answer([ASK], at_most_tokens=9)[0].text


def test_another_chat_template_than_in_training_is_refused(tmp_path: Path) -> None:
    base = base_in(tiny_model_folder(tmp_path))
    edit_json(Path(base.path) / "tokenizer_config.json", eos_token="<|endoftext|>")
    with pytest.raises(UserError, match="template-changed"), open_answerer(base):
        pass
