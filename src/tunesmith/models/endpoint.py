"""A model behind an OpenAI-compatible endpoint: bounded in time and size, tried again, never trusted.

One request is one whole answer, not a stream: fewer servers get that wrong, and an answer that was cut is seen by its
JSON. The body is read in pieces, so that a server which drips or never ends is left in time.
"""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from pydantic import Field

from tunesmith.core.errors import MissingLibrary, Problem, UserError, shorten
from tunesmith.core.ids import canonical_json
from tunesmith.core.protocols import Conversation
from tunesmith.core.spec import Section
from tunesmith.core.types import Answer, Sampling
from tunesmith.models.completion import Failed, answer_of

URL = r"^https?://[^\s/]+"
KEY = r"^([A-Za-z_][A-Za-z0-9_]*)?$"
SEED = 0
"""Sent with questions that are asked once; endpoints that know it then draw the same answer again."""

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
_MOST_BYTES = 8_000_000
_AGAIN = frozenset({408, 409, 425, 429})
_REFUSED = frozenset({401, 403, 404})
"""What no further question can mend: the key, the rights, the address or the model's name are wrong."""


class Endpoint(Section):
    """An endpoint that speaks OpenAI's chat completions."""

    url: str = Field(pattern=URL, description="address up to and with `/v1`; nothing else is ever asked")
    key: str = Field(
        "",
        pattern=KEY,
        description="name of the environment variable that holds the key; empty: none is sent",
    )
    temperature: float = Field(0.0, ge=0.0, le=2.0, description="of the draws (0: the likeliest answer)")
    seconds: float = Field(
        60.0, gt=0.0, description="wall time of one request; a slower one is given up and tried again"
    )
    retries: int = Field(3, ge=0, le=20, description="further tries after a failure, after 0.5, 1, 2, ... 30 seconds")
    at_once: int = Field(4, ge=1, le=256, description="requests under way at the same time")
    per_minute: int = Field(0, ge=0, description="most requests in a minute; 0: no limit")
    log_probabilities: bool = Field(
        False, description="ask how likely drawn paths are; DeepSeek's reasoner and other servers refuse that"
    )


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


class EndpointAnswerer:
    """One model behind an endpoint, as `Answerer` and `Sampler`; to be closed.

    Args:
        endpoint: where it is asked.
        model: its name there.
        where: place of the endpoint's settings, for messages (`teacher.endpoint`).

    An answer that could not be had stops with `error`; its evidence has `error` (`endpoint-slow`, `endpoint-fails`,
    `endpoint-broke-off`, `endpoint-garbage`, `endpoint-babbles`, `prompt-refused`, ...) and `detail`. Whether the same
    request gives the same answer is up to the server.

    Raises:
        MissingLibrary: the library openai is not installed.
    """

    def __init__(self, endpoint: Endpoint, model: str, *, where: str = "endpoint") -> None:
        try:
            import openai
        except ModuleNotFoundError:
            message = "asking an endpoint needs the library 'openai', which is not installed"
            raise MissingLibrary(
                Problem("needs-library", message, "pip install 'tunesmith[endpoints]'", where)
            ) from None
        self.name = model
        self.endpoint = endpoint
        self._where = where
        self._key = os.environ.get(endpoint.key, "") if endpoint.key else ""
        self._pace = Pace(endpoint.per_minute)
        self._client = openai.OpenAI(
            base_url=endpoint.url, api_key=self._key or "none", timeout=endpoint.seconds, max_retries=0
        )
        self._heard = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        """One answer per conversation, in order, at the endpoint's temperature.

        Raises:
            UserError: see `say`.
        """
        return self._together([lambda c=c: self.say(c, at_most_tokens=at_most_tokens) for c in conversations])  # type: ignore[misc]

    def sample(
        self, conversations: Sequence[Conversation], *, draws: Sequence[range], at_most_tokens: int, how: Sampling
    ) -> list[list[Answer]]:
        """See `core.protocols.Sampler`; each path is a request of its own with a seed of its own.

        Raises:
            UserError: see `say`; a budget for thinking is asked for, which no endpoint can be held to.
        """
        if isinstance(how.think, int):
            hint = "write think: on, or bound the whole answer by at_most_tokens"
            raise UserError(Problem("no-budget", "an endpoint cannot be made to close its thought", hint, self._where))
        asked = [(conversation, n) for conversation, some in zip(conversations, draws, strict=True) for n in some]
        said = iter(self._together([self._draw(c, n, at_most_tokens, how) for c, n in asked]))
        return [_counted_once([next(said) for _ in some]) for some in draws]

    def say(self, conversation: Conversation, *, at_most_tokens: int, **settings: Any) -> Answer:
        """Its answer, or one that stops with `error` after all tries; may be called from several threads.

        Args:
            conversation: what is asked.
            at_most_tokens: of the answer, reasoning included.
            settings: fields of the request besides; without any, the endpoint's temperature and a fixed seed.

        Raises:
            UserError: it has never answered, and refuses the key or the model, or nobody listens there.
        """
        messages = [{"role": message.role, "content": message.content} for message in conversation]
        sent = settings or {"temperature": self.endpoint.temperature, "seed": SEED}
        request = {"model": self.name, "messages": messages, "max_tokens": at_most_tokens, **sent}
        wait, tries = _FIRST_WAIT, 0
        while True:
            tries += 1
            self._pace.wait()
            try:
                answer = self._once(request)
            except Failed as failure:
                if not failure.again or tries > self.endpoint.retries:
                    return self._failed(failure)
                if failure.wait:
                    self._pace.hold(min(failure.wait, _LONGEST_WAIT))
                else:
                    time.sleep(wait * (0.75 + random.random() / 2))  # all threads at once would hit it together again
                    wait = min(2 * wait, _LONGEST_WAIT)
            else:
                self._heard = True
                return answer

    def _draw(
        self, conversation: Conversation, number: int, at_most_tokens: int, how: Sampling
    ) -> Callable[[], Answer]:
        said = [[message.role, message.content] for message in conversation]
        digest = hashlib.sha256(canonical_json([how.seed, number, said])).digest()
        settings: dict[str, Any] = {
            "temperature": how.temperature,
            "top_p": how.top_p,
            "seed": int.from_bytes(digest[:4], "big") >> 1,
        }
        if self.endpoint.log_probabilities:
            settings["logprobs"] = True
        if how.think != "auto":
            on = how.think == "on"
            # What vLLM and SGLang hand to chat templates: Qwen3 reads the first, DeepSeek V3.1 the second.
            settings["extra_body"] = {"chat_template_kwargs": {"enable_thinking": on, "thinking": on}}
        return lambda: self.say(conversation, at_most_tokens=at_most_tokens, **settings)

    def _together(self, questions: Sequence[Callable[[], Answer]]) -> list[Answer]:
        with ThreadPoolExecutor(self.endpoint.at_once) as pool:
            under_way = [pool.submit(question) for question in questions]
            try:
                return [one.result() for one in under_way]
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _failed(self, failure: Failed) -> Answer:
        detail = shorten(failure.detail.replace(self._key, "[key]") if self._key else failure.detail, width=200)
        if failure.reason in ("endpoint-refuses", "endpoint-unreachable") and not self._heard:
            hint = f"check the address, the key and the model's name in {self._where}"
            message = f"{self.endpoint.url} cannot be asked for {self.name}: {detail}"
            raise UserError(Problem(failure.reason, message, hint, self._where))
        return Answer(text="", stop="error", evidence={"error": failure.reason, "detail": detail}, route=self.name)

    def _once(self, request: Mapping[str, Any]) -> Answer:
        import httpx2
        import openai

        began = time.monotonic()
        slow = Failed("endpoint-slow", f"no answer within {self.endpoint.seconds:g} s")
        try:
            with self._client.chat.completions.with_streaming_response.create(**request) as response:
                body = _body(response.iter_bytes, began + self.endpoint.seconds)
        except openai.APIStatusError as error:
            raise _of_status(error.status_code, error.response.headers, str(error)) from None
        except openai.APITimeoutError:
            raise slow from None
        except openai.APIConnectionError as error:
            unreachable = isinstance(error.__cause__, httpx2.ConnectError)
            reason = "endpoint-unreachable" if unreachable else "endpoint-broke-off"
            raise Failed(reason, str(error.__cause__ or error)) from None
        except httpx2.TimeoutException:
            raise slow from None
        except httpx2.HTTPError as error:
            raise Failed("endpoint-broke-off", str(error)) from None
        return answer_of(body, seconds=time.monotonic() - began, route=self.name)


def _counted_once(answers: list[Answer]) -> list[Answer]:
    """The paths of one question with its prompt's tokens in the first that was answered, in no other."""
    first = next((n for n, answer in enumerate(answers) if answer.usage.prompt_tokens), 0)
    return [
        answer
        if n == first
        else answer.model_copy(update={"usage": answer.usage.model_copy(update={"prompt_tokens": 0})})
        for n, answer in enumerate(answers)
    ]


def _of_status(status: int, headers: Mapping[str, str], told: str) -> Failed:
    if status in _REFUSED:
        return Failed("endpoint-refuses", told, again=False)
    if status in _AGAIN or status >= 500:
        return Failed("endpoint-fails", told, wait=_seconds(headers.get("retry-after", "")))
    return Failed("prompt-refused", told, again=False)


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
            raise Failed("endpoint-babbles", f"an answer of more than {_MOST_BYTES:,} bytes", again=False)
        if time.monotonic() > until:
            raise Failed("endpoint-slow", "the answer came too slowly")
    return bytes(found)
