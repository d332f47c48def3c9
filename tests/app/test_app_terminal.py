"""What the terminal says of the time left: what the speaker predicts, or else what the rate so far gives."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tunesmith.app import terminal
from tunesmith.core.events import Event


def test_lines_tell_the_predicted_time_or_else_that_of_the_rate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 s after the first event 2 of 10 are done: the rate gives 80 s; the speaker knows of longer steps to come."""
    now = [100.0]
    monkeypatch.setattr(terminal, "time", SimpleNamespace(monotonic=lambda: now[0]))
    lines = terminal.PlainLines()
    spoken: list[dict[str, float | None]] = [{}, {"seconds_left": 300.0}, {"seconds_left": None}]
    for number, more in enumerate(spoken):
        for done in (0, 2):
            data = {"done": done, "total": 10, "unit": "steps", **more}
            lines(Event("progress", "tune", f"number {number}", data))
            now[0] += 20
    told = capsys.readouterr().err.splitlines()
    assert "80 s left" in told[0] and "300 s left" in told[1] and "left" not in told[2]


def test_a_bar_tells_the_predicted_time() -> None:
    with terminal.Bars() as bars:
        bars(Event("progress", "tune", "training", {"done": 1, "total": 4, "unit": "steps", "seconds_left": 125.4}))
        [task] = bars.progress.tasks
        assert terminal.Remaining().render(task).plain == "0:02:05"
        bars(Event("progress", "data", "reading", {"done": 1, "total": 4, "unit": "rows"}))
        assert terminal.Remaining().render(bars.progress.tasks[1]).plain == "-:--:--"
