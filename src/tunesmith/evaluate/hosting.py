"""An answerer behind OpenAI's chat completions, for as long as another program asks it: on this machine, with a key.

Requests are answered one after the other in the calling thread, so that the model is used as anywhere else in the
evaluation and an interruption reaches it. Answers are the answerer's own (its most likely words): what a request says
of temperature, stop words or several answers is not followed.
"""

from __future__ import annotations

import hmac
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

from pydantic import ValidationError

from tunesmith.core.protocols import Answerer, Conversation
from tunesmith.core.types import Answer, Message

_LARGEST_REQUEST = 10_000_000
_IDLE_SECONDS = 0.2
"""How long nobody may ask before it is looked whether the program has ended."""


class Host:
    """Where `answerer` can be asked while `serve` runs.

    Args:
        answerer: whose words are sent back.
        system: turns that stand before every conversation that brings no system turn of its own.
        at_most_tokens: longest answer, whatever a request asks for.
    """

    def __init__(self, answerer: Answerer, *, system: Sequence[Message] = (), at_most_tokens: int) -> None:
        self.key = secrets.token_urlsafe(24)
        self._answerer, self._system, self._at_most = answerer, tuple(system), at_most_tokens
        self._answered = 0
        handler: type[_Handler] = type("Handler", (_Handler,), {"host": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.timeout = _IDLE_SECONDS

    @property
    def url(self) -> str:
        """Its base address, with `/v1/`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1/"

    def serve(self, process: subprocess.Popen[bytes], *, seconds: float) -> Iterator[int]:
        """Answer until `process` has ended or so many seconds are over; yields how many questions were answered."""
        until = time.monotonic() + seconds
        told = 0
        while process.poll() is None and time.monotonic() <= until:
            self._server.handle_request()
            if self._answered > told:
                told = self._answered
                yield told

    def close(self) -> None:
        """Give the port back."""
        self._server.server_close()

    def asked(self, body: Any) -> tuple[tuple[Message, ...], int]:
        """The conversation of a request, behind the system turn, and the most tokens of its answer.

        Raises:
            ValueError: the request is none of chat completions with plain texts.
        """
        try:
            turns = [Message(role=turn["role"], content=turn["content"]) for turn in body["messages"]]
            wanted = int(body.get("max_tokens") or body.get("max_completion_tokens") or self._at_most)
        except (KeyError, TypeError, AttributeError, ValidationError) as error:
            raise ValueError(f"no chat completion: {type(error).__name__}") from None
        if not turns or wanted < 1:
            raise ValueError("no chat completion: no message, or no token to answer with")
        before = () if turns[0].role == "system" else self._system
        return (*before, *turns), min(wanted, self._at_most)

    def answer(self, conversation: Conversation, at_most_tokens: int) -> Answer:
        """What the answerer says."""
        found = self._answerer.answer([conversation], at_most_tokens=at_most_tokens)[0]
        self._answered += 1
        return found


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message}}


_ASK = _error("ask POST /v1/chat/completions")


class _Server(HTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """What goes wrong in the model ends the evaluation, where the library would print it; whoever left may."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            raise


class _Handler(BaseHTTPRequestHandler):
    """One request a connection: the protocol stays HTTP/1.0, so no idle connection keeps others waiting."""

    host: ClassVar[Host]
    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what is asked is nobody else's business."""

    def do_GET(self) -> None:
        """Whether somebody is there."""
        self._send(404, _ASK)

    def do_POST(self) -> None:
        """A chat completion."""
        self._send(*self._reply())

    def _reply(self) -> tuple[int, dict[str, Any]]:
        said = self.headers.get("authorization", "")
        if not hmac.compare_digest(said.encode(), f"Bearer {self.host.key}".encode()):
            return 401, _error("the key is another")
        if self.path.rstrip("/") != "/v1/chat/completions":
            return 404, _ASK
        try:
            length = int(self.headers.get("content-length") or 0)
            if not 0 <= length <= _LARGEST_REQUEST:
                raise ValueError("the request is too large")
            conversation, tokens = self.host.asked(json.loads(self.rfile.read(length)))
        except ValueError as error:
            return 400, _error(str(error))
        answer = self.host.answer(conversation, tokens)
        if answer.stop == "error":
            return 400, _error(str(answer.evidence.get("error", "it cannot be answered")))
        return 200, _completion(answer)

    def _send(self, status: int, body: Mapping[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _completion(answer: Answer) -> dict[str, Any]:
    usage = answer.usage
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": answer.text},
        "finish_reason": "stop" if answer.stop == "end" else "length",
    }
    counts = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.answer_tokens + usage.reasoning_tokens,
    }
    return {
        "id": "expert",
        "object": "chat.completion",
        "created": 0,
        "model": "expert",
        "choices": [choice],
        "usage": {**counts, "total_tokens": sum(counts.values())},
    }
