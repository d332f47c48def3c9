"""The line over shards: nothing is lost, and a run that was stopped goes on where it was."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from document_fakes import pdf, xlsx
from test_data_stage import TABLE, context, labelled, texts, write

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import read_examples
from tunesmith.core.ids import digest_folder
from tunesmith.core.protocols import Executor, Here
from tunesmith.core.types import Example, Profile, Refusal, Snapshot, Tally
from tunesmith.data import operations, stage
from tunesmith.data.line import checked
from tunesmith.data.read import _parts
from tunesmith.data.spec import DataSpec
from tunesmith.project.executors.local import Local

SECTION: dict[str, Any] = {
    "sources": [
        {**TABLE, "path": "rows.jsonl", "template": "{text}"},
        {"use": "documents", "path": "docs"},
        {**TABLE, "path": "general.csv", "split": "general"},
    ],
    "clean": [{"use": "unicode"}, {"use": "html"}],
    "duplicates": {"near": 0.7},
    "limits": {"broken": 1.0, "unknown_labels": 1.0, "dropped": 1.0},
    "at_most_rows": {"train": 150},
}


def project(root: Path) -> None:
    """Rows with copies, near copies, broken lines, unknown labels, markup; documents of three kinds; general rows."""
    own = texts(200)
    rows = [*labelled(own), *labelled(own[:9]), *labelled([t[:-1] + "x" for t in own[:6]]), ("<p>a</p>", "good")]
    write(root, "rows.jsonl", [*rows, ("</p>", "good"), ("x", "other")])
    with (root / "rows.jsonl").open("ab") as file:
        file.write(b'{"text": \n\xff\n')
    (root / "docs").mkdir()
    (root / "docs" / "a.pdf").write_bytes(pdf("words of a page"))
    (root / "docs" / "b.xlsx").write_bytes(xlsx(["age", "rating"], [41, "good"], [23, "bad"]))
    (root / "docs" / "c.pdf").write_bytes(b"%PDF-1.4 nothing")
    lines = "".join(f'"{text}\nmore",good\n' for text in texts(40, seed=5))
    (root / "general.csv").write_text("text,label\n" + lines, encoding="utf-8")


def run(root: Path, out: str, executor: Executor, section: dict[str, Any] = SECTION) -> Snapshot:
    given = context(root)
    given = replace(given, out=root / out, scratch=root / f"scratch-{out}", executor=executor)
    given.out.mkdir(exist_ok=True)
    profile = Profile(problem="p", task="classification", labels=("good", "bad"))
    made = stage.run(DataSpec.model_validate(section), profile=profile, context=given)
    return made.model_copy(update={"folder": given.out})


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines in parts of 3 kB, so that the rows of this test are six shards and not one."""
    monkeypatch.setattr(_parts, "PART_BYTES", 3000)


@pytest.mark.usefixtures("small_parts")
def test_one_worker_and_two_write_the_same_bytes(tmp_path: Path) -> None:
    project(tmp_path)
    one, two = run(tmp_path, "one", Here()), run(tmp_path, "two", Local(2))
    assert digest_folder(tmp_path / "one") == digest_folder(tmp_path / "two")
    assert one.model_dump(exclude={"folder"}) == two.model_dump(exclude={"folder"})
    assert len(list((tmp_path / "scratch-two").glob("line-*/[0-9]*"))) >= 6


@pytest.mark.usefixtures("small_parts")
def test_every_operation_is_balanced_and_hands_on_what_it_kept(tmp_path: Path) -> None:
    """By hand: 220 lines of JSON and three documents and forty general rows come in.

    rows.jsonl: 200 + 9 + 6 + 1 + 1 + 1 rows and 2 broken lines; docs: 1 page, 2 rows, 1 broken file; 40 general rows.
    """
    project(tmp_path)
    snapshot = run(tmp_path, "out", Here())
    told = {tally.step: tally for tally in snapshot.tallies}
    assert list(told) == ["read", "clean.unicode", "clean.html", "duplicates", "split"]
    assert told["read"].rows_in == snapshot.rows_in == 220 + 4 + 40
    assert told["read"].dropped == {"broken-document": 1, "broken-json": 1, "invalid-utf8": 1, "unknown-label": 1}
    assert told["clean.html"].dropped == {"empty-after-cleaning": 1}
    assert told["clean.html"].changed == 1
    assert told["duplicates"].merged == {"exact-duplicate": 9, "near-duplicate": 6}
    assert told["split"].dropped == {"over-cap": told["split"].rows_in - snapshot.kept}
    assert checked(snapshot.tallies, snapshot.kept) == snapshot.tallies
    drops = _lines(tmp_path / "out" / "drops.jsonl")
    assert len(drops) == sum(snapshot.dropped.values()) == snapshot.rows_in - snapshot.kept
    assert Counter(drop["reason"] for drop in drops) == snapshot.dropped
    assert {drop["fate"] for drop in drops if drop["step"] == "duplicates"} == {"merged"}
    raw = (tmp_path / "rows.jsonl").read_bytes()
    for drop in drops:
        if drop["place"].startswith("rows.jsonl:"):
            line = int(drop["place"].partition(":")[2])
            assert drop["byte"] == len(b"".join(raw.splitlines(keepends=True)[: line - 1]))
    sheet = json.loads((tmp_path / "out" / "datasheet.json").read_text("utf-8"))
    assert [o["step"] for o in sheet["operations"]] == list(told)
    assert set(sheet["kinds"]) == {"structured", "unstructured"}


@pytest.mark.parametrize(
    "tallies",
    [
        [Tally(step="read", rows_in=3, kept=2)],
        [Tally(step="read", rows_in=3, kept=3), Tally(step="split", rows_in=2, kept=2)],
        [Tally(step="read", rows_in=2, kept=2, merged={"x": 1})],
    ],
)
def test_a_row_that_is_lost_or_counted_twice_ends_the_run(tallies: list[Tally]) -> None:
    with pytest.raises(TunesmithError, match="rows are lost"):
        checked(tallies, tallies[-1].kept)


class Counting:
    """An executor that counts shards, and stops before the shard with a given number as if it had been killed."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at = stop_at
        self.done = 0

    def map(self, function: Callable[[Any], Any], shards: Iterable[Any]) -> Iterator[Any]:
        for shard in shards:
            if self.done == self.stop_at:
                raise KeyboardInterrupt
            self.done += 1
            yield function(shard)


def work_done(root: Path) -> set[tuple[str, int]]:
    """(folder, time of its making) of every shard and index that stands."""
    folders = [path for path in root.glob("scratch-out/line-*/*") if path.is_dir() and path.name[0] != "."]
    return {(folder.name, (folder / "report.json").stat().st_mtime_ns) for folder in folders}


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("stop_at", [1, 4, 9, 12])
def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path: Path, stop_at: int) -> None:
    project(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "out", Counting(stop_at))
    before = work_done(tmp_path)
    assert len(before) == stop_at
    run(tmp_path, "out", Here())
    assert before < work_done(tmp_path)  # what stood was not made again
    run(tmp_path, "whole", Here())
    assert digest_folder(tmp_path / "out") == digest_folder(tmp_path / "whole")


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("damage", ["flipped", "cut", "missing", "report"])
def test_a_shard_that_is_not_as_it_was_written_is_made_again(tmp_path: Path, damage: str) -> None:
    project(tmp_path)
    run(tmp_path, "whole", Here())
    run(tmp_path, "out", Here())
    (file,) = tmp_path.glob("scratch-out/line-*/000001/rows-0.parquet")
    if damage == "flipped":
        file.write_bytes(file.read_bytes()[:-9] + b"X" + file.read_bytes()[-8:])
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:50])
    elif damage == "missing":
        file.unlink()
    else:
        (file.parent / "report.json").write_text("{")
    before = work_done(tmp_path)
    run(tmp_path, "out", Here())
    assert {name for name, _ in before - work_done(tmp_path)} == {"000001"}
    assert digest_folder(tmp_path / "out") == digest_folder(tmp_path / "whole")


# -- filters --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Short:
    """Refuses rows of few letters; sets aside those that shout."""

    at_least: int = 5

    def judge(self, example: Example) -> Refusal | None:
        words = example.messages[0].content
        if len(words) < self.at_least:
            return Refusal(reason="too-short", detail=f"{len(words)} letters")
        return Refusal(reason="shouting", fate="aside") if words.isupper() else None


@dataclass(frozen=True)
class Rare:
    """Sets aside rows whose answer stands once, and merges those whose first letter stood before."""

    def note(self, example: Example) -> list[str]:
        return [example.reference, example.messages[0].content[-1]]

    def decide(self, notes: Iterable[list[str]]) -> Iterator[Refusal | None]:
        times = Counter(answer for answer, _ in notes)
        seen: set[str] = set()
        for answer, letter in notes:
            if times[answer] == 1:
                yield Refusal(reason="rare", fate="aside")
            elif letter in seen:
                yield Refusal(reason="same-letter", fate="merged")
            else:
                yield None
            seen.add(letter)


@dataclass(frozen=True)
class Forgetful:
    """Decides of one row too few."""

    def note(self, example: Example) -> None:
        return None

    def decide(self, notes: Iterable[None]) -> Iterator[None]:
        return iter(list(notes)[1:])


class FakeShelf:
    """A shelf of the filters above."""

    kinds: ClassVar[dict[str, Any]] = {"short": Short, "rare": Rare, "forgetful": Forgetful}

    def build(self, use: Any, *, where: str = "") -> Any:
        return self.kinds[use.use](**use.settings)


def filtered(root: Path, rows: list[tuple[str, str]], *uses: dict[str, Any]) -> Snapshot:
    write(root, "rows.jsonl", rows)
    source = {**TABLE, "path": "rows.jsonl", "template": "{text}"}
    section = {"sources": [source], "filter": list(uses), "duplicates": {"exact": False, "near": None}}
    return run(root, "out", Here(), section)


def test_filters_refuse_set_aside_and_merge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: `abc` is short, `SHOUTED` aside; of the rest `five e` is a rare answer, `four d` repeats its letter."""
    monkeypatch.setattr(operations, "FILTERS", FakeShelf())
    rows = [("abc", "good"), ("SHOUTED", "good"), ("three d", "good"), ("four d", "good"), ("five e", "bad")]
    snapshot = filtered(tmp_path, rows, {"use": "rare"}, {"use": "short", "at_least": 4})
    told = {tally.step: tally for tally in snapshot.tallies}
    assert list(told) == ["read", "clean.unicode", "filter.short", "filter.rare", "duplicates", "split"]
    assert told["filter.short"].dropped == {"too-short": 1, "shouting": 1}
    assert (told["filter.rare"].dropped, told["filter.rare"].merged) == ({"rare": 1}, {"same-letter": 1})
    assert snapshot.kept == 1
    aside = read_examples(tmp_path / "out" / "aside.parquet")
    assert [example.place for example in aside] == ["rows.jsonl:2", "rows.jsonl:5"]
    drops = {d["place"]: (d["step"], d["reason"], d["fate"]) for d in _lines(tmp_path / "out" / "drops.jsonl")}
    assert drops["rows.jsonl:4"] == ("filter.rare", "same-letter", "merged")
    assert drops["rows.jsonl:2"] == ("filter.short", "shouting", "aside")


def test_a_filter_that_the_project_asks_for_does_not_count_as_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "FILTERS", FakeShelf())
    snapshot = filtered(tmp_path, [*labelled(texts(80)), *labelled(["abc"] * 40)], {"use": "short"})
    (reason,) = [r for r in snapshot.gates[0].reasons if r.code == "dropped-rows"]
    assert reason.verdict == "passed"


def test_a_filter_that_forgets_a_row_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "FILTERS", FakeShelf())
    with pytest.raises(TunesmithError, match="one word for each of 4 rows"):
        filtered(tmp_path, labelled(texts(4)), {"use": "forgetful"})


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
