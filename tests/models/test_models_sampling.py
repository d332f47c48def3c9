"""Several paths of one question: each a function of seed, question and number, scored, cut where it goes nowhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fakes import tiny_model_folder, tiny_tokenizer
from tunesmith.core.protocols import Sampler
from tunesmith.core.types import Message, Sampling
from tunesmith.models.answerer import LocalAnswerer
from tunesmith.models.chat import Chat
from tunesmith.models.drawing import log_probabilities, pick, stream
from tunesmith.models.generate import Generation, Thought, generate
from tunesmith.models.load import load_model
from tunesmith.models.loops import loops
from tunesmith.models.turns import with_thought

ASK = [Message(role="user", content="The capital?")]
ASK2 = [Message(role="user", content="The diagnosis of a patient with fever?")]
WARM = Sampling(temperature=1.0, top_p=0.9, seed=7)
TEMPLATES = Path(__file__).parent / "templates"


@pytest.fixture(scope="module")
def answerer(tmp_path_factory: pytest.TempPathFactory) -> LocalAnswerer:
    folder = tiny_model_folder(tmp_path_factory.mktemp("base"), "llama", initializer_range=0.3)
    return LocalAnswerer(load_model(folder), Chat.of(folder), "tiny")


def drawn(answerer: LocalAnswerer, *draws: range, how: Sampling = WARM) -> list[list[str]]:
    said = answerer.sample([ASK, ASK2][: len(draws)], draws=draws, at_most_tokens=8, how=how)
    return [[answer.text for answer in answers] for answers in said]


def test_a_path_depends_on_seed_question_and_number_alone(answerer: LocalAnswerer) -> None:
    """Paths 0 to 3 at once are those drawn in two calls, alone or beside another question."""
    assert isinstance(answerer, Sampler)
    together = drawn(answerer, range(4), range(2))
    assert together == [drawn(answerer, range(2))[0] + drawn(answerer, range(2, 4))[0], together[1]]
    assert drawn(answerer, range(3, 4), range(0)) == [together[0][3:], []]
    assert len(set(together[0])) > 1
    assert drawn(answerer, range(4), how=WARM.model_copy(update={"seed": 8}))[0] != together[0]


def test_the_prompt_is_counted_once_and_every_path_has_its_probability(answerer: LocalAnswerer) -> None:
    """The sum over a path's tokens of the model's own log-probabilities, at temperature 1 whatever it was drawn at."""
    prompt = answerer.chat.prompt(ASK)
    answers = answerer.sample([ASK], draws=[range(3)], at_most_tokens=6, how=WARM)[0]
    assert [answer.usage.prompt_tokens for answer in answers] == [len(prompt), 0, 0]
    made = generate(
        answerer.model, [prompt], Generation(6, answerer.stop_ids, temperature=1.0, top_p=0.9, seed=7, scored=True)
    )[0]
    ids = [*prompt, *made.ids, *([made.stop_id] if made.stop_id is not None else [])]
    with torch.inference_mode():
        logits = answerer.model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1)
    expected = sum(float(logits[i - 1, ids[i]]) for i in range(len(prompt), len(ids)))
    assert answers[0].log_probability == pytest.approx(expected, abs=1e-3)
    assert answerer.answer([ASK], at_most_tokens=6)[0].log_probability is None


def test_temperature_zero_is_the_greedy_answer(answerer: LocalAnswerer) -> None:
    greedy = answerer.answer([ASK, ASK2], at_most_tokens=8)
    assert drawn(answerer, range(1), range(2), how=Sampling(temperature=0)) == [
        [greedy[0].text],
        [greedy[1].text] * 2,
    ]


def test_a_conversation_beyond_the_context_has_as_many_errors_as_paths(answerer: LocalAnswerer) -> None:
    long = [Message(role="user", content="x" * 600)]
    said = answerer.sample([long, ASK], draws=[range(2), range(1)], at_most_tokens=8, how=WARM)
    assert [(answer.stop, answer.evidence["error"]) for answer in said[0]] == [("error", "prompt-too-long")] * 2
    assert said[1][0].stop != "error"


def test_a_nucleus_of_few_and_of_many_tokens() -> None:
    """Shares 0.5, 0.3, 0.2 with top_p 0.7: the first two in 5 : 3. 400 equal tokens with top_p 0.9: 360 are drawn from.

    4,000 draws: the standard error of 0.625 is 0.008. Beyond 256 tokens the whole vocabulary is sorted.
    """
    draws = [stream(0, [1], number) for number in range(4_000)]
    narrow = torch.tensor([0.5, 0.3, 0.2]).log()[None].expand(4_000, 3)
    found = pick(narrow, 1.0, 0.7, draws)
    assert found.count(2) == 0 and found.count(0) / 4_000 == pytest.approx(0.625, abs=0.03)
    wide = pick(torch.zeros(4_000, 400), 1.0, 0.9, draws)
    assert max(wide) == 359 and len(set(wide)) > 350


def test_the_log_probability_of_a_token() -> None:
    """Of logits log(1, 3) the second token has 3/4."""
    assert log_probabilities(torch.tensor([[1.0, 3.0]]).log(), [1]) == pytest.approx([math.log(0.75)])


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        ([5] * 64, True),
        ([5] * 63, False),
        ([1, 2, 3] + [7, 8, 9] * 22, True),  # 66 tokens of period 3
        (list(range(40)) * 4, True),  # four times
        (list(range(40)) * 3, False),
        (list(range(500)), False),
        ([5] * 64 + [6], False),
    ],
)
def test_what_a_loop_is(ids: list[int], found: bool) -> None:
    assert loops(ids) is found


def test_a_path_that_repeats_itself_is_cut(tmp_path: Path) -> None:
    """A random model of narrow weights soon says the same few tokens for ever."""
    folder = tiny_model_folder(tmp_path, "llama")
    answerer = LocalAnswerer(load_model(folder), Chat.of(folder), "tiny")
    (path,) = answerer.sample([ASK], draws=[range(1)], at_most_tokens=200, how=Sampling(temperature=0))[0]
    plain = answerer.answer([ASK], at_most_tokens=200)[0]
    assert plain.usage.answer_tokens == 200 and plain.evidence == {}
    assert (path.stop, path.evidence) == ("length", {"cut": "loop"})
    assert path.usage.answer_tokens < 200


def test_a_thought_beyond_its_budget_is_closed(answerer: LocalAnswerer) -> None:
    """After 5 tokens the next ones are those that close it, and the answer follows."""
    closing = tuple(answerer.chat.tokenizer.encode("\n</think>\n\n", add_special_tokens=False))
    said = answerer.sample([ASK], draws=[range(2)], at_most_tokens=40, how=WARM.model_copy(update={"think": 5}))[0]
    for answer in said:
        assert answer.reasoning is not None and answer.usage.answer_tokens > 0
        assert answer.usage.reasoning_tokens <= 7  # five tokens, told anew after decoding
    thought = Thought(3, lambda ids: True, closing)
    made = generate(answerer.model, [answerer.chat.prompt(ASK)], Generation(30, thought=thought))[0]
    assert made.ids[3 : 3 + len(closing)] == list(closing) and made.forced == len(closing)
    not_thinking = Thought(3, lambda ids: False, closing)
    assert generate(answerer.model, [answerer.chat.prompt(ASK)], Generation(9, thought=not_thinking))[0].forced == 0


@pytest.mark.parametrize(
    ("name", "think", "tail"),
    [
        ("r1_distill", "auto", "<think>\n"),
        ("r1_distill", "on", "<think>\n"),
        ("r1_distill", "off", "<think>\n\n</think>\n\n"),
        ("qwen3", "on", "assistant\n<think>\n"),
        ("qwen3", "off", "assistant\n<think>\n\n</think>\n\n"),
        ("deepseek_v3_1", "on", "<think>"),
        ("deepseek_v3_1", "off", "</think>"),
        ("smollm2", "on", "assistant\n<think>\n"),
    ],
)
def test_thinking_is_switched_in_the_prompt(name: str, think: Any, tail: str) -> None:
    chat = Chat(tiny_tokenizer(chat_template=(TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")))
    text = chat.tokenizer.decode(chat.prompt(ASK, think=think), skip_special_tokens=False)
    assert text.endswith(tail)
    said = "so it is\n</think>\n\nParis" if think != "off" else "Paris"
    expected = None if think == "off" else "so it is"
    assert chat.parse(said, think=think) == (expected, "Paris")


def test_a_prompt_that_closes_its_thought_is_opened_again() -> None:
    """Qwen3 with an empty thought in the prompt, as its template writes it when thinking is switched off."""
    switch: Callable[[str, str], str] = with_thought
    assert switch("a\n<think>\n\n</think>\n\n", "on") == "a\n<think>\n"
    assert switch("a</think>", "on") == "a<think>"
    assert switch("a\n<think>\n", "off") == "a\n<think>\n\n</think>\n\n"
    assert switch("a\n", "auto") == "a\n"
