"""Endpoints as answerers: reasoning and figures are read however they are told, and no fault loses a question."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import UserError
from tunesmith.core.protocols import Sampler
from tunesmith.core.types import Answer, Message, Sampling
from tunesmith.models.completion import Failed, answer_of
from tunesmith.models.endpoint import Endpoint, EndpointAnswerer

pytest.importorskip("openai", reason="needs the extra 'endpoints'")

ASK = [Message(role="user", content="Six times seven?")]
WARM = Sampling(temperature=0.8, top_p=0.9, seed=3)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    script = Path(__file__).parents[1] / "chat_server.py"
    process = subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
    process.communicate(timeout=10)


def sampled(url: str, model: str, draws: int = 1, how: Sampling = WARM, **endpoint: Any) -> list[Answer]:
    with EndpointAnswerer(Endpoint(url=url, **endpoint), model) as answerer:
        assert isinstance(answerer, Sampler)
        return answerer.sample([ASK], draws=[range(draws)], at_most_tokens=50, how=how)[0]


def test_reasoning_and_its_tokens_are_read_as_deepseek_tells_them(url: str) -> None:
    """20 tokens, 15 of them reasoning; log-probabilities -0.25 and -0.5 only where they are asked for."""
    first, second = sampled(url, "thinks", draws=2, log_probabilities=True)
    assert (first.reasoning, first.text, first.stop, first.route) == ("Six times seven.", "42", "end", "thinks")
    assert (first.usage.prompt_tokens, first.usage.reasoning_tokens, first.usage.answer_tokens) == (100, 15, 5)
    assert second.usage.prompt_tokens == 0
    assert first.log_probability == -0.75
    assert sampled(url, "thinks")[0].log_probability is None


@pytest.mark.parametrize("model", ["thinks-newly", "thinks-inline"])
def test_reasoning_is_found_where_else_servers_put_it(url: str, model: str) -> None:
    (answer,) = sampled(url, model)
    assert (answer.reasoning, answer.text) == ("Six times seven.", "42")


def test_each_path_has_a_seed_of_its_own_and_keeps_it(url: str) -> None:
    def seeds(*numbers: range, seed: int = 3) -> list[int]:
        with EndpointAnswerer(Endpoint(url=url), "told") as answerer:
            how = WARM.model_copy(update={"seed": seed})
            said = answerer.sample([ASK] * len(numbers), draws=numbers, at_most_tokens=5, how=how)
        return [json.loads(answer.text)["seed"] for answers in said for answer in answers]

    assert seeds(range(3)) == [*seeds(range(2)), *seeds(range(2, 3))]
    assert len(set(seeds(range(8)))) == 8
    assert seeds(range(1), seed=4) != seeds(range(1))


@pytest.mark.parametrize(("think", "switch"), [("auto", None), ("on", True), ("off", False)])
def test_what_is_sent(url: str, think: Any, switch: bool | None) -> None:
    sent = json.loads(sampled(url, "told", how=WARM.model_copy(update={"think": think}))[0].text)
    assert (sent["temperature"], sent["top_p"], sent["max_tokens"]) == (0.8, 0.9, 50)
    assert "logprobs" not in sent
    kwargs = sent.get("chat_template_kwargs")
    assert kwargs == (None if switch is None else {"enable_thinking": switch, "thinking": switch})
    with EndpointAnswerer(Endpoint(url=url, temperature=0.5), "told") as answerer:
        plain = json.loads(answerer.answer([ASK], at_most_tokens=9)[0].text)
    assert set(plain) == {"model", "messages", "max_tokens", "temperature", "seed"} and plain["temperature"] == 0.5


def test_a_budget_for_thinking_is_refused_with_a_hint(url: str) -> None:
    with pytest.raises(UserError, match="no-budget"):
        sampled(url, "thinks", how=WARM.model_copy(update={"think": 100}))


def test_every_fault_leaves_its_reason_and_the_other_questions_their_answers(url: str) -> None:
    """Eight questions at once, seven kinds of fault: each keeps its place."""
    questions = [[Message(role="user", content=str(n))] for n in range(8)]
    with EndpointAnswerer(Endpoint(url=url, seconds=5, retries=0, at_once=8), "mixed") as answerer:
        said = [answers[0] for answers in answerer.sample(
            questions, draws=[range(1)] * 8, at_most_tokens=50, how=WARM
        )]  # fmt: skip
    assert [answer.evidence.get("error") for answer in said] == [
        None, "endpoint-garbage", "endpoint-broke-off", "endpoint-fails",
        None, "endpoint-garbage", None, "endpoint-slow",
    ]  # fmt: skip
    assert [answer.text[:7] for answer in said] == ["42", "", "", "", "", "", "the the", ""]
    assert [answer.stop for answer in said] == [
        "end", "error", "error", "error", "end", "error", "length", "error",
    ]  # fmt: skip


def test_a_server_without_usage_says_so(url: str) -> None:
    (answer,) = sampled(url, "no-usage")
    assert (answer.text, answer.usage.answer_tokens, answer.evidence) == ("42", 0, {"usage": "unknown"})


def test_a_server_that_refuses_the_key_or_is_not_there_is_a_problem_of_the_user(url: str) -> None:
    with pytest.raises(UserError, match="endpoint-refuses"):
        sampled(url, "refuses")
    with pytest.raises(UserError, match="endpoint-unreachable"):
        sampled("http://127.0.0.1:9/v1", "good", retries=0)


@pytest.mark.parametrize(
    "body",
    ["", "[]", "{}", '{"choices": []}', '{"choices": [{"message": null}]}',
     '{"choices": [{"message": {"content": 4}}]}', "[" * 100_000,
     '{"choices": [{"message": {"content": "a", "reasoning": ["b"]}}]}'],
)  # fmt: skip
def test_what_is_no_completion_is_a_failed_try(body: str) -> None:
    with pytest.raises(Failed) as caught:
        answer_of(body.encode(), seconds=0.0, route="m")
    assert caught.value.reason == "endpoint-garbage"


@pytest.mark.parametrize(
    "told", ['{"content": [{"logprob": NaN}]}', '{"content": []}', "{}", "3", '{"content": [{"logprob": "x"}]}']
)
def test_broken_figures_are_no_figures(told: str) -> None:
    body = f'{{"choices": [{{"message": {{"content": "a"}}, "logprobs": {told}}}], "usage": {{"prompt_tokens": -1}}}}'
    answer = answer_of(body.encode(), seconds=0.0, route="m")
    assert (answer.text, answer.log_probability, answer.usage.prompt_tokens) == ("a", None, 0)
    assert answer.evidence == {"usage": "unknown"}
