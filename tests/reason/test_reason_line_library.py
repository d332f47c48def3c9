"""Solved examples: found, unlike each other, of the same task, and never a held-out row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reason_fakes import Drawer, NoSevens, asked
from tunesmith.core.spec import Use
from tunesmith.core.types import Example, Message, example_id
from tunesmith.reason.held_out import HeldOut, folded
from tunesmith.reason.library import Library, Solved, shown, solved
from tunesmith.reason.line import Job, Line
from tunesmith.reason.paths.auto_cot import AutoCot
from tunesmith.reason.paths.few_shot import FewShot, diverse
from tunesmith.reason.retrieve.lexical import Lexical

QUESTIONS = [
    "How long does a box of bolts last?",
    "How long does a box of nuts last?",
    "What does a credit for a car cost?",
    "How many tablets does the child get?",
]


def entries(task: str = "") -> list[Solved]:
    return [Solved.of(question, f"It is {n}.", task=task) for n, question in enumerate(QUESTIONS)]


def row(question: str, answer: str, system: str = "", reasoning: str | None = None) -> Example:
    messages = (*asked(question, system), Message(role="assistant", content=answer, reasoning=reasoning))
    return Example(id=example_id(messages, None), messages=messages, split="train")


def put(path: FewShot | AutoCot, question: str, library: Library, system: str = "") -> list[Message]:
    job = Job.of(Line(path, library=library), Drawer(lambda c, n: ""), at_most_tokens=9)
    return list(path.put(job, [asked(question, system)])[0])


def test_bm25_of_three_short_examples() -> None:
    """Three examples of two words; `a` stands in one: idf log(1 + 2.5 / 1.5), twice there, length 2 of mean 2.

    tf part 2 * 2.2 / (2 + 1.2) = 1.375, so the only example with a score is the best one, at 1.
    """
    found = Lexical().index(["a a", "b c", "c d"])
    assert found.scores(["a", "c", "x"]).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
    weight = np.log(1 + 2.5 / 1.5) * 1.375
    assert found._weights.max() == pytest.approx(weight)
    assert found.alike([0, 1, 2]).diagonal() == pytest.approx([1.0, 1.0, 1.0])


def test_chinese_is_found_by_its_characters() -> None:
    found = Lexical().index(["患者有发热", "贷款的利息是多少"])
    assert found.scores(["利息多少"]).argmax() == 1


def test_examples_without_words_are_found_by_nothing() -> None:
    assert Lexical().index(["", "?!"]).scores(["a"]).tolist() == [[0.0, 0.0]]


def test_maximal_marginal_relevance() -> None:
    """Scores 1, 0.9, 0.5; the first two are nearly the same. At 0 by score; at 0.5 the third is the second choice:
    0.5 * 0.9 - 0.5 * 0.95 = -0.025 against 0.5 * 0.5 - 0.5 * 0.1 = 0.2.
    """
    scores, alike = np.array([1.0, 0.9, 0.5]), np.array([[1.0, 0.95, 0.1], [0.95, 1.0, 0.1], [0.1, 0.1, 1.0]])
    assert diverse(scores, alike, 2, diversity=0.0) == [0, 1]
    assert diverse(scores, alike, 2, diversity=0.5) == [0, 2]
    assert diverse(scores, alike, 9, diversity=0.5) == [0, 2, 1]


def test_the_likest_example_stands_last_and_the_question_behind_it() -> None:
    turns = put(FewShot(shots=2, diversity=0.0), "How long does a box of screws last?", Library(entries()))
    assert [turn.role for turn in turns] == ["user", "assistant", "user", "assistant", "user"]
    assert {turns[0].content, turns[2].content} == {QUESTIONS[0], QUESTIONS[1]}
    assert turns[4].content == "How long does a box of screws last?"


def test_the_question_itself_is_never_its_own_example() -> None:
    turns = put(FewShot(shots=4), "how long does a box of BOLTS last", Library(entries()))
    assert QUESTIONS[0] not in [turn.content for turn in turns] and len(turns) == 7


def test_examples_are_of_the_same_task() -> None:
    """The task is the system turn; behind it the examples stand."""
    library = Library([*entries("Be brief."), *entries("Be long.")[:1]])
    turns = put(FewShot(shots=4), "A car?", library, system="Be long.")
    assert [turn.role for turn in turns] == ["system", "user", "assistant", "user"]
    assert put(FewShot(), "A car?", library, system="Be odd.")[1].content == "A car?"


def test_fixed_examples_are_the_same_for_all_questions() -> None:
    path, library = FewShot(shots=2, choose="fixed"), Library(entries())
    assert put(path, "A car?", library)[:-1] == put(path, "Tablets?", library)[:-1]


def test_a_held_out_question_is_refused_in_any_dress() -> None:
    """Same words; nearly the same words with the same numbers. Other numbers are another question."""
    held = HeldOut.of(["A patient takes 200 mg of ibuprofen 3 times a day for 5 days. How many tablets?", ""])
    assert len(held) == 1
    assert (
        held.refuses("a patient takes 200 mg of ibuprofen, 3 times a day, for 5 days: how many tablets") == "held-out"
    )
    near = "Question: a patient takes 200 mg of ibuprofen 3 times a day for 5 days. How many tablets is that?"
    assert held.refuses(near) == "near-held-out"
    assert held.refuses(near.replace("200", "400")) == ""
    assert held.refuses("How many tablets?") == ""
    assert HeldOut.of_dict(held.as_dict()).refuses(near) == "near-held-out"
    assert "ibuprofen" not in str(held.as_dict())


def test_words_are_folded() -> None:
    assert folded("Ａ 1,000.5 mg，发热!") == ("a", "1,000.5", "mg", "发", "热")


def test_a_library_grows_by_what_is_new_and_comes_back_from_disk(tmp_path: Path) -> None:
    held = HeldOut.of([QUESTIONS[2]])
    library, refused = Library(held_out=held).grown([*entries(), entries()[0]])
    assert ([entry.question for entry in library.entries], dict(refused)) == (
        [QUESTIONS[0], QUESTIONS[1], QUESTIONS[3]],
        {"held-out": 1, "known": 1},
    )
    library.write(tmp_path)
    again = Library.read(tmp_path)
    assert again.entries == library.entries
    assert again.grown([entries()[2]])[1] == {"held-out": 1}
    assert len(Library.read(tmp_path / "nothing")) == 0


def test_which_rows_are_examples() -> None:
    good = solved(row("Q?", "4", "Be brief.", "2 + 2 = 4"))
    assert good and (good.question, good.solution, good.task) == ("Q?", "2 + 2 = 4\n4", "Be brief.")
    several = row("Q?", "4").model_copy(update={"messages": (*row("Q?", "4").messages,) * 2})
    assert solved(several) is None
    assert solved(row("Q?", "4").model_copy(update={"desirable": False})) is None
    assert shown([], [good])[1].content == "2 + 2 = 4\n4"


def test_auto_cot_keeps_one_sound_chain_of_each_cluster() -> None:
    """Two clusters, of bolts and of credits. The chain of the first bolts question is wrong, that of the first credit
    question has a seven, to which the check objects; the second of each cluster holds.
    """
    rows = [row(f"bolts bolts in box {n}?", f"{n}") for n in (1, 2)] + [
        row(f"credit credit year {n}?", f"{n}") for n in (3, 5)
    ]
    tried: list[str] = []

    def says(conversation: list[Message], number: int) -> str:
        question = conversation[-1].content.partition("\n")[0]
        tried.append(question)
        n = question[-2]
        first = tried.index(question) == 0 or not any(t[:5] == question[:5] for t in tried[: tried.index(question)])
        if question.startswith("bolts"):
            return "The answer is 99" if first else f"Easy. The answer is {n}"
        return f"7 is not it. The answer is {n}" if first else f"Slowly. The answer is {n}"

    path = AutoCot(shots=2, by=Use(use="lexical"))
    line = Line(path, checks=(NoSevens(),), conclude="number")
    made = path.prepare(rows, lambda: Job.of(line, Drawer(says), at_most_tokens=9))  # type: ignore[arg-type]
    assert {one.source for one in made} == {"auto_cot"} and len(made) == 2
    assert {one.solution.split(".")[0] for one in made} == {"Easy", "Slowly"}
    assert len(tried) == 4
    turns = put(path, "bolts?", Library(made))
    assert len(turns) == 5 and "Think step by step" in turns[-1].content


def test_nothing_is_solved_where_there_are_no_rows() -> None:
    def never() -> Job:
        raise AssertionError("the model is not needed")

    assert AutoCot(by=Use(use="lexical")).prepare([], never) == []


def test_an_unknown_retriever_is_told() -> None:
    with pytest.raises(Exception, match="did you mean 'lexical'"):
        FewShot(by=Use(use="lexicale"))
