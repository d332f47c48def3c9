"""A server of OpenAI's chat completions for tests, in a process of its own: good, and bad in many ways.

The name of the model says how it behaves; `GET /asked/MODEL` tells how often that was asked. Started by
`python chat_server.py`, it prints its port and ends when its standard input closes.
"""

from __future__ import annotations

import json
import random
import re
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ASKED: Counter[str] = Counter()
LOCK = threading.Lock()
SILENCE_SECONDS = 30
WORDS = [a + b for a in ("ba", "do", "ki", "lu", "me", "no", "pa", "ri") for b in ("ban", "der", "gil", "mon", "tas")]


def good_answer(prompt: str) -> str:
    """One question on each sentence `X is treated with Y.` of a document; new tasks; else a plain answer."""
    if "<document>" in prompt:
        document = prompt.split("<document>")[1].split("</document>")[0]
        facts = re.findall(r"([A-Z]\w+) is treated with (\w+)\.", document)
        rows = [
            {"question": f"What is used against {what.lower()}?", "answer": f"{what} is treated with {drug}.",
             "evidence": f"{what} is treated with {drug}."}
            for what, drug in facts
        ]  # fmt: skip
        return "Here you are:\n```json\n" + json.dumps(rows) + "\n```"
    if "numbered list" in prompt:
        dice = random.Random(prompt)
        return "\n".join(f"{n}. Explain {' '.join(dice.choices(WORDS, k=7))}." for n in (1, 2))
    return f"It fails because the substance is needed there ({len(prompt)})."


class Handler(BaseHTTPRequestHandler):
    """Answers by the model's name."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        model = self.path.rpartition("/")[2]
        self.send(200, str(ASKED[model]).encode())

    def do_POST(self) -> None:
        body = self.body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        model, prompt = body["model"], body["messages"][-1]["content"]
        with LOCK:
            ASKED[model] += 1
            times = ASKED[model]
        getattr(self, model.replace("-", "_").partition("_once")[0], self.good)(prompt, times)

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def say(self, text: str | None, stop: str = "stop", **more: Any) -> None:
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120, **more.pop("usage", {})}
        message = {"role": "assistant", "content": text, **more.pop("message", {})}
        choice = {"index": 0, "message": message, "finish_reason": stop, **more}
        body = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
        self.send(200, json.dumps(body).encode())

    def good(self, prompt: str, times: int) -> None:
        self.say(good_answer(prompt))

    def fails_twice(self, prompt: str, times: int) -> None:
        self.send(500, b'{"error": {"message": "boom"}}') if times <= 2 else self.good(prompt, times)

    def busy(self, prompt: str, times: int) -> None:
        self.send(429, b"{}", retry_after="0.2") if times == 1 else self.good(prompt, times)

    def dead(self, prompt: str, times: int) -> None:
        self.send(503, b"no")

    def dies(self, prompt: str, times: int) -> None:
        self.good(prompt, times) if times <= 2 else self.send(503, b"no")

    def half(self, prompt: str, times: int) -> None:
        self.send(200, b'{"choices": [{"message": {"content": "So')

    def cut(self, prompt: str, times: int) -> None:
        self.send_response(200)
        self.send_header("content-length", "5000")
        self.end_headers()
        self.wfile.write(b'{"choices"')
        self.wfile.flush()
        self.close_connection = True
        self.connection.close()

    def empty(self, prompt: str, times: int) -> None:
        self.say("")

    def nothing(self, prompt: str, times: int) -> None:
        self.say(None)

    def loop(self, prompt: str, times: int) -> None:
        self.say("the " * 2000, "length")

    def looping_row(self, prompt: str, times: int) -> None:
        answer = "It is treated with colchicine. " * 30
        self.say(
            json.dumps([{"question": "What is used against gout?", "answer": answer, "evidence": "Gout is treated"}])
        )

    def headers_of(self, prompt: str, times: int) -> None:
        self.say(str(self.headers))

    def thinks(self, prompt: str, times: int) -> None:
        """As DeepSeek's API tells it, with the figures of its usage and of its tokens."""
        details = {"completion_tokens_details": {"reasoning_tokens": 15}}
        tokens = {"content": [{"token": "4", "logprob": -0.25}, {"token": "2", "logprob": -0.5}]}
        told: Any = {"logprobs": tokens} if self.body.get("logprobs") else {}
        self.say("42", message={"reasoning_content": "Six times seven."}, usage=details, **told)

    def thinks_newly(self, prompt: str, times: int) -> None:
        self.say("42", message={"reasoning": "Six times seven."})

    def thinks_inline(self, prompt: str, times: int) -> None:
        self.say("<think>\nSix times seven.\n</think>\n\n42")

    def told(self, prompt: str, times: int) -> None:
        self.say(json.dumps(self.body, sort_keys=True))

    def no_usage(self, prompt: str, times: int) -> None:
        self.send(200, b'{"choices": [{"message": {"content": "42"}}]}')

    def mixed(self, prompt: str, times: int) -> None:
        """Every fault in turn, by the number in the question; the rest are good."""
        kinds = (self.thinks, self.half, self.cut, self.dead, self.empty, self.html, self.loop, self.drips)
        kinds[int(prompt) % len(kinds)](prompt, times)

    def prose(self, prompt: str, times: int) -> None:
        self.say("I would rather talk about the weather, which was fine today.")

    def cut_rows(self, prompt: str, times: int) -> None:
        self.say(good_answer(prompt).rpartition("evidence")[0], "length")

    def html(self, prompt: str, times: int) -> None:
        self.send(200, b"<html>gateway</html>")

    def refuses(self, prompt: str, times: int) -> None:
        self.send(401, b'{"error": {"message": "wrong key secret-word"}}')

    def silent(self, prompt: str, times: int) -> None:
        time.sleep(SILENCE_SECONDS)

    def drips(self, prompt: str, times: int) -> None:
        self.send_response(200)
        self.send_header("content-length", "100000")
        self.end_headers()
        try:
            for _ in range(100):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.1)
        except OSError:
            self.close_connection = True

    def endless(self, prompt: str, times: int) -> None:
        self.send_response(200)
        self.send_header("connection", "close")
        self.end_headers()
        try:
            for _ in range(400):
                self.wfile.write(b" " * 50_000)
        except OSError:
            self.close_connection = True


def main() -> None:
    """Serve until standard input closes."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
