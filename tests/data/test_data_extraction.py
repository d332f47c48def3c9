"""From rows to graph, files, counts and new rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import UserError
from tunesmith.core.events import Events
from tunesmith.core.protocols import Context
from tunesmith.core.spec import Use
from tunesmith.core.types import Example, Message, Profile
from tunesmith.data import stage
from tunesmith.data.knowledge.extraction import extracted
from tunesmith.data.knowledge.spec import Links
from tunesmith.data.knowledge.store import read_parquet
from tunesmith.data.spec import DataSpec

USES = [Use.model_validate({"use": "patterns", "domain": "medical", "language": language}) for language in ("en", "zh")]


def row(text: str, split: str = "train", answer: str = "ok") -> Example:
    messages = (Message(role="user", content=text), Message(role="assistant", content=answer))
    return Example.model_validate(
        {"id": f"ex-{text[:9]}", "messages": messages, "split": split, "place": f"f:{text[:5]}"}
    )


ROWS = [
    row("Fever suggests influenza."),
    row("What is it?", answer="Gout is treated with colchicine. Gout is not treated with rest."),
    row("肺炎的症状包括发热。"),
    row("Nothing."),
]


@dataclass
class Made:
    told: Any
    out: Path


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Made]:
    def made(rows: list[Example], **links: Any) -> Made:
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        nothing: Any = None
        context = Context(
            root=tmp_path, out=out, scratch=tmp_path, events=Events(), seed=3, run="run-1", open=nothing
        )  # fmt: skip
        return Made(extracted(rows, USES, Links(**links), context=context), out)

    return made


def test_rows_are_read_and_counted(run: Callable[..., Made]) -> None:
    """Four training rows, one without a triple; facts about fever, colchicine, rest (denied), 肺炎."""
    told = run(ROWS).told
    assert (told["rows_read"], told["rows_without_triples"]) == (4, 1)
    assert (told["facts"], told["negated"], told["by_extractor"]) == (4, 1, {"patterns": 4})


def test_files_lie_beside_the_snapshot_and_say_where_each_fact_stands(run: Callable[..., Made]) -> None:
    made = run(ROWS)
    assert sorted(path.name for path in made.out.iterdir()) == ["graph.graphml", "graph.html", "graph.parquet"]
    (fact,) = read_parquet(made.out / "graph.parquet").query("gout", object="colchicine")
    evidence = fact.triples[0].evidence
    assert (evidence.row, evidence.turn, evidence.place) == ("ex-What is i", 1, "f:What ")
    assert ROWS[1].messages[1].content[evidence.start : evidence.end] == "Gout is treated with colchicine."


def test_the_same_rows_give_the_same_bytes(run: Callable[..., Made]) -> None:
    first = {path.name: path.read_bytes() for path in run(ROWS).out.iterdir()}
    assert {path.name: path.read_bytes() for path in run(ROWS).out.iterdir()} == first


def test_synonyms_and_conflicts_are_told(run: Callable[..., Made], tmp_path: Path) -> None:
    (tmp_path / "names.csv").write_text("name,synonym\nInfluenza,flu\n")
    rows = [row("Fever suggests influenza."), row("Fever suggests flu."), row("Fever suggests gout.")]
    told = run(rows, synonyms="names.csv", functional=["indicate"]).told
    assert (told["facts"], told["conflicts"]) == (2, 1)
    assert told["first_conflicts"] == [["Fever indicate Influenza", "Fever indicate gout"]]


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    from tunesmith.data.knowledge.extraction import opened

    uses = [Use(use="paterns"), Use.model_validate({"use": "patterns", "domain": "medcal"})]
    with pytest.raises(UserError) as error:
        opened(uses, tmp_path)
    assert [problem.code for problem in error.value.problems] == ["unknown-component", "unknown-domain"]


def test_the_stage_writes_the_graph_of_its_training_rows(tmp_path: Path) -> None:
    """Two rows, one of them held out: the graph has the fact of the training row alone."""
    lines = [("Fever suggests influenza.", "train"), ("Rash suggests measles.", "test")]
    for text, split in lines:
        (tmp_path / f"{split}.jsonl").write_text(json.dumps({"text": text, "label": "yes"}) + "\n", encoding="utf-8")
    table = {"use": "table", "template": "{text}", "answer": "label"}
    sources = [{**table, "path": f"{split}.jsonl", "split": split} for _, split in lines]
    spec = DataSpec.model_validate({"sources": sources, "extract": [{"use": "patterns", "domain": "medical"}]})
    assert stage.check(spec, tmp_path) == []
    out = tmp_path / "out"
    out.mkdir()
    nothing: Any = None
    context = Context(root=tmp_path, out=out, scratch=tmp_path, events=Events(), seed=3, run="run-1", open=nothing)
    stage.run(spec, profile=Profile(problem="p", task="classification", labels=("yes", "no")), context=context)
    told = json.loads((out / "datasheet.json").read_text(encoding="utf-8"))["facts"]
    assert (told["rows_read"], told["facts"]) == (1, 1)
    assert {triple.object for triple in read_parquet(out / "graph.parquet").triples()} == {"influenza"}
    wrong = DataSpec.model_validate({"sources": sources, "extract": [{"use": "pattern"}]})
    (problem,) = stage.check(wrong, tmp_path)
    assert problem.path == "data.extract[0]" and "patterns" in problem.hint + problem.message
