"""Laws of every check: deterministic, honest about where, never about the right answer, safe from hostile text."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tunesmith.core.protocols import Conversation
from tunesmith.core.types import Answer, Message
from tunesmith.reason.chains import Chain
from tunesmith.reason.checking import Asks, checked, verdicts, with_model
from tunesmith.reason.shelf import CHECKS, Check
from tunesmith.reason.step_head import WORDS, StepHead

QUESTION = [
    Message(role="user", content='Ann has 12 apples and gives 5 away. She said "keep the red ones". How many are left?')
]
TEXTS = (
    'Ann has 12 - 5 = 7 apples.\nShe said "keep the red ones".\nA: 7',
    "Ann has 12 - 5 = 8 apples, and 33 pears [3]. Aspirin treats fever. 2 feet = 20 inches",
    "",
    "no numbers here",
    "答案是 7。",
)
HOSTILE = (
    "9**9**9 = 1",
    "1e999 = 2",
    "(" * 2000,
    "=" * 2000,
    '"' * 3000,
    "[1]" * 1000,
    "\\frac{" * 500,
    "\x00\ud7ff\uffff",
    "1 + 1 = 2 " * 2000,
)
each_check = pytest.mark.parametrize("name", CHECKS.names())


class Yes:
    """Says yes, and seven, to everything."""

    name = "yes"

    def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        return [Answer(text="yes, 7") for _ in conversations]


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """What checks need that have no default."""
    row = {
        "subject": "aspirin",
        "relation": "treat",
        "object": "fever",
        "negated": False,
        "hedged": False,
        "confidence": 0.9,
    }
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "graph.parquet")
    StepHead((0.1,) * (WORDS + 10), 0.0).save(tmp_path / "head.json")
    return {"graph": {"path": str(tmp_path / "graph.parquet")}, "process_reward": {"path": str(tmp_path / "head.json")}}


def built(name: str, settings: dict[str, dict[str, Any]]) -> list[Check]:
    """The check as it comes from the shelf, and bound to a model where it asks one."""
    if name == "units":
        pytest.importorskip("pint")
    check: Check = CHECKS.build({"use": name, **settings.get(name, {})})
    return [check, *with_model([check], Yes())]


def chain(text: str) -> Chain:
    return Chain(answer=Answer(text=text), source="test", conclusion="7")


@each_check
def test_findings_are_named_placed_and_the_same_again(name: str, settings: dict[str, dict[str, Any]]) -> None:
    for check in built(name, settings):
        for text in TEXTS:
            found = check.look(QUESTION, chain(text))
            assert found == check.look(QUESTION, chain(text))
            for finding in found:
                assert finding.check == name
                assert finding.span is None or 0 <= finding.span[0] <= finding.span[1] <= len(text)


@each_check
def test_they_come_in_the_order_of_the_text(name: str, settings: dict[str, dict[str, Any]]) -> None:
    for check in built(name, settings):
        for text in TEXTS:
            starts = [finding.span[0] for finding in check.look(QUESTION, chain(text)) if finding.span]
            assert starts == sorted(starts)


@each_check
def test_the_conclusion_is_no_evidence_for_itself(name: str, settings: dict[str, dict[str, Any]]) -> None:
    """What a check says without a model rests on the text alone."""
    check = built(name, settings)[0]
    other = chain(TEXTS[0]).model_copy(update={"conclusion": "8"})
    assert check.look(QUESTION, chain(TEXTS[0])) == check.look(QUESTION, other)


@each_check
@pytest.mark.parametrize("place", range(len(HOSTILE)))
def test_hostile_text_is_read_in_time(name: str, place: int, settings: dict[str, dict[str, Any]]) -> None:
    for check in built(name, settings):
        begun = time.process_time()
        check.look(QUESTION, chain(HOSTILE[place]))
        check.look([], chain(HOSTILE[place]))
        assert time.process_time() - begun < 2


@each_check
def test_without_a_model_who_asks_one_is_silent(name: str, settings: dict[str, dict[str, Any]]) -> None:
    check = built(name, settings)[0]
    if isinstance(check, Asks):
        assert check.look(QUESTION, chain(TEXTS[0])) == []
        assert with_model([check], Yes())[0].look(QUESTION, chain(TEXTS[0]))


@each_check
def test_an_unscored_chain_is_left_alone(name: str, settings: dict[str, dict[str, Any]]) -> None:
    unscored = chain(TEXTS[0]).model_copy(update={"unscored": "loop"})
    assert checked(built(name, settings), QUESTION, unscored) == unscored
    looked = checked(built(name, settings)[:1], QUESTION, chain(TEXTS[0]))
    assert set(verdicts(looked)) <= {name}
