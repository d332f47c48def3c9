"""Asking an OpenAI-compatible endpoint: bounded in time and size, tried again, never trusted.

One request is one whole answer, not a stream: fewer servers get that wrong, and an answer that was cut is seen by its
JSON. The body is read in pieces, so that a server which drips or never ends is left in time.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from tunesmith.core.errors import MissingLibrary, Problem, UserError, shorten
from tunesmith.core.protocols import Conversation
from tunesmith.data.synthesize._replies import Reply
from tunesmith.data.synthesize._teacher import Endpoint, Teacher

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
_MOST_BYTES = 8_000_000
_AGAIN = frozenset({408, 409, 425, 429})
_REFUSED = frozenset({401, 403, 404})
"""What no further question can mend: the key, the rights, the address or the model's name are wrong."""
SEED = 0
"""Sent with every request; endpoints that know it then draw the same answer again."""


class _Failed(Exception):
    """One try that gave no answer."""

    def __init__(self, reason: str, detail: str, *, again: bool = True, wait: float = 0.0) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.again, self.wait = reason, detail, again, wait


class Pace:
    """Hands out the moments at which requests may start; shared by all threads."""

    def __init__(self, per_minute: int) -> None:
        self._step = 60.0 / per_minute if per_minute else 0.0
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Sleep until the next request may start."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + self._step
        time.sleep(start - now)

    def hold(self, seconds: float) -> None:
        """Let nobody start within so many seconds: the endpoint asked for rest."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


class EndpointModel:
    """One model behind an endpoint; `say` may be called from several threads.

    Raises:
        UserError: the key is not in the environment.
        MissingLibrary: the library openai is not installed.
    """

    def __init__(self, teacher: Teacher, endpoint: Endpoint, problems: list[Problem]) -> None:
        if problems:
            raise UserError(problems)
        try:
            import openai
        except ModuleNotFoundError:
            message = "asking an endpoint needs the library 'openai', which is not installed"
            raise MissingLibrary(Problem("needs-library", message, "pip install openai", "teacher.endpoint")) from None
        self.name = teacher.model
        self._teacher, self._endpoint = teacher, endpoint
        self._key = os.environ.get(endpoint.key, "") if endpoint.key else ""
        self._pace = Pace(endpoint.per_minute)
        self._client = openai.OpenAI(
            base_url=endpoint.url, api_key=self._key or "none", timeout=endpoint.seconds, max_retries=0
        )
        self._heard = False

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def say(self, conversation: Conversation) -> Reply:
        """Its answer, or a reply with the reason why there is none after all tries.

        Raises:
            UserError: it has never answered, and refuses the key or the model, or nobody listens there.
        """
        wait = _FIRST_WAIT
        tries = 0
        while True:
            tries += 1
            self._pace.wait()
            try:
                reply = self._once(conversation)
            except _Failed as failure:
                if not failure.again or tries > self._endpoint.retries:
                    return self._failed(failure)
                if failure.wait:
                    self._pace.hold(min(failure.wait, _LONGEST_WAIT))
                else:
                    time.sleep(wait * (0.75 + random.random() / 2))  # all threads at once would hit it together again
                    wait = min(2 * wait, _LONGEST_WAIT)
            else:
                self._heard = True
                return reply

    def _failed(self, failure: _Failed) -> Reply:
        detail = shorten(failure.detail.replace(self._key, "[key]") if self._key else failure.detail, width=200)
        if failure.reason in ("endpoint-refuses", "endpoint-unreachable") and not self._heard:
            hint = "check teacher.endpoint.url, teacher.endpoint.key and teacher.model"
            message = f"{self._endpoint.url} cannot be asked for {self._teacher.model}: {detail}"
            raise UserError(Problem(failure.reason, message, hint, "teacher.endpoint"))
        return Reply(failed=failure.reason, detail=detail)

    def _once(self, conversation: Conversation) -> Reply:
        import httpx2
        import openai

        began = time.monotonic()
        messages: Any = [{"role": message.role, "content": message.content} for message in conversation]
        try:
            with self._client.chat.completions.with_streaming_response.create(
                model=self._teacher.model,
                messages=messages,
                max_tokens=self._teacher.at_most_tokens,
                temperature=self._endpoint.temperature,
                seed=SEED,
            ) as response:
                body = _body(response.iter_bytes, began + self._endpoint.seconds)
        except openai.APIStatusError as error:
            raise _of_status(error.status_code, error.response.headers, str(error)) from None
        except openai.APITimeoutError:
            raise _Failed("endpoint-slow", f"no answer within {self._endpoint.seconds:g} s") from None
        except openai.APIConnectionError as error:
            unreachable = isinstance(error.__cause__, httpx2.ConnectError)
            reason = "endpoint-unreachable" if unreachable else "endpoint-broke-off"
            raise _Failed(reason, str(error.__cause__ or error)) from None
        except httpx2.TimeoutException:
            raise _Failed("endpoint-slow", f"no answer within {self._endpoint.seconds:g} s") from None
        except httpx2.HTTPError as error:
            raise _Failed("endpoint-broke-off", str(error)) from None
        return _read(body, seconds=time.monotonic() - began)


def _of_status(status: int, headers: Mapping[str, str], told: str) -> _Failed:
    if status in _REFUSED:
        return _Failed("endpoint-refuses", told, again=False)
    if status in _AGAIN or status >= 500:
        return _Failed("endpoint-fails", told, wait=_seconds(headers.get("retry-after", "")))
    return _Failed("prompt-refused", told, again=False)


def _seconds(text: str) -> float:
    """The header Retry-After in seconds; 0 where it is absent or a date (then the usual wait is kept)."""
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0


def _body(pieces: Callable[[], Any], until: float) -> bytes:
    found = bytearray()
    for piece in pieces():
        found += piece
        if len(found) > _MOST_BYTES:
            raise _Failed("endpoint-babbles", f"an answer of more than {_MOST_BYTES:,} bytes", again=False)
        if time.monotonic() > until:
            raise _Failed("endpoint-slow", "the answer came too slowly")
    return bytes(found)


def _read(body: bytes, *, seconds: float) -> Reply:
    """The answer in a body; anything that is not a chat completion is a failed try."""
    try:
        found = json.loads(body)
        choice = found["choices"][0]
        text = choice["message"].get("content") or ""
        if not isinstance(text, str):
            raise TypeError("content is no text")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        shown = shorten(body[:200].decode("utf-8", "replace"), width=120)
        raise _Failed("endpoint-garbage", f"not a chat completion ({type(error).__name__}): {shown}") from None
    usage = found.get("usage")
    return Reply(
        text=text.encode("utf-8", "replace").decode("utf-8"),  # half a surrogate pair cannot be written down
        stop="length" if choice.get("finish_reason") == "length" else "end",
        prompt_tokens=_count(usage, "prompt_tokens"),
        answer_tokens=_count(usage, "completion_tokens"),
        seconds=round(seconds, 3),
    )


def _count(usage: Any, name: str) -> int | None:
    found = usage.get(name) if isinstance(usage, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None
