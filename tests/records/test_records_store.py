"""The run store: made once, whole or absent, found again, and nothing altered unseen."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.core.errors import CorruptArtifact, UserError
from tunesmith.core.types import Artifact, Baseline, Checkpoint, Expert, GateVerdict, Profile, Reason, Report, Snapshot
from tunesmith.records.store import RunStore

GATE = GateVerdict.of("G1", [Reason(code="shares", message="the mix is as asked", verdict="passed")])


def snapshot(kept: int = 3) -> Snapshot:
    return Snapshot(rows_in=kept, kept=kept, gates=(GATE,))


def writing(text: str = "rows", artifact: Artifact | None = None) -> Callable[[Path], Artifact]:
    def work(out: Path) -> Artifact:
        (out / "examples.parquet").write_text(text)
        (out / "sub").mkdir()
        (out / "sub" / "drops.jsonl").write_text("")
        return artifact or snapshot()

    return work


def make(store: RunStore, run: str = "run-1", work: Callable[[Path], Artifact] | None = None) -> Artifact:
    spec = {"sources": [{"use": "jsonl"}]}
    return store.make(run, "data", inputs=["prof-1"], spec=spec, code={"a.py": "00"}, work=work or writing())


def test_made_artifact_is_opened(tmp_path: Path) -> None:
    made = make(RunStore(tmp_path))
    assert made.run == "run-1"
    assert made.inputs == ("prof-1",)
    assert made.id.startswith("snap-")
    assert made.gates == (GATE,)
    assert made.file("examples.parquet").read_text() == "rows"
    assert made.folder == tmp_path / "runs" / "data" / "run-1"


def test_found_again_by_another_store_equals_what_was_made(tmp_path: Path) -> None:
    made = make(RunStore(tmp_path))
    assert RunStore(tmp_path).find("run-1") == made
    assert RunStore(tmp_path).verify("run-1") == made
    assert RunStore(tmp_path).find("run-2") is None


def test_second_make_does_no_work(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    made = make(store)

    def never(out: Path) -> Artifact:
        raise AssertionError("made twice")

    assert make(store, work=never) == made


def test_made_again_where_that_is_asked(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    first = make(store)

    def failing(out: Path) -> Artifact:
        raise KeyError

    with pytest.raises(KeyError):
        store.make("run-1", "data", inputs=[], spec={}, code={}, work=failing, again=True)
    assert store.find("run-1") == first, "the old one stands until a new one does"
    other = store.make("run-1", "data", inputs=[], spec={}, code={}, work=writing("other"), again=True)
    assert other.id != first.id
    assert store.verify("run-1") == other
    assert [path.name for path in (tmp_path / "runs" / "data").iterdir()] == ["run-1"]


def test_an_unknown_run_is_told_with_the_nearest(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    make(store, "run-0123456789abcdef")
    with pytest.raises(UserError, match="did you mean 'run-0123456789abcdef'"):
        store.record("run-0123456789abcdee")


def test_record_says_where_it_comes_from(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    made = make(store)
    record = store.record("run-1")
    assert (record.stage, record.type, record.artifact) == ("data", "Snapshot", made.id)
    assert record.spec == {"sources": [{"use": "jsonl"}]}
    assert record.code == {"a.py": "00"}
    assert sorted(record.files) == ["examples.parquet", "sub/drops.jsonl"]
    # SHA-256 of the four bytes "rows", as printed by sha256sum
    assert record.files["examples.parquet"].sha256.startswith("bc51e9e6")
    assert record.files["examples.parquet"].bytes == 4
    assert "pydantic" in record.versions
    assert record.started <= record.ended


def test_runs_come_newest_first(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    for run in ("run-b", "run-a", "run-c"):
        make(store, run)
    assert [record.run for record in store.runs()] == ["run-c", "run-a", "run-b"]


def test_equal_content_has_an_equal_id_whichever_run_and_store_made_it(tmp_path: Path) -> None:
    first, second = make(RunStore(tmp_path / "a")), make(RunStore(tmp_path / "b"), "run-2")
    other = make(RunStore(tmp_path / "b"), "run-3", writing("other rows"))
    assert first.id == second.id
    assert other.id != first.id


def test_gates_and_volatile_parts_do_not_enter_the_id(tmp_path: Path) -> None:
    store = RunStore(tmp_path)

    def answering(seconds: float, text: str, name: str = "answers.jsonl") -> Callable[[Path], Artifact]:
        def work(out: Path) -> Artifact:
            (out / name).write_text(text)
            return Baseline(answers=2, seconds=seconds)

        return work

    slow = make(store, "run-slow", answering(9.0, "one"))
    quick = make(store, "run-quick", answering(1.0, "two"))
    other = make(store, "run-other", answering(1.0, "two", "answers.txt"))
    assert slow.id == quick.id
    assert other.id != quick.id
    bare = make(store, "run-bare", writing(artifact=Snapshot(rows_in=3, kept=3)))
    assert bare.id == make(store, "run-gated").id


def test_what_work_raises_passes_through_and_leaves_nothing(tmp_path: Path) -> None:
    store = RunStore(tmp_path)

    def failing(out: Path) -> Artifact:
        (out / "half").write_text("half")
        raise KeyError("no")

    with pytest.raises(KeyError):
        make(store, work=failing)
    assert store.find("run-1") is None
    assert list((tmp_path / "runs" / "data").iterdir()) == []
    assert make(store).file("examples.parquet").is_file()


def test_a_folder_that_the_index_does_not_know_is_found(tmp_path: Path) -> None:
    made = make(RunStore(tmp_path))
    for file in tmp_path.glob("records.db*"):
        file.unlink()
    store = RunStore(tmp_path)
    assert store.find("run-1") == made
    assert [record.run for record in store.runs()] == ["run-1"]


def test_an_index_entry_without_folder_is_no_run(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    make(store)
    shutil.rmtree(tmp_path / "runs" / "data" / "run-1")
    assert store.find("run-1") is None
    with pytest.raises(UserError, match="unknown-run"):
        store.record("run-1")
    assert store.runs() == []
    assert make(store).run == "run-1"


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_find_names_a_missing_or_cut_file(tmp_path: Path, damage: str) -> None:
    store = RunStore(tmp_path)
    file = make(store).file("sub/drops.jsonl" if damage == "missing" else "examples.parquet")
    file.unlink() if damage == "missing" else file.write_text("row")
    with pytest.raises(CorruptArtifact, match=file.name):
        store.find("run-1")
    assert list(store.damaged()) == ["run-1"]


def test_every_flipped_byte_is_found_by_verify(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    file = make(store).file("examples.parquet")
    whole = file.read_bytes()
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        with pytest.raises(CorruptArtifact, match=r"examples\.parquet"):
            store.verify("run-1")
    file.write_bytes(whole)
    assert store.verify("run-1") is not None


def test_verify_names_a_file_that_was_added(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    make(store).file("stranger.bin").write_text("x")
    assert store.find("run-1") is not None
    with pytest.raises(CorruptArtifact, match=r"stranger\.bin.*added"):
        store.verify("run-1")


def test_verify_sees_fields_that_were_rewritten(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    manifest = make(store).file("artifact.json")
    manifest.write_text(manifest.read_text().replace('"kept": 3', '"kept": 4'))
    with pytest.raises(CorruptArtifact, match=r"artifact\.json"):
        store.verify("run-1")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run": "run-1"}', "\x00"])
def test_an_unreadable_record_is_named_and_hides_no_other_run(tmp_path: Path, text: str) -> None:
    store = RunStore(tmp_path)
    make(store, "run-2")
    make(store).file("artifact.json").write_text(text)
    with pytest.raises(CorruptArtifact, match=r"artifact\.json"):
        store.find("run-1")
    assert [record.run for record in store.runs()] == ["run-2"]
    assert list(store.damaged()) == ["run-1"]


def test_a_record_of_a_newer_tunesmith_is_not_called_damaged(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    manifest = make(store).file("artifact.json")
    manifest.write_text(manifest.read_text().replace('"format": 1,', '"format": 2, "news": true,'))
    with pytest.raises(CorruptArtifact, match="update tunesmith"):
        store.find("run-1")


def test_an_unknown_artifact_type_is_refused(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    manifest = make(store).file("artifact.json")
    manifest.write_text(manifest.read_text().replace('"type": "Snapshot"', '"type": "Message"'))
    with pytest.raises(CorruptArtifact, match="no artifact type 'Message'"):
        store.find("run-1")


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "a\nb", "x" * 81])
def test_names_cannot_leave_the_store(tmp_path: Path, name: str) -> None:
    store = RunStore(tmp_path / "home")
    with pytest.raises(ValueError, match="plain name"):
        make(store, name)
    with pytest.raises(ValueError, match="plain name"):
        store.scratch(name)
    assert store.find(name) is None


@pytest.mark.parametrize(
    "nan", [Baseline(answers=1, seconds=math.nan), Report(measures=(), targets=({"base": {"value": math.nan}},))]
)
def test_nan_in_an_artifact_is_refused_before_anything_is_written(tmp_path: Path, nan: Artifact) -> None:
    store = RunStore(tmp_path)
    with pytest.raises(ValueError, match="JSON compliant"):
        make(store, work=writing(artifact=nan))
    assert store.find("run-1") is None


def test_scratch_survives_until_the_run_is_made(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    (store.scratch("run-1") / "step-5").write_text("weights")

    def failing(out: Path) -> Artifact:
        raise KeyError

    with pytest.raises(KeyError):
        make(store, work=failing)
    assert (RunStore(tmp_path).scratch("run-1") / "step-5").read_text() == "weights"
    make(store)
    assert not (tmp_path / "scratch" / "run-1").exists()
    store.drop_scratch("run-1")


def test_leftovers_of_this_run_are_swept_and_those_of_others_kept(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    stage = tmp_path / "runs" / "data"
    mine, other = stage / ".run-1.0123456789ab.tmp", stage / ".run-2.0123456789ab.tmp"
    for left in (mine, other):
        left.mkdir(parents=True)
        (left / "half").write_text("half")
    make(store)
    assert not mine.exists()
    assert other.exists()


@pytest.mark.parametrize(
    "artifact",
    [
        Profile(problem="p", task="classification", labels=("a", "b")),
        Checkpoint(
            base="base-1",
            base_path="/m",
            base_revision="r",
            strategy={"use": "lora"},
            trainable=1,
            steps=1,
            epochs=1.0,
            seed=0,
            loss_first=2.0,
            loss_last=1.0,
            chat_template_hash="h",
            seconds=1.0,
            tokens_per_second=1.0,
            peak_memory_gb=1.0,
        ),
    ],
)
def test_every_kind_of_artifact_comes_back_as_it_was(tmp_path: Path, artifact: Artifact) -> None:
    store = RunStore(tmp_path)
    made = make(store, work=writing(artifact=artifact))
    assert store.find("run-1") == made
    ours = {"id", "run", "inputs"}
    assert made.model_dump(exclude=ours) == artifact.model_dump(exclude=ours)


def test_a_file_that_is_no_database_is_a_problem_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "records.db").write_bytes(b"not a database " * 1000)
    with pytest.raises(UserError) as caught:
        RunStore(tmp_path)
    assert caught.value.problems[0].code == "broken-database"
    assert "backup" in caught.value.problems[0].hint


@pytest.mark.parametrize("url", ["not a url", "nosuchbase://x/y"])
def test_a_bad_database_address_is_a_problem(tmp_path: Path, url: str) -> None:
    with pytest.raises(UserError) as caught:
        RunStore(tmp_path, url=url)
    assert caught.value.problems[0].code == "bad-database-url"


def test_a_home_that_cannot_be_written_to_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as caught:
        RunStore(tmp_path / "file" / "home")
    assert caught.value.problems[0].code == "unwritable-home"


def test_a_home_that_was_moved_opens_with_its_paths(tmp_path: Path) -> None:
    """Paths inside the home move with it; others, and texts that only look alike, stay as they are."""
    here, there = tmp_path / "here", tmp_path / "there"
    adapter = here / "runs" / "tune" / "run-0" / "adapter"
    expert = Expert(
        checkpoint="ckpt-1",
        base_path=str(tmp_path / "here-not" / "model"),
        adapter_path=str(adapter),
        reasoning={"use": "direct", "files": [str(here), "/here", f"see {here}"]},
    )
    made = make(RunStore(here), work=writing(artifact=expert))
    assert made.model_dump(include={"base_path", "adapter_path", "reasoning"}) == expert.model_dump(
        include={"base_path", "adapter_path", "reasoning"}
    )
    shutil.move(here, there)
    moved = RunStore(there).verify("run-1")
    assert isinstance(moved, Expert)
    assert moved.id == made.id
    assert moved.adapter_path == str(there / "runs" / "tune" / "run-0" / "adapter")
    assert moved.base_path == expert.base_path
    assert moved.reasoning["files"] == [str(there), "/here", f"see {here}"]


def test_a_project_that_was_moved_opens_with_the_paths_inside_it(tmp_path: Path) -> None:
    """A model folder beside `.tunesmith` moves with the project; one outside the project stays where it is."""
    here, there = tmp_path / "here", tmp_path / "there"
    expert = Expert(checkpoint="ckpt-1", base_path=str(here / "model"), adapter_path=str(tmp_path / "elsewhere"))
    made = make(RunStore(here / ".tunesmith"), work=writing(artifact=expert))
    assert isinstance(made, Expert) and made.base_path == expert.base_path
    shutil.move(here, there)
    moved = RunStore(there / ".tunesmith").verify("run-1")
    assert isinstance(moved, Expert)
    assert (moved.id, moved.base_path, moved.adapter_path) == (made.id, str(there / "model"), expert.adapter_path)
