"""Two reports side by side, tasks in a row, and the drift from the base."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import UserError
from tunesmith.evaluate.comparing import Told, compare
from tunesmith.evaluate.retention import General, divergence, general_measures, items
from tunesmith.evaluate.statistics import Sampling
from tunesmith.evaluate.transfer import transfer

QUICK = Sampling(resamples=200)


def report(folder: Path, values: list[float | None], *, seed: int = 1, start: int = 0, group: int = 0) -> Path:
    """A report as it lies on the disk, whose expert got these scores."""
    folder.mkdir(parents=True)
    about = {"provenance": {"training": {"seeds": [seed]}, "artifacts": {"snapshot": "snap-1"}}, "base": "tiny"}
    accuracy = {"name": "accuracy", "model": "expert", "slice": "all", "value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    told = {**about, "scorer": "label", "measures": [{**accuracy, "unit": "share"}], "verdict": "passed"}
    (folder / "report.json").write_text(json.dumps(told), encoding="utf-8")
    lines = []
    for n, value in enumerate(values, start=start):
        lines.append(
            {
                "id": f"ex-{n}",
                "place": f"rows.csv:{n}",
                "group": f"g{n // group}" if group else None,
                "prompt": f"q {n}",
                "reference": "a",
                "expert": {"text": f"answer {value}"},
                "scores": {"expert": {"label": {"value": value, "unscored": "" if value is not None else "x"}}},
            }
        )
    (folder / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


def compared(first: Path, second: Path) -> dict[str, Any]:
    return compare(Told.read(first), Told.read(second), sampling=QUICK)


def test_the_paired_test_is_made_on_the_rows_of_both(tmp_path: Path) -> None:
    """20 rows each, 15 in common, one of them unscored: of 14, six got better and none worse: p = 2 / 2^6."""
    one = report(tmp_path / "one", [0.0] * 11 + [1.0] * 9)
    two = report(tmp_path / "two", [1.0] * 14 + [None] + [1.0] * 5, start=5, seed=2)
    found = compared(one, two)
    assert found["rows"] == {"both": 15, "only_first": 5, "only_second": 5}
    (line,) = found["scores"]
    assert (line["n"], line["unscored"], line["better"], line["worse"]) == (14, 1, 6, 0)
    assert line["value"] == pytest.approx(6 / 14)
    assert line["p"] == pytest.approx(2 / 64) == line["p_adjusted"]
    assert line["low"] < 6 / 14 < line["high"] and line["smallest_seen"] > 0
    assert {row["id"] for row in found["changed"]["better"]} == {f"ex-{n}" for n in range(5, 11)}
    assert found["changed"]["better"][0]["first"] == "answer 0.0"
    assert any("not the same" in note for note in found["notes"])
    json.dumps(found)


def test_a_report_differs_from_itself_by_nothing(tmp_path: Path) -> None:
    one = report(tmp_path / "one", [1.0, 0.0] * 10)
    found = compared(one, one)
    assert found["scores"][0]["value"] == 0.0 and found["scores"][0]["p"] == 1.0
    assert found["changed"] == {"worse": [], "better": []}
    assert [note.partition(":")[0] for note in found["notes"]] == ["one seed each"]


def test_rows_of_one_group_are_flipped_together(tmp_path: Path) -> None:
    """Ten rows of one single group got better: nothing can be told."""
    one, two = (report(tmp_path / name, [v] * 10, group=10) for name, v in (("one", 0.0), ("two", 1.0)))
    assert compared(one, two)["scores"][0]["p"] == 1.0


def test_no_common_rows_and_no_report_are_told(tmp_path: Path) -> None:
    one, two = report(tmp_path / "one", [1.0] * 3), report(tmp_path / "two", [1.0] * 3, start=50)
    found = compared(one, two)
    assert found["scores"] == [] and any("nothing can be tested" in note for note in found["notes"])
    with pytest.raises(UserError, match="missing-file"):
        Told.read(tmp_path / "none")


def test_backward_transfer_by_hand(tmp_path: Path) -> None:
    """Task a: 0.8 when learnt, 0.4 at the end; b: 0.6 and 0.7; c: 0.5. Backward (-0.4 + 0.1) / 2, average 1.6 / 3."""

    def right(name: str, share: float) -> Path:
        return report(tmp_path / name, [1.0] * round(20 * share) + [0.0] * (20 - round(20 * share)))

    a1, a2, a3 = right("a1", 0.8), right("a2", 0.6), right("a3", 0.4)
    b2, b3, c3 = right("b2", 0.6), right("b3", 0.7), right("c3", 0.5)
    found = transfer([{"a": a1}, {"a": a2, "b": b2}, {"a": a3, "b": b3, "c": c3}], sampling=QUICK)
    assert found["scores"] == [[0.8, None, None], [0.6, 0.6, None], [0.4, 0.7, 0.5]]
    assert found["backward"]["value"] == pytest.approx(-0.15)
    assert found["backward"]["low"] < -0.15 < found["backward"]["high"]
    assert [m["slice"] for m in found["forgotten"]] == ["task=a", "task=b"]
    assert found["forgotten"][0]["p"] == pytest.approx(2 / 2**8)
    assert found["average"] == pytest.approx(1.6 / 3)
    with pytest.raises(UserError, match="no-sequence"):
        transfer([{"a": a1}, {"b": b2}])


def test_divergence_by_hand() -> None:
    """Base 1/2, 1/2; expert 3/4, 1/4: 0.5 ln(2/3) + 0.5 ln 2 = 0.5 ln(4/3). Shifts of all logs do not count."""
    base, expert = [math.log(0.5) - 7, math.log(0.5) - 7], [math.log(0.75), math.log(0.25)]
    assert divergence(base, expert) == pytest.approx(0.5 * math.log(4 / 3))
    assert divergence(base, base) == 0.0


def test_the_drift_is_told_over_all_and_for_each_skill() -> None:
    """The expert's shares are moved in one skill only."""
    asked = [item for item in items() if item.skill != "chinese"]
    still, moved = (0.0, 0.0, 0.0, 0.0), (math.log(2.0), 0.0, 0.0, 0.0)
    skill = asked[0].skill
    base = General({i.id: True for i in asked}, {}, logs={i.id: still for i in asked})
    expert = General(base.right, {}, logs={i.id: moved if i.skill == skill else still for i in asked})
    found = {m.slice: m for m in general_measures(expert, base, QUICK) if m.name == "general_kl"}
    each = divergence(still, moved)
    assert found[f"skill={skill}"].value == pytest.approx(each)
    assert found["all"].value == pytest.approx(each * sum(i.skill == skill for i in asked) / len(asked))
    assert General.of(expert.records()) == expert
