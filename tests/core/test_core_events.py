"""One stream of events: everything told reaches every listener, in order."""

from __future__ import annotations

import threading

import pytest

from tunesmith.core.events import Event, Events


def test_every_sink_hears_every_event_in_order() -> None:
    one: list[Event] = []
    other: list[Event] = []
    events = Events(one.append, other.append)
    events.tell("stage", "data", "reading", rows=3)
    events.tell("done", "data", seconds=1.5)
    assert one == other
    assert [(event.kind, event.stage, event.message, event.data) for event in one] == [
        ("stage", "data", "reading", {"rows": 3}),
        ("done", "data", "", {"seconds": 1.5}),
    ]
    assert one[0].as_dict() == {
        "kind": "stage",
        "stage": "data",
        "message": "reading",
        "data": {"rows": 3},
        "at": one[0].at,
    }


def test_a_guest_hears_only_its_block_even_where_that_fails() -> None:
    heard: list[Event] = []
    events = Events()
    events.tell("note", "a")
    with pytest.raises(KeyError), events.heard_by(heard.append):
        events.tell("note", "b")
        raise KeyError
    events.tell("note", "c")
    assert [event.stage for event in heard] == ["b"]


def test_progress_counts_every_item_and_ends_with_the_total() -> None:
    heard: list[Event] = []
    events = Events(heard.append)
    assert list(events.track("abc", "data", "cleaning", total=3)) == ["a", "b", "c"]
    assert heard[-1].data == {"done": 3, "total": 3, "unit": "rows"}
    assert [event.data["done"] for event in heard] == sorted(event.data["done"] for event in heard)
    list(events.track([], "data", "cleaning", unit="files"))
    assert heard[-1].data == {"done": 0, "total": 0, "unit": "files"}


def test_progress_is_told_at_most_ten_times_a_second() -> None:
    heard: list[Event] = []
    now = [0.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tunesmith.core.events.time.monotonic", lambda: now[0])
        for _ in Events(heard.append).track(range(1000), "data", "x"):
            now[0] += 0.001
    # 1,000 items in one second: one event every 0.1 s (the first at 0.1 s), and the last word
    assert 9 <= len(heard) <= 11


def test_threads_do_not_mix_their_events() -> None:
    heard: list[str] = []

    def slow(event: Event) -> None:
        heard.append(f"{event.message} begins")
        heard.append(f"{event.message} ends")

    events = Events(slow)

    def tell(name: str) -> None:
        for _ in range(200):
            events.tell("note", "x", name)

    threads = [threading.Thread(target=tell, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(heard) == 3 * 200 * 2
    for begin, end in zip(heard[::2], heard[1::2], strict=True):
        assert begin.partition(" ")[0] == end.partition(" ")[0]


def test_a_sink_may_tell_something_itself() -> None:
    heard: list[str] = []
    events = Events()

    def answering(event: Event) -> None:
        heard.append(event.message)
        if event.message == "question":
            events.tell("note", "sink", "answer")

    with events.heard_by(answering):
        events.tell("note", "x", "question")
    assert heard == ["question", "answer"]
