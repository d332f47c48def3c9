"""The line: chains are checked and fused, an answer says how sure it is, and stored chains are fused again."""

from __future__ import annotations

from pathlib import Path

import pytest

from reason_fakes import Drawer, NoSevens, Votes, asked
from tunesmith.core.errors import UserError
from tunesmith.core.protocols import Conversation
from tunesmith.core.spec import Use
from tunesmith.core.types import Answer, Sampling, Usage
from tunesmith.reason.line import Job, Line
from tunesmith.reason.paths.adaptive import Adaptive
from tunesmith.reason.paths.direct import Direct
from tunesmith.reason.paths.plan_then_solve import PlanThenSolve
from tunesmith.reason.paths.self_consistency import SelfConsistency
from tunesmith.reason.paths.zero_shot import ZeroShot
from tunesmith.reason.replay import Question, read_chains, write_chains

ASK = asked("How many?")
SAID = ["2 + 2 = 4. The answer is 4.", "It is 7. The answer is 7.", "", "The answer is 4"]


def says(conversation: Conversation, number: int) -> str:
    return SAID[number % len(SAID)]


def voting(draws: int = 4, **line: object) -> Line:
    fields = {"fusion": Votes(), "checks": (NoSevens(),), "conclude": "number", **line}
    return Line(SelfConsistency(draws=draws), **fields)  # type: ignore[arg-type]


def test_chains_are_checked_and_fused_and_the_answer_says_how() -> None:
    """Votes 4, 7, none, 4: the answer is 4 with 2 of 3 votes, in the words of the first chain; 4 x 5 tokens."""
    (answer,) = Job.of(voting(), Drawer(says), at_most_tokens=9).answer([ASK])
    assert answer.text == SAID[0]
    assert answer.confidence == pytest.approx(2 / 3)
    assert answer.usage.answer_tokens == 20
    assert len(answer.paths) == 4
    chains = answer.evidence["chains"]
    assert [chain["conclusion"] for chain in chains] == ["4", "7", None, "4"]
    assert [chain["unscored"] for chain in chains] == ["", "", "empty", ""]
    assert [[finding["detail"] for finding in chain["findings"]] for chain in chains] == [[], ["a seven"], [], []]
    assert answer.evidence["fused"]["posterior"] == pytest.approx({"4": 2 / 3, "7": 1 / 3})


def test_one_chain_without_fusion_and_checks_is_the_models_own_answer() -> None:
    own = Answer(text="Paris", reasoning="France.", usage=Usage(prompt_tokens=9, answer_tokens=2), log_probability=-1.0)
    (answer,) = Job.of(Line(Direct()), Drawer(lambda c, n: own), at_most_tokens=9).answer([ASK])
    assert answer == own


def test_an_answer_that_is_not_sure_enough_is_not_given() -> None:
    (answer,) = Job.of(voting(abstain_below=0.9), Drawer(says), at_most_tokens=9).answer([ASK])
    assert (answer.text, answer.evidence["abstained"]) == ("", True)
    assert answer.confidence == pytest.approx(2 / 3)


def test_a_question_without_any_conclusion_still_has_an_answer() -> None:
    """Nothing but silence, errors and talk: the first that said something speaks, with confidence 0."""
    said = [
        Answer(text="", stop="error", evidence={"error": "endpoint-slow"}),
        Answer(text=""),
        Answer(text="Well, hm."),
    ]
    (answer,) = Job.of(voting(3), Drawer(lambda c, n: said[n]), at_most_tokens=9).answer([ASK])
    assert (answer.text, answer.confidence, answer.stop) == ("Well, hm.", 0.0, "end")
    reasons = [chain["unscored"] for chain in answer.evidence["chains"]]
    assert reasons == ["backend: endpoint-slow", "empty", "no-answer"]


def test_stored_chains_are_fused_again_without_the_model(tmp_path: Path) -> None:
    line = voting()
    (chains,) = Job.of(line, Drawer(says), at_most_tokens=9).chains([ASK])
    kept = [Question(id="q", conversation=tuple(ASK), chains=tuple(chains), right="4")]
    assert write_chains(tmp_path / "chains.jsonl", kept) == 1
    (read,) = read_chains(tmp_path / "chains.jsonl")
    assert read == kept[0]
    assert line.answer(read.chains) == line.answer(chains)


def test_broken_lines_of_stored_chains_are_all_told(tmp_path: Path) -> None:
    (tmp_path / "chains.jsonl").write_text('{"conversation": [], "chains": []}\n{\n[]\n', encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_chains(tmp_path / "chains.jsonl")
    assert [problem.line for problem in caught.value.problems] == [2, 3]


def test_single_ways_take_the_likeliest_path_and_several_are_drawn_as_asked() -> None:
    warm = Sampling(temperature=0.8, top_p=0.9, seed=3)
    model = Drawer(says)
    Job.of(Line(ZeroShot(), sampling=warm), model, at_most_tokens=9).chains([ASK])
    Job.of(Line(SelfConsistency(draws=2), sampling=warm), model, at_most_tokens=9).chains([ASK])
    assert [(how.temperature, how.seed, draws) for _, draws, how in model.asked] == [
        (0.0, 3, range(1)),
        (0.8, 3, range(2)),
    ]
    assert model.asked[0][0][-1].content.startswith("How many?\n\nThink step by step.")
    assert model.asked[1][0] == ASK


def test_the_request_is_in_the_questions_language() -> None:
    model = Drawer(says)
    Job.of(Line(ZeroShot()), model, at_most_tokens=9).chains([asked("有多少？")])
    assert "一步一步" in model.asked[0][0][-1].content


def test_ways_of_asking_take_turns() -> None:
    """Chains 0, 2, 4 are asked plainly, 1 and 3 step by step; each keeps its number."""
    path = SelfConsistency(ask=(Use(use="direct"), Use(use="zero_shot")), draws=5)
    model = Drawer(lambda conversation, number: f"{'step' in conversation[-1].content} {number}")
    (chains,) = Job.of(Line(path), model, at_most_tokens=9).chains([ASK])
    assert [chain.source for chain in chains] == ["direct", "zero_shot", "direct", "zero_shot", "direct"]
    assert [chain.answer.text for chain in chains] == ["False 0", "True 1", "False 2", "True 3", "False 4"]


def test_a_plan_is_made_and_then_carried_out() -> None:
    """Two calls: the second one has the plan as an earlier turn, and keeps the number of the path."""

    def planned(conversation: Conversation, number: int) -> Answer:
        solving = any(turn.role == "assistant" for turn in conversation)
        text = f"so {conversation[-2].content} gives {number}" if solving else f"plan {number}"
        return Answer(text=text, usage=Usage(prompt_tokens=3, answer_tokens=5), log_probability=-2.0)

    path = SelfConsistency(ask=(Use(use="plan_then_solve"),), draws=2)
    (chains,) = Job.of(Line(path), Drawer(planned), at_most_tokens=9).chains([ASK])
    assert [chain.answer.text for chain in chains] == ["so plan 0 gives 0", "so plan 1 gives 1"]
    assert [chain.answer.reasoning for chain in chains] == ["plan 0", "plan 1"]
    assert [(chain.tokens, chain.log_probability) for chain in chains] == [(10, -4.0)] * 2


def test_a_plan_that_could_not_be_had_ends_its_path() -> None:
    model = Drawer(lambda c, n: Answer(text="", stop="error", evidence={"error": "endpoint-fails"}))
    (chains,) = Job.of(Line(PlanThenSolve()), model, at_most_tokens=9).chains([ASK])
    assert [chain.unscored for chain in chains] == ["backend: endpoint-fails"] and len(model.asked) == 1


def test_settled_questions_stop_and_the_others_go_on() -> None:
    """At most 8, even prior; X of the chains that are left go to the leader, beta-binomial.

    Always 4: after 2 it is overtaken if X <= 1 of 6, chance (1 + 3) / 84 = 0.048; after 3 if X = 0 of 5, 1 / 126.
    In turn 5, 4: after 7 the fourth 4 could only make a tie, which the first answer wins.
    """

    def in_turn(conversation: Conversation, number: int) -> str:
        return "The answer is 4" if conversation[-1].content == "easy" or number % 2 else "The answer is 5"

    model = Drawer(in_turn)
    line = Line(Adaptive(at_most=8, differ=0.04), fusion=Votes(), conclude="number")
    easy, hard = Job.of(line, model, at_most_tokens=9).chains([asked("easy"), asked("hard")])
    assert [len(easy), len(hard)] == [3, 7]
    assert [c.answer.text for c in hard] == [*["The answer is 5", "The answer is 4"] * 3, "The answer is 5"]
    drawn = [draws for turns, draws, _ in model.asked if turns[-1].content == "easy"]
    assert drawn == [range(2), range(2, 3)]
    lenient = Line(Adaptive(at_most=8, differ=0.05), fusion=Votes(), conclude="number")
    assert len(Job.of(lenient, Drawer(in_turn), at_most_tokens=9).chains([asked("easy")])[0]) == 2


def test_no_more_is_drawn_where_the_vote_cannot_change() -> None:
    """Of at most 5, after 4, 4, 5, 4 one is left and the lead is two."""
    said = ["4", "4", "5", "4", "4"]
    line = Line(Adaptive(at_most=5), fusion=Votes(), conclude="number", stopping={"level": 0.0})
    (chains,) = Job.of(line, Drawer(lambda c, n: f"The answer is {said[n]}"), at_most_tokens=9).chains([ASK])
    assert len(chains) == 4


def test_an_answerer_that_cannot_draw_is_not_asked_to_vote_with_itself() -> None:
    class Plain:
        name = "plain"

        def answer(self, conversations: list[Conversation], *, at_most_tokens: int) -> list[Answer]:
            return [Answer(text="4") for _ in conversations]

    assert Job.of(Line(Direct()), Plain(), at_most_tokens=9).answer([ASK])[0].text == "4"  # type: ignore[arg-type]
    with pytest.raises(UserError, match="cannot-draw"):
        Job.of(Line(SelfConsistency(draws=2)), Plain(), at_most_tokens=9).answer([ASK])  # type: ignore[arg-type]


def test_unknown_ways_of_asking_are_refused_where_they_stand() -> None:
    with pytest.raises(UserError, match=r"ask\[1\]"):
        SelfConsistency(ask=(Use(use="direct"), Use(use="few_shott")))


def test_a_check_that_asks_a_model_is_given_the_lines_own() -> None:
    """The judge says no to every step; it is asked at temperature 0 and never through the line itself."""

    def judged(conversation: Conversation, number: int) -> str:
        return "no" if "Is the next step right" in conversation[-1].content else "2 + 2 = 5.\nThe answer is 5."

    line = Line.of({"paths": "direct", "check": ["judge"]})
    (chains,) = Job.of(line, Drawer(judged), at_most_tokens=9).chains([ASK])
    assert {finding.verdict for finding in chains[0].findings} == {"against"}
    assert Line.of({"paths": "direct", "check": ["judge"]}).chain(ASK, chains[0].answer, "direct").findings == ()
