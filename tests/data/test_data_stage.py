from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunesmith.core.errors import UserError
from tunesmith.core.events import Event, Events
from tunesmith.core.examples import read_examples
from tunesmith.core.ids import digest_file, digest_folder
from tunesmith.core.protocols import Context
from tunesmith.core.types import Profile, Reason, Snapshot
from tunesmith.data import stage
from tunesmith.data.label.agreement import Agreement, Estimate
from tunesmith.data.label.card import write_card
from tunesmith.data.spec import DataSpec

TABLE = {"use": "table", "template": "Case: {text}", "answer": "label"}
LABELS = ("good", "bad")


def texts(n: int, seed: int = 1) -> list[str]:
    """`n` texts of five random words: no two of them near."""
    draw = random.Random(seed)
    return [" ".join("".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(5)) for _ in range(n)]


def write(root: Path, name: str, rows: Iterable[tuple[str, str]]) -> None:
    lines = [json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n" for text, label in rows]
    (root / name).write_text("".join(lines), encoding="utf-8")


def labelled(questions: list[str]) -> list[tuple[str, str]]:
    return [(text, LABELS[i % 2]) for i, text in enumerate(questions)]


def context(root: Path, *, events: Events | None = None, seed: int = 1) -> Context:
    """What a stage is given; it asks no model."""
    out = root / "out"
    out.mkdir(exist_ok=True)

    def nobody(_: Any) -> Any:
        raise NotImplementedError

    return Context(root=root, out=out, scratch=root, events=events or Events(), seed=seed, run="run-1", open=nobody)


def run(root: Path, section: dict[str, Any], *, labels: tuple[str, ...] = LABELS, seed: int = 1) -> Snapshot:
    """Run the stage in `root` and open its snapshot as the run store would."""
    profile = Profile(problem="p", task="classification", labels=labels)
    spec = DataSpec.model_validate(section)
    assert stage.check(spec, root) == []
    given = context(root, seed=seed)
    return stage.run(spec, profile=profile, context=given).model_copy(update={"folder": given.out})


def reason(snapshot: Snapshot, code: str) -> Reason:
    (verdict,) = snapshot.gates
    assert verdict.gate == "G1"
    return next(r for r in verdict.reasons if r.code == code)


def test_a_clean_table_passes(tmp_path: Path) -> None:
    """600 rows, 80/10/10: 480, 60 and 60; five reasons and label coverage, all passed and told."""
    write(tmp_path, "rows.jsonl", labelled(texts(600)))
    snapshot = run(tmp_path, {"sources": [{**TABLE, "path": "rows.jsonl"}]})
    assert snapshot.splits == {"train": 480, "valid": 60, "test": 60}
    assert (snapshot.rows_in, snapshot.kept, snapshot.dropped, snapshot.groups) == (600, 600, {}, 600)
    assert snapshot.gates[0].verdict == "passed"
    assert [r.code for r in snapshot.gates[0].reasons] == [
        "train-test-leak",
        "dropped-rows",
        "unknown-labels",
        "empty-split",
        "too-few-test-rows",
        "label-coverage",
    ]
    assert len(read_examples(snapshot.file("examples.parquet"), "test")) == 60


def test_seven_percent_of_the_test_rows_planted_into_training_fail_g1(tmp_path: Path) -> None:
    """PAIN 25. 37 of 520 test rows are 7.1 %; each copy wears other case, space or width than its original.

    Of the wide spaces of every fourth copy, 9 in all, cleaning makes plain ones: those stand there verbatim.
    """
    train, test = texts(600, seed=1), texts(520, seed=2)
    clothes = [str.upper, lambda t: f"  {t}.", lambda t: t.replace(" ", "\u3000"), str.title]
    leaked = [clothes[i % 4](text) for i, text in enumerate(test[:37])]
    write(tmp_path, "train.jsonl", labelled(train + leaked))
    write(tmp_path, "test.jsonl", labelled(test))
    sources = [{**TABLE, "path": f"{split}.jsonl", "split": split} for split in ("train", "test")]
    snapshot = run(tmp_path, {"sources": sources})
    assert snapshot.splits == {"train": 637, "valid": 0, "test": 520}  # told, not repaired
    found = reason(snapshot, "train-test-leak")
    assert found.verdict == "failed"
    assert found.message.startswith("37 of 520 test rows (7.1%) also stand in the training split: test.jsonl:3 and ")
    assert found.evidence["test"]["exact"] == 37
    assert found.evidence["test"]["kinds"]["verbatim"] == 9
    assert found.evidence["test"]["pairs"][0]["train"] == "train.jsonl:603"
    assert snapshot.gates[0].stops
    assert [r.code for r in snapshot.gates[0].reasons if r.verdict == "failed"] == ["train-test-leak"]


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, "rows.jsonl", labelled([*texts(150), *texts(20), "</p>", "schÃ¶n<br>"]))
        section = {"sources": [{**TABLE, "path": "rows.jsonl"}], "clean": [{"use": "unicode"}, {"use": "html"}]}
        run(tmp_path / name, {**section, "at_most_rows": {"train": 50}})
    assert digest_folder(tmp_path / "one" / "out") == digest_folder(tmp_path / "two" / "out")


def test_a_row_that_is_emptied_and_one_that_is_mended_are_told(tmp_path: Path) -> None:
    write(tmp_path, "rows.jsonl", [("<p>x</p>", "good"), *labelled(texts(200)), ("y", "<br>")])
    section = {"sources": [{**TABLE, "path": "rows.jsonl"}], "clean": [{"use": "html"}]}
    snapshot = run(tmp_path, section, labels=())
    assert snapshot.changed == {"clean.html": 1}
    assert snapshot.dropped == {"empty-after-cleaning": 1}
    (drop,) = [json.loads(line) for line in snapshot.file("drops.jsonl").read_text(encoding="utf-8").splitlines()]
    assert drop == {
        "place": "rows.jsonl:202",
        "step": "clean.html",
        "reason": "empty-after-cleaning",
        "detail": "<br>",
        "fate": "dropped",
        "byte": (tmp_path / "rows.jsonl").read_bytes().rindex(b'{"text": "y"'),
    }


def test_unreadable_rows_end_the_run_with_the_first_five_places(tmp_path: Path) -> None:
    """PAINS 12, 13: six broken lines among 200; the problem counts six and names five with their lines."""
    write(tmp_path, "rows.jsonl", labelled(texts(200)))
    with (tmp_path / "rows.jsonl").open("ab") as file:
        file.write(b'{"text": \n' * 6)
    with pytest.raises(UserError) as caught:
        run(tmp_path, {"sources": [{**TABLE, "path": "rows.jsonl"}]})
    summary, *rows = caught.value.problems
    assert summary.code == "broken-rows"
    assert "6 of 206 rows (2.9%) cannot be read" in summary.message
    assert summary.hint == "mend them, or set data.limits.broken: 0.03"
    assert [(p.code, p.path, p.line) for p in rows] == [("broken-json", "rows.jsonl", n) for n in range(201, 206)]
    assert list((tmp_path / "out").iterdir()) == []  # nothing half-written
    snapshot = run(tmp_path, {"sources": [{**TABLE, "path": "rows.jsonl"}], "limits": {"broken": 0.03}})
    assert snapshot.dropped == {"broken-json": 6}


def test_answers_outside_the_labels_end_the_run_with_the_nearest_label(tmp_path: Path) -> None:
    write(tmp_path, "rows.jsonl", [*labelled(texts(99)), ("x", "goood")])
    section: dict[str, Any] = {"sources": [{**TABLE, "path": "rows.jsonl"}]}
    with pytest.raises(UserError) as caught:
        run(tmp_path, section)
    summary, row = caught.value.problems
    assert summary.code == "unknown-labels"
    assert "data.limits.unknown_labels: 0.01" in summary.hint
    assert (row.path, row.line) == ("rows.jsonl", 100)
    assert "did you mean 'good'?" in row.message
    snapshot = run(tmp_path, {**section, "limits": {"unknown_labels": 0.01}})
    assert snapshot.dropped == {"unknown-label": 1}
    assert reason(snapshot, "unknown-labels").verdict == "passed"


def test_no_row_left_is_the_users_problem_and_says_why(tmp_path: Path) -> None:
    write(tmp_path, "rows.jsonl", [("x", "other")] * 3)
    with pytest.raises(UserError, match=r"no row is left of 3: unknown-label 3"):
        run(tmp_path, {"sources": [{**TABLE, "path": "rows.jsonl"}], "limits": {"unknown_labels": 1.0}})


def test_too_many_dropped_rows_fail_g1(tmp_path: Path) -> None:
    """20 of 200 rows have an empty answer: 10 % are above the limit of 5 %."""
    write(tmp_path, "rows.jsonl", [*labelled(texts(180)), *((t, "") for t in texts(20, seed=9))])
    snapshot = run(tmp_path, {"sources": [{**TABLE, "path": "rows.jsonl"}]})
    found = reason(snapshot, "dropped-rows")
    assert (found.verdict, found.evidence["dropped"]) == ("failed", {"empty-answer": 20})


def test_duplicates_and_caps_are_choices_and_not_losses(tmp_path: Path) -> None:
    rows = labelled(texts(200))
    write(tmp_path, "rows.jsonl", rows + rows[:100])
    snapshot = run(tmp_path, {"sources": [{**TABLE, "path": "rows.jsonl"}], "at_most_rows": {"train": 60}})
    assert snapshot.dropped == {"exact-duplicate": 100, "over-cap": 100}
    assert snapshot.splits == {"train": 60, "valid": 20, "test": 20}
    assert reason(snapshot, "dropped-rows").verdict == "passed"
    sheet = json.loads(snapshot.file("datasheet.json").read_text(encoding="utf-8"))
    assert sheet["splits"]["train"] == {"rows": 60, "asked": 0.8, "reached": 0.8}


@pytest.mark.parametrize("setting", ["keep", "aside"])
def test_rows_that_contradict_each_other_are_counted_or_set_aside(setting: str, tmp_path: Path) -> None:
    """200 rows; of the first 30 another copy says the other label, of the next 10 one says the same."""
    rows = labelled(texts(200))
    against = [(text.upper(), LABELS[1 - LABELS.index(label)]) for text, label in rows[:30]]
    write(tmp_path, "rows.jsonl", [*rows, *against, *rows[30:40]])
    section = {"sources": [{**TABLE, "path": "rows.jsonl"}], "duplicates": {"contradicting": setting}}
    snapshot = run(tmp_path, section)
    sheet = json.loads(snapshot.file("datasheet.json").read_text(encoding="utf-8"))
    if setting == "keep":
        assert (snapshot.kept, snapshot.dropped, sheet["contradictions"]) == (230, {"exact-duplicate": 10}, 30)
        return
    assert snapshot.kept == 170 and snapshot.dropped == {"contradicting": 60, "exact-duplicate": 10}
    assert sheet["contradictions"] == 0 and reason(snapshot, "dropped-rows").verdict == "passed"
    assert len(list(read_examples(snapshot.file("aside.parquet")))) == 60


def test_general_rows_are_kept_apart_from_the_domain(tmp_path: Path) -> None:
    """600 rows of the domain beside 900 general ones: split 80/10/10 as if these were not there.

    General answers are free text: no unknown labels, no part in the label table, in shares or in stratification.
    """
    write(tmp_path, "rows.jsonl", labelled(texts(600)))
    write(tmp_path, "general.jsonl", [(text, f"answer {i}") for i, text in enumerate(texts(900, seed=7))])
    sources = [{**TABLE, "path": "rows.jsonl"}, {**TABLE, "path": "general.jsonl", "split": "general"}]
    snapshot = run(tmp_path, {"sources": sources, "at_most_rows": {"general": 800}})
    assert snapshot.splits == {"train": 480, "valid": 60, "test": 60, "general": 800}
    assert snapshot.dropped == {"over-cap": 100}
    assert snapshot.gates[0].verdict == "passed"
    assert all(e.split == "general" for e in read_examples(snapshot.file("examples.parquet"), "general"))
    kept = read_examples(snapshot.file("examples.parquet"), "test")
    assert sorted(e.reference for e in kept) == ["bad"] * 30 + ["good"] * 30
    sheet = json.loads(snapshot.file("datasheet.json").read_text(encoding="utf-8"))
    assert sheet["splits"]["train"] == {"rows": 480, "asked": 0.8, "reached": 0.8}
    assert sheet["splits"]["general"] == {"rows": 800, "asked": None, "reached": None}
    assert set(sheet["labels"]["train"]) == {"good", "bad"}


def test_a_test_question_among_the_general_rows_is_a_leak(tmp_path: Path) -> None:
    """General rows are trained on: 3 of 60 ready-made test questions stand there."""
    test = texts(60, seed=2)
    write(tmp_path, "train.jsonl", labelled(texts(100)))
    write(tmp_path, "test.jsonl", labelled(test))
    write(tmp_path, "general.jsonl", [(text.upper(), "anything") for text in test[:3]])
    sources = [{**TABLE, "path": f"{split}.jsonl", "split": split} for split in ("train", "test", "general")]
    found = reason(run(tmp_path, {"sources": sources}), "train-test-leak")
    assert found.verdict == "failed"
    assert found.evidence["test"]["exact"] == 3
    assert found.evidence["test"]["pairs"][0]["train"] == "general.jsonl:1"


def test_a_domain_row_that_also_stands_among_the_general_rows_is_never_held_out(tmp_path: Path) -> None:
    """The splitter deals it to training, so no leak is made; and general rows alone are no training data."""
    own = texts(200)
    write(tmp_path, "rows.jsonl", labelled(own))
    write(tmp_path, "general.jsonl", [(text, "anything") for text in own[:40]])
    sources = [{**TABLE, "path": "rows.jsonl"}, {**TABLE, "path": "general.jsonl", "split": "general"}]
    snapshot = run(tmp_path, {"sources": sources})
    assert reason(snapshot, "train-test-leak").verdict == "passed"
    shared = {f"rows.jsonl:{number}" for number in range(1, 41)}
    kept = read_examples(snapshot.file("examples.parquet"))
    assert {e.split for e in kept if e.place in shared} == {"train"}
    alone = run(tmp_path, {"sources": sources[1:]})
    assert reason(alone, "empty-split").evidence["empty"] == ["train", "test"]


def test_many_general_rows_do_not_make_the_domains_template_look_like_content(tmp_path: Path) -> None:
    """120 short rows in a long template, 600 general rows: no domain row is near another one, as without these."""
    template = "Please look at the following case with care, think of all that you have learnt about cases of this "
    template += "kind, of the rules that were agreed upon, and of what follows from them, and say what it is: {text}"
    write(tmp_path, "rows.jsonl", labelled([text[:8] for text in texts(120)]))
    write(tmp_path, "general.jsonl", [(text, "anything") for text in texts(600, seed=7)])
    own = {**TABLE, "path": "rows.jsonl", "template": template, "system": "Answer good or bad, nothing else."}
    general = {**TABLE, "path": "general.jsonl", "template": "{text}", "split": "general"}
    assert run(tmp_path, {"sources": [own, general]}).dropped == {}


def test_few_test_rows_are_unknown_and_unknown_is_not_passed(tmp_path: Path) -> None:
    write(tmp_path, "rows.jsonl", labelled(texts(100)))
    snapshot = run(tmp_path, {"sources": [{**TABLE, "path": "rows.jsonl"}]})
    assert reason(snapshot, "too-few-test-rows").verdict == "unknown"
    assert snapshot.gates[0].verdict == "unknown"


def test_a_label_that_nobody_trains_on_and_an_empty_split_fail_g1(tmp_path: Path) -> None:
    write(tmp_path, "rows.jsonl", [(t, "good") for t in texts(60)])
    snapshot = run(tmp_path, {"sources": [{**TABLE, "path": "rows.jsonl", "split": "train"}]})
    assert reason(snapshot, "label-coverage").evidence["missing"] == ["bad"]
    assert reason(snapshot, "empty-split").evidence["empty"] == ["test"]
    assert {r.code for r in snapshot.gates[0].reasons if r.verdict == "failed"} == {"label-coverage", "empty-split"}


def test_the_datasheet_says_what_a_reader_must_know(tmp_path: Path) -> None:
    write(tmp_path, "rows.jsonl", [*labelled(texts(100)), ("twice", "good"), ("twice", "bad")])
    source = {**TABLE, "path": "rows.jsonl", "target": "label", "attributes": ["label"]}
    snapshot = run(tmp_path, {"sources": [source], "duplicates": {"near": None}})
    sheet = json.loads(snapshot.file("datasheet.json").read_text(encoding="utf-8"))
    assert sheet["sources"][0]["digests"] == {"rows.jsonl": digest_file(tmp_path / "rows.jsonl")}
    assert sheet["sources"][0]["notes"] == {"format: jsonl table": 102}
    assert sum(sheet["labels"]["train"].values()) == snapshot.splits["train"]
    assert set(sheet["attributes"]["label"]["train"]) == {"good", "bad"}
    assert sheet["contradictions"] == 1
    assert "no licence is stated for rows.jsonl (set `licence:` on the source)" in sheet["known_gaps"]
    assert any("near-duplicates were not looked for" in gap for gap in sheet["known_gaps"])
    text = snapshot.file("datasheet.md").read_text(encoding="utf-8")
    assert "| rows.jsonl | 102 | not stated | not stated | format: jsonl table (102) |" in text


def test_what_was_detected_is_told_while_reading(tmp_path: Path) -> None:
    heard: list[Event] = []
    (tmp_path / "rows.json").write_text(json.dumps([{"instruction": "q", "output": "a"}] * 3), encoding="utf-8")
    spec = DataSpec.model_validate({"sources": [{"use": "conversations", "path": "rows.json"}]})
    stage.run(
        spec, profile=Profile(problem="p", task="generation"), context=context(tmp_path, events=Events(heard.append))
    )
    assert "rows.json: 3 rows; format: alpaca (3)" in [e.message for e in heard]
    assert any(e.kind == "progress" and e.data["done"] == 3 for e in heard)


def test_everything_wrong_with_the_section_is_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, "rows.jsonl", labelled(texts(3)))
    section = {
        "sources": [
            {"use": "tabel", "path": "rows.jsonl"},
            {"use": "table", "path": "absent.jsonl", "template": "{x}", "answer": "y"},
            {"use": "table", "path": "rows.jsonl", "template": "{text", "answer": "label"},
            {**TABLE, "path": "rows.jsonl", "answer": "lable", "splt": "train"},
            {**TABLE, "path": "rows.jsonl", "answer": "lable"},
        ],
        "clean": [{"use": "unicod"}],
        "split": {"train": 0.0, "valid": 0.0, "test": 0.0},
    }
    found = [(p.code, p.path) for p in stage.check(DataSpec.model_validate(section), tmp_path)]
    assert found == [
        ("wrong-value", "data.split"),
        ("unknown-component", "data.clean[0]"),
        ("unknown-component", "data.sources[0]"),
        ("missing-file", "absent.jsonl"),
        ("broken-template", "data.sources[2].template"),
        ("unknown-key", "data.sources[3].splt"),
        ("missing-column", "rows.jsonl"),
    ]


def test_no_sources(tmp_path: Path) -> None:
    assert [p.code for p in stage.check(DataSpec(), tmp_path)] == ["no-sources"]


def test_a_changed_source_file_changes_what_the_stage_depends_on(tmp_path: Path) -> None:
    spec = DataSpec.model_validate({"sources": [{**TABLE, "path": "rows.jsonl"}]})
    write(tmp_path, "rows.jsonl", labelled(texts(3)))
    before = stage.outside(spec, tmp_path)
    write(tmp_path, "rows.jsonl", labelled(texts(4)))
    assert before != stage.outside(spec, tmp_path)
    assert set(before) == {"rows.jsonl"}


LINES = st.one_of(
    st.builds(
        lambda text, label: json.dumps({"text": text, "label": label}).encode(),
        st.sampled_from([*texts(6), "", "a", "A", "<br>", "\u200b"]),
        st.sampled_from(["good", "bad", "other", "", None]),
    ),
    st.sampled_from([b"{", b"[]", b"\xff", b"\0", b'{"text": 1}', b""]),
)


@given(
    lines=st.lists(LINES, min_size=1, max_size=16), split=st.booleans(), cap=st.integers(0, 10), seed=st.integers(0, 2)
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_in_are_rows_kept_plus_rows_dropped(
    tmp_path: Path, lines: list[bytes], split: bool, cap: int, seed: int
) -> None:
    """Counted from outside: lines that are not blank = rows of the Parquet file + lines of the drop ledger."""
    (tmp_path / "rows.jsonl").write_bytes(b'{"text": "first", "label": "good"}\n' + b"\n".join(lines))
    section = {
        "sources": [{**TABLE, "path": "rows.jsonl", **({"split": "train"} if split else {})}],
        "clean": [{"use": "unicode"}, {"use": "html"}],
        "at_most_rows": {"train": cap},
        "limits": {"broken": 1.0, "unknown_labels": 1.0},
    }
    snapshot = run(tmp_path, section, seed=seed)
    written = sum(1 for line in [b"first", *lines] if line)
    kept = read_examples(snapshot.file("examples.parquet"))
    drops = [json.loads(line) for line in snapshot.file("drops.jsonl").read_text(encoding="utf-8").splitlines()]
    assert written == snapshot.rows_in == len(kept) + len(drops)
    assert len({e.place for e in kept} | {d["place"] for d in drops}) == written
    assert sum(snapshot.dropped.values()) == len(drops)
    assert sum(snapshot.splits.values()) == snapshot.kept == len(kept)


def test_labels_that_people_did_not_agree_on_are_refused(tmp_path: Path) -> None:
    """Alpha 0.5 is below 0.667; labels that were edited after they were exported are unknown; the card is part of
    what a run depends on."""
    write(tmp_path, "rows.jsonl", labelled(texts(40)))
    file = tmp_path / "rows.jsonl"
    alpha = Estimate(value=0.5, low=0.4, high=0.6, rows=40)
    write_card(file, queue="triage", found=Agreement("nominal", alpha, kappas=(), rows=40, unanimous=20))
    section = {"sources": [{**TABLE, "path": "rows.jsonl"}]}
    found = reason(run(tmp_path, section), "label-agreement")
    assert found.verdict == "failed" and "0.5" in found.message
    allowed = {**section, "limits": {"agreement": 0.4}}
    assert reason(run(tmp_path, allowed), "label-agreement").verdict == "passed"
    assert "rows.jsonl.agreement.json" in stage.outside(DataSpec.model_validate(section), tmp_path)
    file.write_text(file.read_text() + '{"text": "one more", "label": "good"}\n')
    assert reason(run(tmp_path, allowed), "label-agreement").verdict == "unknown"


def test_tasks_that_must_be_there_are_counted_and_drawn(tmp_path: Path) -> None:
    """40 sentences to translate are no summaries."""
    rows = [(f"Translate into French: {text}.", text) for text in texts(60)]
    write(tmp_path, "rows.jsonl", rows)
    source = {"use": "table", "path": "rows.jsonl", "template": "{text}", "answer": "label"}
    section = {"sources": [source], "tasks": {"must": {"translation": 20}}}
    snapshot = run(tmp_path, section, labels=())
    assert reason(snapshot, "task-coverage").verdict == "passed"
    assert (tmp_path / "out" / "tasks.html").is_file()
    assert json.loads((tmp_path / "out" / "datasheet.json").read_text())["tasks"]["tasks"]["translation"] == 48
    lacking = {**section, "tasks": {"must": {"summarisation": 5, "translation": 20}}}
    told = reason(run(tmp_path, lacking, labels=()), "task-coverage")
    assert told.verdict == "failed" and "summarisation 0 of 5" in told.message
    (problem,) = stage.check(DataSpec.model_validate({**section, "tasks": {"must": {"translatoin": 2}}}), tmp_path)
    assert problem.path == "data.tasks.must"
