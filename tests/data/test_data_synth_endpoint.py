"""Endpoints that work, and endpoints that do everything wrong: no run is lost, and no answer asked twice."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_fakes import context, document, documents, split, teacher, told
from tunesmith.core.errors import UserError
from tunesmith.core.events import Event
from tunesmith.core.types import Drop, Example
from tunesmith.data.synthesize._asking import FILE, asking
from tunesmith.data.synthesize._teacher import Price, Teacher
from tunesmith.data.synthesize._yield import told_yield
from tunesmith.data.synthesize.document_questions import DocumentQuestions
from tunesmith.models.endpoint import Endpoint, Pace

pytest.importorskip("openai", reason="needs the extra 'endpoints'")

NAME = "synthesize.document_questions"


class Server:
    """The server's process."""

    def __init__(self) -> None:
        script = Path(__file__).parents[1] / "chat_server.py"
        command = [sys.executable, str(script)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.root = f"http://127.0.0.1:{self.process.stdout.readline().strip()}"
        self.url = f"{self.root}/v1"

    def asked(self, model: str) -> int:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.root}/asked/{model}", timeout=10) as answer:
            return int(answer.read())

    def close(self) -> None:
        self.process.communicate(timeout=10)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.close()


def made(
    server: Server, root: Path, model: str, rows: list[Example] | None = None, **endpoint: Any
) -> tuple[list[Example], list[Drop]]:
    maker = DocumentQuestions(teacher(server.url, model, **endpoint))
    return split(list(maker.make(documents() if rows is None else rows, context(root))))


def reasons(drops: list[Drop]) -> list[str]:
    return [drop.reason for drop in drops]


def test_rows_of_a_good_endpoint_rest_on_their_documents_and_what_they_cost_is_told(
    server: Server, tmp_path: Path
) -> None:
    """Two prompts of 100 tokens, two answers of 20: (200 x 3 + 40 x 5) / 1e6 = 0.0008."""
    events: list[Event] = []
    writes = teacher(server.url, "good").model_copy(update={"price": Price(input=3, output=5, currency="EUR")})
    where = context(tmp_path, events.append)
    rows, drops = split(list(DocumentQuestions(writes).make(documents(), where)))
    assert [row.messages[0].content for row in rows] == [
        "What is used against gout?",
        "What is used against flu?",
        "What is used against scurvy?",
    ]
    assert drops == []
    parents = [example.id for example in documents()]
    assert [row.parent for row in rows] == [parents[0], parents[1], parents[1]]
    assert rows[0].group == parents[0] and rows[0].attributes == {"evidence": "Gout is treated with colchicine."}
    cost = told(events, NAME)
    assert (cost["sources"], cost["asked"], cost["made"], cost["kept"], cost["dropped"]) == (2, 6, 3, 3, {})
    assert (cost["prompts"], cost["prompt_tokens"], cost["answer_tokens"]) == (2, 200, 40)
    assert (cost["cost"], cost["currency"]) == (0.0008, "EUR") and cost["seconds"] >= 0
    assert told_yield(where.scratch) == cost


def test_what_was_answered_is_not_asked_again_and_gives_the_same_rows(server: Server, tmp_path: Path) -> None:
    first = made(server, tmp_path, "good-once-again")
    asked = server.asked("good-once-again")
    store = tmp_path / "scratch" / FILE
    before = store.read_bytes()
    assert made(server, tmp_path, "good-once-again") == first
    assert (server.asked("good-once-again"), store.read_bytes()) == (asked, before)
    assert asked == 2


def test_after_a_kill_only_what_is_missing_is_asked(server: Server, tmp_path: Path) -> None:
    """The second answer is torn in the middle of its line, as by a power cut: one question of two is asked again."""
    first = made(server, tmp_path, "good-once-torn")
    store = tmp_path / "scratch" / FILE
    store.write_bytes(store.read_bytes()[:-30])
    assert made(server, tmp_path, "good-once-torn") == first
    assert server.asked("good-once-torn") == 3
    assert store.read_bytes().count(b"\n") == 2


def test_another_prompt_is_another_question(server: Server, tmp_path: Path) -> None:
    made(server, tmp_path, "good-once-changed")
    made(server, tmp_path, "good-once-changed", [document("Gout is treated with colchicine. It hurts.")])
    assert server.asked("good-once-changed") == 3


@pytest.mark.parametrize(("model", "asked"), [("fails-twice", 3), ("busy", 2)])
def test_an_endpoint_that_recovers_is_asked_again(server: Server, tmp_path: Path, model: str, asked: int) -> None:
    rows, drops = made(server, tmp_path, model, [documents()[0]])
    assert (len(rows), drops, server.asked(model)) == (1, [], asked)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("dead", "endpoint-fails"),
        ("half", "endpoint-garbage"),
        ("html", "endpoint-garbage"),
        ("cut", "endpoint-broke-off"),
        ("empty", "empty-answer"),
        ("nothing", "empty-answer"),
        ("loop", "cut-off"),
        ("looping-row", "looping"),
        ("prose", "unreadable-answer"),
        ("cut-rows", "cut-off"),
        ("silent", "endpoint-slow"),
        ("drips", "endpoint-slow"),
        ("endless", "endpoint-babbles"),
    ],
)
def test_a_bad_answer_is_a_drop_with_its_reason(server: Server, tmp_path: Path, model: str, reason: str) -> None:
    began = time.monotonic()
    seconds = 20 if model == "endless" else 0.5
    rows, drops = made(server, tmp_path, model, [documents()[0]], seconds=seconds, retries=0)
    assert rows == []
    assert reasons(drops) == [reason]
    assert drops[0].place == "docs.txt:0" and drops[0].step == NAME
    assert time.monotonic() - began < 25  # the silent one would take 30 s


def test_an_endpoint_that_dies_loses_no_row_that_it_gave_and_is_given_up(server: Server, tmp_path: Path) -> None:
    """Two answers, then five failures in a row; the other five documents are not asked about any more."""
    rows = [document(f"Gout is treated with drug{n}. Nothing else helps.", n) for n in range(12)]
    kept, drops = made(server, tmp_path, "dies", rows, retries=0, at_once=1)
    assert len(kept) + reasons(drops).count("like-another") == 2
    assert reasons(drops).count("endpoint-fails") == 5 and reasons(drops).count("endpoint-given-up") == 5
    assert server.asked("dies") == 7


def test_a_wrong_key_is_told_at_once_and_never_shown(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEACHER_KEY", "secret-word")
    with pytest.raises(UserError) as caught:
        made(server, tmp_path, "refuses", key="TEACHER_KEY")
    assert [problem.code for problem in caught.value.problems] == ["endpoint-refuses"]
    assert "secret-word" not in str(caught.value) and "[key]" in str(caught.value)


def test_a_key_that_is_not_there_is_a_problem_of_check_and_nothing_is_asked(tmp_path: Path) -> None:
    maker = DocumentQuestions(teacher("http://127.0.0.1:9/v1", key="NO_SUCH_KEY_HERE"))
    assert [problem.code for problem in maker.check(tmp_path)] == ["no-key"]
    with pytest.raises(UserError, match="export NO_SUCH_KEY_HERE"):
        list(maker.make(documents(), context(tmp_path)))


def test_a_key_of_another_service_is_never_sent_along(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "sk-of-somebody-else")
    made(server, tmp_path, "headers-of", [documents()[0]])
    sent = (tmp_path / "scratch" / FILE).read_text("utf-8")
    assert "uthorization: Bearer none" in sent and "somebody-else" not in sent


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        list(DocumentQuestions(teacher("http://127.0.0.1:9/v1", retries=0)).make(documents(), context(tmp_path)))
    assert {problem.code for problem in caught.value.problems} == {"endpoint-unreachable"}


def test_the_cost_is_bounded(server: Server, tmp_path: Path) -> None:
    bounded = teacher(server.url).model_copy(update={"at_most_prompts": 1})
    rows, drops = split(list(DocumentQuestions(bounded).make(documents(), context(tmp_path))))
    assert len(rows) == 1
    assert reasons(drops) == ["prompts-spent"]


def test_requests_keep_their_pace() -> None:
    """600 a minute: four starts are at least 3 x 0.1 s apart."""
    pace, began = Pace(600), time.monotonic()
    for _ in range(4):
        pace.wait()
    assert time.monotonic() - began >= 0.29


def test_no_endpoint_is_asked_when_there_is_nothing_to_ask(tmp_path: Path) -> None:
    nobody = Teacher(model="m", endpoint=Endpoint(url="http://127.0.0.1:9/v1"))
    with asking(nobody, context(tmp_path)) as asker:
        assert asker.ask([]) == []
