"""A local model as an answerer: base, adapter in force, limits told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from fakes import tiny_model_folder
from tunesmith.core.errors import UserError
from tunesmith.core.protocols import LikelihoodAnswerer
from tunesmith.core.types import Message
from tunesmith.models.answerer import open_model
from tunesmith.models.load import load_model

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

ASK = [Message(role="system", content="Answer with the name."), Message(role="user", content="The capital?")]
ASK2 = [Message(role="system", content="Answer with the name."), Message(role="user", content="The diagnosis?")]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model_folder(tmp_path_factory.mktemp("base"), "llama", initializer_range=0.3)


def adapter_of(base: Path, folder: Path) -> tuple[Path, Any]:
    """A LoRA adapter whose B is not zero, saved in PEFT's format, and the adapted model itself."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    model = get_peft_model(load_model(base), config).eval()
    model.save_pretrained(str(folder))
    return folder, model


def test_it_answers_counts_and_names_itself(base: Path) -> None:
    with open_model(base, name="base") as answerer:
        assert isinstance(answerer, LikelihoodAnswerer)
        first, second = answerer.answer([ASK, ASK2], at_most_tokens=5)
        assert answerer.answer([ASK], at_most_tokens=5)[0].text == first.text
        assert first.usage.prompt_tokens == len(answerer.chat.prompt(ASK))
        assert first.stop == "length" and first.usage.answer_tokens + first.usage.reasoning_tokens == 5
        assert (first.route, second.route) == ("base", "base")
        assert first.usage.seconds > 0


def test_a_conversation_beyond_the_context_is_not_answered(base: Path) -> None:
    """The tiny model has 512 positions; the other conversation is answered all the same."""
    long = [Message(role="user", content="x" * 600)]
    with open_model(base, name="base") as answerer:
        first, second = answerer.answer([long, ASK], at_most_tokens=5)
        assert (first.stop, first.text, first.evidence["error"]) == ("error", "", "prompt-too-long")
        assert second.stop == "length"
        with pytest.raises(UserError, match="text-too-long"):
            answerer.text_likelihood(["x" * 600])
        with pytest.raises(UserError, match="text-too-long"):
            answerer.likelihood([long], [["yes"]])


def test_options_are_scored_as_whole_turns(base: Path) -> None:
    """The sum over the option's tokens and the end-of-turn token, after the served prompt."""
    with open_model(base, name="base") as answerer:
        found = answerer.likelihood([ASK, ASK2], [["yes", "no"], ["maybe"]])
        ids = [*answerer.chat.prompt(ASK), *answerer.chat.completion("no")]
        with torch.inference_mode():
            logits = answerer.model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1)
        n = len(answerer.chat.completion("no"))
        expected = sum(float(logits[i - 1, ids[i]]) for i in range(len(ids) - n, len(ids)))
    assert ids[-1] == answerer.chat.end_of_turn_ids[-1]
    assert found[0][1].tokens == n
    assert found[0][1].log_probability == pytest.approx(expected, abs=1e-4)
    assert [len(some) for some in found] == [2, 1]


def test_a_merged_adapter_answers_as_the_adapter_beside_the_base(base: Path, tmp_path: Path) -> None:
    folder, adapted = adapter_of(base, tmp_path / "adapter")
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.inference_mode():
        beside, plain = adapted(input_ids=ids).logits, load_model(base)(input_ids=ids).logits
        with open_model(base, folder, name="expert") as answerer:
            merged = answerer.model(input_ids=ids).logits
    assert torch.allclose(beside, merged, atol=1e-5)
    assert not torch.allclose(plain, merged, atol=1e-2)


def test_memory_is_freed_when_the_block_ends(base: Path) -> None:
    with open_model(base, name="base") as answerer:
        pass
    assert not hasattr(answerer, "model")


def test_an_adapter_that_is_no_adapter_is_a_problem(base: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter_model.bin").write_bytes(b"pickle")
    with pytest.raises(UserError) as caught, open_model(base, tmp_path, name="expert"):
        pass
    assert [problem.code for problem in caught.value.problems] == ["no-adapter", "no-adapter"]


def test_an_adapter_of_another_model_is_a_problem(base: Path, tmp_path: Path) -> None:
    other = tiny_model_folder(tmp_path, "llama", hidden_size=64)
    folder, _ = adapter_of(other, tmp_path / "adapter")
    with pytest.raises(UserError, match="adapter-misfit"), open_model(base, folder, name="expert"):
        pass
