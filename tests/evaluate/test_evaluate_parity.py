"""Gate G5 catches every way in which a shipped expert is another than the measured one, names it, and passes the right.

A tiny model with an adapter that matters is the expert. Each fault is made as it happens in practice.
"""

from __future__ import annotations

import json
import math
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from fakes import CHAT_TEMPLATE, edit_json, tiny_model_folder, tiny_tokenizer
from tunesmith.core.errors import UserError
from tunesmith.core.types import Message
from tunesmith.evaluate.parity import causes, distance, parity, parity_gate, probes
from tunesmith.evaluate.served import served_witness
from tunesmith.models import int8
from tunesmith.models import witness as witnesses
from tunesmith.models.adapters import load_adapter, merged
from tunesmith.models.chat import Chat
from tunesmith.models.load import load_model
from tunesmith.models.witness import Said, Witness, scaled, scales_of

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

ONE_TURN = [(Message(role="user", content=f"The diagnosis of {'every ' * n}case?"),) for n in range(2)]
PROBES = [*probes([]), *ONE_TURN]
TOKENS = 6
EXACT = 1e-3


take_witness = partial(witnesses.take_witness, at_most_tokens=TOKENS)


@dataclass
class Shipped:
    """The measured expert, its folders, and what it takes to make other forms of it."""

    base: Path
    adapter: Path
    chat: Chat
    model: Any
    reference: Witness
    scales: Callable[[float], Witness]

    def fresh(self) -> Any:
        return load_adapter(load_model(self.base), self.adapter)

    def causes(self, other: Witness, limit: float = EXACT) -> list[str]:
        return list(causes(parity(self.reference, other, scales=self.scales, limit=limit)))


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    """The expert ends its answers: a token that it says is made an end of answer in generation_config.json."""
    from peft import LoraConfig, get_peft_model

    base = tiny_model_folder(tmp_path_factory.mktemp("base"), "llama", initializer_range=0.3)
    adapter = tmp_path_factory.mktemp("adapter")
    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(load_model(base), config).save_pretrained(str(adapter))
    chat = Chat.of(base)
    model = load_adapter(load_model(base), adapter)
    with torch.inference_mode():
        ids = model.generate(
            torch.tensor([chat.prompt(PROBES[0])]), max_new_tokens=3, do_sample=False, eos_token_id=None
        )
    edit_json(base / "generation_config.json", eos_token_id=[chat.tokenizer.eos_token_id, int(ids[0, -1])])
    model = load_adapter(load_model(base), adapter)
    reference = take_witness(model, chat, PROBES, form="adapter")
    scales = scales_of(model, chat, PROBES, at_most_tokens=TOKENS)
    assert scales is not None and any(said.ended for said in reference.said)
    return Shipped(base, adapter, chat, model, reference, scales)


def test_the_right_one_passes(shipped: Shipped) -> None:
    """The merged expert is the adapter beside its base to rounding, and the base is far from both."""
    other = take_witness(merged(shipped.fresh()), shipped.chat, PROBES, form="merged")
    gate = parity_gate(shipped.reference, [other], scales=shipped.scales)
    assert gate.verdict == "passed" and gate.gate == "G5"
    assert {reason.code for reason in gate.reasons} == {
        "parity-template", "parity-tokens", "parity-end", "parity-weights"
    }  # fmt: skip
    weights = next(reason for reason in gate.reasons if reason.code == "parity-weights")
    assert weights.evidence["nats"] < 1e-4 < 0.05 < weights.evidence["reach"]


def test_another_chat_template(shipped: Shipped) -> None:
    tokenizer = tiny_tokenizer(chat_template=CHAT_TEMPLATE.replace("'<|im_end|>\\n'", "'<|im_end|>\\n\\n'"))
    other = take_witness(shipped.model, Chat(tokenizer), PROBES, form="merged")
    assert shipped.causes(other) == ["template"]


def test_a_template_that_writes_the_same_is_the_same(shipped: Shipped) -> None:
    """A comment changes the digest and nothing else."""
    tokenizer = tiny_tokenizer(chat_template="{# saved by another tool #}" + CHAT_TEMPLATE)
    other = take_witness(shipped.model, Chat(tokenizer), PROBES, form="merged")
    assert other.template != shipped.reference.template
    assert shipped.causes(other) == []


def test_a_lost_end_of_turn(shipped: Shipped, tmp_path: Path) -> None:
    """generation_config.json does not come along: the model runs on where the expert stopped."""
    copy = Path(shutil.copytree(shipped.base, tmp_path / "copy"))
    edit_json(copy / "generation_config.json", eos_token_id=None)
    other = take_witness(load_adapter(load_model(copy), shipped.adapter), shipped.chat, PROBES, form="merged")
    assert shipped.causes(other) == ["end-of-turn"]
    silent = other.model_copy(update={"stops": ()})  # a server does not tell its stop tokens: the words show it
    assert shipped.causes(silent) == ["end-of-turn"]


def test_the_adapter_is_not_applied(shipped: Shipped) -> None:
    other = take_witness(load_model(shipped.base), shipped.chat, PROBES, form="merged")
    assert "adapter-not-applied" in shipped.causes(other)


@pytest.mark.parametrize(
    "factor, cause", [(2.0, "adapter-twice"), (0.5, "merge-scale"), (4.0, "merge-scale"), (0.6, "merge-scale")]
)
def test_the_adapter_is_merged_at_another_strength(shipped: Shipped, factor: float, cause: str) -> None:
    """Merged into a base that has it already; merged without its alpha / rank (4 or 0.5 times), or another (0.6)."""
    model = shipped.fresh()
    with scaled(model, factor):
        plain = merged(model)
    found = parity(
        shipped.reference, take_witness(plain, shipped.chat, PROBES, form="merged"), scales=shipped.scales, limit=EXACT
    )
    assert cause in causes(found)
    weights = next(reason for reason in found if reason.code == "parity-weights")
    assert weights.evidence["factor"] == pytest.approx(factor, abs=0.2)


def test_another_tokeniser(shipped: Shipped) -> None:
    """Trained with fewer merges: the same texts, other tokens."""
    other = take_witness(shipped.model, Chat(tiny_tokenizer(vocabulary=330)), PROBES, form="merged")
    assert "tokeniser" in shipped.causes(other)


@pytest.mark.parametrize("bits, verdict", [(8, "passed"), (2, "failed")])
def test_a_quantisation_that_is_too_coarse(shipped: Shipped, bits: int, verdict: str) -> None:
    """Weights rounded row by row to 8 bits stay within 0.05 nats; rounded to 2 bits they do not."""
    model = merged(shipped.fresh())
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.weight.data = rounded(module.weight.data, bits)
    other = take_witness(model, shipped.chat, PROBES, form="quantised")
    found = parity(shipped.reference, other, scales=shipped.scales, limit=0.05)
    weights = next(reason for reason in found if reason.code == "parity-weights")
    assert weights.verdict == verdict
    assert verdict == "passed" or weights.evidence["cause"] == "quantisation"


@pytest.mark.parametrize("largest, verdict", [(127, "passed"), (3, "failed")])
def test_the_expert_in_8_bit_integers(
    shipped: Shipped, largest: int, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights and activations in integers up to 127 are within 0.05 nats; in integers up to 3 it is too coarse."""
    monkeypatch.setattr(int8, "LARGEST", largest)
    model = merged(shipped.fresh())
    assert int8.convert(model) > 0
    other = take_witness(model, shipped.chat, PROBES, form="quantised, int8")
    gate = parity_gate(shipped.reference, [other], scales=shipped.scales)
    weights = next(reason for reason in gate.reasons if reason.code == "parity-weights")
    assert (gate.verdict, weights.verdict) == (verdict, verdict)
    assert verdict == "passed" or weights.evidence["cause"] == "quantisation"


def rounded(weight: torch.Tensor, bits: int) -> torch.Tensor:
    """Symmetric rounding, one step size a row."""
    most = 2 ** (bits - 1) - 1
    step = weight.abs().amax(1, keepdim=True) / most
    found: torch.Tensor = (weight / step).round().clamp(-most, most) * step
    return found


def test_an_adapter_that_does_nothing_cannot_be_seen(shipped: Shipped) -> None:
    """Where the base says the same as the expert, nothing shows that the adapter is applied: unknown, not passed."""
    found = parity(shipped.reference, shipped.reference, scales=lambda factor: shipped.reference, limit=EXACT)
    assert [reason.verdict for reason in found if reason.code == "parity-weights"] == ["unknown"]
    assert parity_gate(shipped.reference, [shipped.reference], scales=lambda f: shipped.reference).verdict == "unknown"


# -- through HTTP ---------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """OpenAI's chat completions from a model and a chat of the server's; tells log-probabilities if it may."""

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        turns = [Message.model_validate(turn) for turn in body["messages"]]
        server: Any = self.server
        said = take_witness(server.model, server.chat, [turns], form="x").said[0]
        steps = [
            {"token": token, "logprob": 0.0, "top_logprobs": [{"token": t, "logprob": v} for t, v in top.items()]}
            for token, top in zip(said.chosen, said.likely, strict=True)
        ]
        choice = {
            "message": {"role": "assistant", "content": said.text},
            "finish_reason": "stop" if said.ended else "length",
            "logprobs": {"content": steps} if server.tells else None,
        }
        told = json.dumps({"choices": [choice], "usage": {"prompt_tokens": said.prompt_tokens}}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Starts a server for a model and a chat, and gives its address."""
    servers: list[Any] = []

    def start(model: Any, chat: Chat, *, tells: bool = True) -> str:
        server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.model, server.chat, server.tells = model, chat, tells
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/v1"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def served(address: str, asked: Sequence[Any] = PROBES) -> Witness:
    return served_witness(address, asked, model="expert", at_most_tokens=TOKENS)


def test_the_served_expert_passes_through_http(shipped: Shipped, serve: Callable[..., str]) -> None:
    """What HTTP does not tell is not claimed: no template digest, tokens by their number."""
    found = parity(
        shipped.reference, served(serve(merged(shipped.fresh()), shipped.chat)), scales=shipped.scales, limit=0.05
    )
    assert {reason.code: reason.verdict for reason in found} == {
        "parity-tokens": "passed", "parity-end": "passed", "parity-weights": "passed"
    }  # fmt: skip


def test_faults_behind_http_are_named(shipped: Shipped, serve: Callable[..., str]) -> None:
    """A base served under the expert's name, another template, another tokeniser."""
    plain = load_model(shipped.base)
    assert "adapter-not-applied" in shipped.causes(served(serve(plain, shipped.chat)), 0.05)
    longer = Chat(tiny_tokenizer(chat_template="{{- '\n\n' }}" + CHAT_TEMPLATE))
    assert shipped.causes(served(serve(shipped.model, longer)), 0.05) == ["template"]
    other = Chat(tiny_tokenizer(vocabulary=330))
    assert shipped.causes(served(serve(shipped.model, other)), 0.05)[0] == "tokeniser"


def test_a_server_that_tells_no_likelihoods_is_compared_by_its_answers(
    shipped: Shipped, serve: Callable[..., str]
) -> None:
    right = parity(
        shipped.reference, served(serve(shipped.model, shipped.chat, tells=False)), scales=shipped.scales, limit=0.05
    )
    assert right[-1].verdict == "passed" and "no likelihoods" in right[-1].message
    wrong = served(serve(load_model(shipped.base), shipped.chat, tells=False))
    assert "answers" in shipped.causes(wrong, 0.05)


def test_a_server_that_is_not_there_or_no_server_is_a_problem() -> None:
    for address, code in (("http://127.0.0.1:9/v1", "not-served"), ("file:///etc/passwd", "wrong-address")):
        with pytest.raises(UserError, match=code):
            served(address, PROBES[:1])


def one_answer(*steps: tuple[str, dict[str, float]], ended: bool = True) -> Witness:
    """A form that says these tokens to one probe; beside each the probabilities of that step."""
    likely = tuple({token: math.log(p) for token, p in listed.items()} for _, listed in steps)
    text = "".join(token for token, _ in steps)
    return Witness(form="any", said=(Said(text=text, ended=ended, chosen=tuple(t for t, _ in steps), likely=likely),))


def test_an_end_of_turn_that_a_server_writes_as_nothing_is_the_end_of_turn() -> None:
    """llama.cpp names special tokens "": the same probabilities are 0 nats apart, though the end has another name."""
    sure = {"yes": 0.9, "no": 0.1}
    measured = one_answer(("yes", sure), ("<end>", {"<end>": 0.9, " no": 0.1}))
    served = one_answer(("yes", sure), ("", {"": 0.9, " no": 0.1}))
    assert (distance(measured, served).nats, distance(measured, served).steps) == (0.0, 2)
    worse = one_answer(("yes", sure), ("", {"": 0.45, " no": 0.55}))
    at_the_end = 0.9 * math.log(2) + 0.1 * math.log(5.5)
    assert distance(measured, worse).nats == pytest.approx(at_the_end / 2)


def test_characters_that_a_server_holds_back_end_the_comparison() -> None:
    """One step of "a", then three tokens are one sign: the server tells the last of them first. Another word counts."""
    part, first = "\ufffd", ("a", {"a": 0.5, "b": 0.5})
    measured = one_answer(first, (part, {part: 0.2, "b": 0.8}), (part, {part: 1.0}), ended=False)
    served = one_answer(first, ("病", {"病": 1.0}), ended=False)
    assert (distance(measured, served).nats, distance(measured, served).steps) == (0.0, 1)
    assert distance(measured, measured).steps == 3
    assert distance(one_answer(first, ("c", {"c": 1.0})), one_answer(first, ("d", {"d": 0.9, "c": 0.1}))).steps == 2
