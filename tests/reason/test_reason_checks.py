"""What each check finds, by example."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tunesmith.core.errors import UserError
from tunesmith.core.protocols import Conversation
from tunesmith.core.types import Answer, Message
from tunesmith.reason.chains import Chain
from tunesmith.reason.checking import verdicts
from tunesmith.reason.checks.citation import Citation
from tunesmith.reason.checks.coverage import Coverage
from tunesmith.reason.checks.graph import Graph
from tunesmith.reason.checks.judge import Judge
from tunesmith.reason.checks.premises import Premises
from tunesmith.reason.checks.process_reward import ProcessReward
from tunesmith.reason.checks.round_trip import RoundTrip
from tunesmith.reason.checks.schema import Schema
from tunesmith.reason.checks.units import Units
from tunesmith.reason.shelf import Check
from tunesmith.reason.step_head import StepHead, features


def asked(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


def said(check: Check, text: str, question: str = "", conclusion: str | None = None) -> list[tuple[str, str]]:
    chain = Chain(answer=Answer(text=text), source="test", conclusion=conclusion)
    return [(finding.verdict, finding.detail) for finding in check.look(asked(question), chain)]


def words(check: Check, text: str, question: str = "", conclusion: str | None = None) -> list[str]:
    return [verdict for verdict, _ in said(check, text, question, conclusion)]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("3 hours - 80 minutes = 77 minutes", "against"),
        ("3 hours - 80 minutes = 100 minutes", "for"),
        ("So it is 2 feet = 24 inches long.", "for"),
        ("2 feet = 20 inches", "against"),
        ("1 hour 30 minutes = 90 minutes", "for"),
        ("He mixes 500 ml + 1 liter = 1.5 liters of milk", "for"),
        ("1.5 kg = 150 g", "against"),
    ],
)
def test_units(text: str, verdict: str) -> None:
    pytest.importorskip("pint")
    assert words(Units(), text) == [verdict]


@pytest.mark.parametrize(
    "text", ["60 miles = 1 hour", "3 apples + 4 pears = 7 fruits", "2 feet + 3 feet = 6 feet", "5 points = 3 in", "x"]
)
def test_units_leaves_alone_what_is_not_one_kind_in_two_units(text: str) -> None:
    pytest.importorskip("pint")
    assert words(Units(), text) == []


def test_premises_and_coverage() -> None:
    question = "A robe takes 6 bolts of blue fiber and half that much white fiber. How many bolts do 8 robes take?"
    good = "6/2 = 3 bolts of white.\n6 + 3 = 9 bolts.\n8 * 9 = 72"
    assert words(Premises(), good, question) == ["for"] and words(Coverage(), good, question) == ["for"]
    assert said(Premises(), "6 * 17 = 102", question) == [
        ("against", "17 comes from nowhere"),
    ]
    assert said(Coverage(), "6/2 = 3, 6 + 3 = 9", question) == [("against", "8 is given and not used")]
    assert words(Premises(), good, "How many?") == [] and words(Coverage(), "no idea", question) == []


def test_the_form_of_an_answer() -> None:
    check = Schema(form="json", fields={"dose": "number", "unit": "string"})
    assert words(check, '{"dose": 5, "unit": "mg"}') == ["for"]
    assert words(check, '```json\n{"dose": 5, "unit": "mg"}\n```') == ["for"]
    assert said(check, '{"dose": true}') == [("against", "'unit' is missing, 'dose' is no number")]
    assert words(check, "5 mg") == ["against"] and words(check, "[" * 100_000) == ["against"]
    assert words(Schema(form="label", choices=("good", "bad")), "good") == ["for"]
    assert words(Schema(form="option", choices=("a", "b")), "(C)") == ["against"]


def test_citations() -> None:
    question = "[1] The policy covers water damage only.\n[2] Claims end after 30 days.\nIs fire covered?"
    text = 'It "covers water damage only" [1], and "claims end after 60 days" [3]. The "policy" says so.'
    assert words(Citation(), text, question) == ["for", "for", "against", "against"]
    assert words(Citation(), "see [9]", "no passages here") == []


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    rows = [
        ("pneumonia", "be treated with", "amoxicillin", False, False, 0.9),
        ("influenza", "be treated with", "antibiotics", True, False, 0.9),
        ("cholera", "be caused by", "vibrio", False, False, 0.9),
        ("malaria", "be caused by", "plasmodium", False, False, 0.9),
        ("malaria", "be treated with", "gin", False, True, 0.9),
        ("malaria", "be treated with", "tonic", False, False, 0.1),
    ]
    names = ("subject", "relation", "object", "negated", "hedged", "confidence")
    path = tmp_path / "graph.parquet"
    pq.write_table(pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows]), path)
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Pneumonia is treated with amoxicillin.", ["for"]),
        ("Pneumonia is not treated with amoxicillin.", ["against"]),
        ("Influenza was treated with antibiotics.", ["against"]),
        ("Influenza is never treated with antibiotics.", ["for"]),
        ("Cholera is caused by plasmodium.", ["against"]),
        ("Cholera is caused by dirty water.", []),
        ("Malaria is treated with gin or tonic.", []),
        ("Pneumonias amoxicillins.", []),
    ],
)
def test_the_knowledge_graph(graph: Path, text: str, expected: list[str]) -> None:
    assert words(Graph(path=str(graph), functional=("be caused by",)), text) == expected


def test_a_graph_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no knowledge graph"):
        words(Graph(path=str(tmp_path / "none.parquet")), "x")
    (tmp_path / "broken.parquet").write_text("no parquet")
    with pytest.raises(UserError, match="does not hold triples"):
        words(Graph(path=str(tmp_path / "broken.parquet")), "x")


class Scripted:
    """Answers by a function of the last message, and keeps what it was asked."""

    name = "scripted"

    def __init__(self, **words: str) -> None:
        self.words = words
        self.asked: list[str] = []

    def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        self.asked += [conversation[-1].content for conversation in conversations]
        texts = [conversation[-1].content for conversation in conversations]
        return [Answer(text=next((say for word, say in self.words.items() if word in text), "hm")) for text in texts]


def test_a_judge_sees_each_step_with_those_before_it() -> None:
    model = Scripted(banana="No.", apple="Yes, it is.")
    check = Judge().asking(model)
    assert words(check, "take an apple\nthen sing", "why?") == ["for", "for"]
    assert "(none)" in model.asked[0] and model.asked[1].count("take an apple") == 1
    assert words(check, "sing\neat a banana", "why?") == ["silent", "against"]
    assert len(words(Judge(at_most=1).asking(model), "a\nb\nc")) == 1


def test_a_round_trip_hides_each_number() -> None:
    model = Scripted(**{"has X apples": "X = 12", "gives X away": "it must be 6"})
    check = RoundTrip().asking(model)
    question = "Ann has 12 apples and gives 5 away. How many are left?"
    assert said(check, "7", question, conclusion="7") == [
        ("for", "12 came back as 12"),
        ("against", "5 came back as 6"),
    ]
    assert all("is 7." in text for text in model.asked)
    assert words(check, "7", question) == []


def test_a_head_learns_what_wrong_steps_look_like(tmp_path: Path) -> None:
    question = asked("Ann has 12 apples and gives 5 away.")
    rows = [(f"{n} + 5 = {n + 5 + (n % 2)} apples", n % 2 == 0) for n in range(12, 52)]
    steps = [(features(question, text)[0][1], right) for text, right in rows]
    head = StepHead.fit([row for row, _ in steps], [right for _, right in steps], strength=10.0)
    head.save(tmp_path / "head.json")
    check = ProcessReward(path=str(tmp_path / "head.json"), against_below=0.5, for_above=0.5)
    assert words(check, "60 + 5 = 65 apples\n60 + 5 = 66 apples") == ["for", "against"]
    with pytest.raises(UserError, match="same label"):
        StepHead.fit([[1.0]], [True])
    (tmp_path / "other.json").write_text('{"weights": [1]}')
    with pytest.raises(UserError, match="holds no head"):
        words(ProcessReward(path=str(tmp_path / "other.json")), "x")
    with pytest.raises(UserError, match="must rise"):
        ProcessReward(path="", against_below=0.9)


def test_one_finding_against_is_the_chains_verdict() -> None:
    chain = Chain(answer=Answer(text="2 + 2 = 4\n2 + 2 = 5"), source="test")
    from tunesmith.reason.checks.arithmetic import Arithmetic

    found = chain.model_copy(update={"findings": tuple(Arithmetic().look([], chain))})
    assert verdicts(found) == {"arithmetic": "against"}
