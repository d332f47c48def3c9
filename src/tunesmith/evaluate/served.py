"""The witness of a served expert: the probes go through the real serving path, over HTTP or in llama.cpp itself.

The server speaks OpenAI's chat completions. Tokens in are told by their number (`usage`), likelihoods where the server
has `logprobs`; what it does not tell stays empty in the witness, and parity says so.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tunesmith.core.errors import Problem, UserError, shorten
from tunesmith.core.protocols import Conversation
from tunesmith.models.witness import Said, Witness

_LARGEST_ANSWER = 10_000_000
_LIKELY = {"logprobs": True, "top_logprobs": 20}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would send the conversation, and the key, to a place that nobody named."""

    def redirect_request(self, *_: Any) -> None:
        """None: not followed, so it is an error."""


def served_witness(
    url: str,
    probes: Sequence[Conversation],
    *,
    model: str,
    key: str | None = None,
    at_most_tokens: int = 12,
    seconds: float = 120.0,
) -> Witness:
    """Ask every probe, greedily, one after the other.

    Args:
        url: the server's base, with `/v1` (`http://127.0.0.1:8000/v1`).
        probes: conversations.
        model: the name that it is served under.
        key: sent as a bearer token; None: none.
        at_most_tokens: longest answer; the same as of the witness it is compared with.
        seconds: longest wait for one answer.

    Raises:
        UserError: the address is no HTTP address, the server cannot be reached, refuses, or does not answer in form.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise UserError(Problem("wrong-address", "a served model has an address with http:// or https://", value=url))

    def ask(body: Mapping[str, Any]) -> Any:
        return _post(f"{url.rstrip('/')}/chat/completions", {"model": model, **body}, key, seconds)

    said = [_said(ask(_body(probe, at_most_tokens) | _LIKELY), url, len(probe)) for probe in probes]
    return Witness(form="served", said=tuple(said))


def llama_cpp_witness(
    file: Path, probes: Sequence[Conversation], *, at_most_tokens: int = 12, context: int = 2048
) -> Witness | None:
    """Let llama.cpp answer every probe from a GGUF file, with the tokeniser and the template that it reads there.

    None where its binding is not installed (`pip install xllamacpp`). It runs in this process and opens no port. Its
    log-probabilities are not asked for: it rounds what goes through a quantised layer too, and was 0.050 nats from
    SmolLM2 in q8_0 where the weights alone were 0.018. Tokens in are compared by their number, and answers.

    Args:
        file: the GGUF file.
        probes: conversations.
        at_most_tokens: longest answer; the same as of the witness it is compared with.
        context: tokens of the longest probe and its answer.

    Raises:
        UserError: llama.cpp does not load the file, or refuses a probe.
    """
    try:
        import xllamacpp
    except ModuleNotFoundError:
        return None
    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.n_ctx, params.n_parallel, params.use_jinja = context, 1, True
    params.verbosity = 1  # errors only
    try:
        server = xllamacpp.Server(params)
        told = [server.handle_chat_completions(_body(probe, at_most_tokens)) for probe in probes]
    except (RuntimeError, ValueError) as error:
        raise UserError(Problem("no-llama-cpp", f"llama.cpp refuses: {shorten(error)}", "", str(file))) from None
    said = [_said(answer, str(file), len(probe)) for answer, probe in zip(told, probes, strict=True)]
    return Witness(form="quantised, in llama.cpp", said=tuple(said))


def _body(probe: Conversation, at_most_tokens: int) -> dict[str, Any]:
    turns = [{"role": turn.role, "content": turn.content} for turn in probe]
    return {"messages": turns, "max_tokens": at_most_tokens, "temperature": 0}


def _post(address: str, body: Mapping[str, Any], key: str | None, seconds: float) -> Any:
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(address, json.dumps(body).encode("utf-8"), headers)
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=seconds) as answer:
            return json.loads(answer.read(_LARGEST_ANSWER))
    except urllib.error.HTTPError as error:
        with error:
            found = (
                f"the server refuses: {error.code} {shorten(error.read(2000).decode('utf-8', 'replace'), width=200)}"
            )
    except (OSError, ValueError) as error:
        found = f"the server does not answer: {error}"
    raise UserError(Problem("not-served", found, "is it running, and is the model's name right?", address))


def _said(answer: Any, url: str, turns: int) -> Said:
    """One answer in the form of a witness."""
    try:
        choice = answer["choices"][0]
        steps = (choice.get("logprobs") or {}).get("content") or []
        usage = answer.get("usage") or {}
        return Said(
            turns=turns,
            prompt_tokens=int(usage.get("prompt_tokens") or 0),
            text=str(choice["message"]["content"] or ""),
            ended=choice.get("finish_reason") == "stop",
            chosen=tuple(str(step["token"]) for step in steps),
            likely=tuple(_likely(step) for step in steps),
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        found = f"what the server answers is no chat completion: {shorten(error)}"
        raise UserError(Problem("not-served", found, "the server must speak OpenAI's chat completions", url)) from None


def _likely(step: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in step.get("top_logprobs") or []:
        found.setdefault(str(one["token"]), float(one["logprob"]))
    return found
