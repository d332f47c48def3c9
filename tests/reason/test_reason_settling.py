"""When the line's own answer is settled: by hand, and that the promise is kept on other questions."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from reason_fakes import Drawer, Votes, asked
from tunesmith.core.types import Answer, Usage
from tunesmith.reason.chains import Chain, Finding
from tunesmith.reason.fusions.bayesian import Bayesian
from tunesmith.reason.line import Job, Line
from tunesmith.reason.paths.adaptive import Adaptive
from tunesmith.reason.settling import Settling, features

FULL = 16


def chain(said: str, *, against: bool = False, nats: float = -0.1) -> Chain:
    findings = (Finding(check="arithmetic", verdict="against" if against else "for"),)
    answer = Answer(text="", usage=Usage(answer_tokens=10))
    return Chain(answer=answer, source="a", conclusion=said, findings=findings, log_probability=10 * nats)


def test_the_features_by_hand() -> None:
    """Of four chains two said 1 and one 2 and 3. Nobody can be overtaken at two left; the share of 1 is 1/2 and that of
    the next 1/4: log-odds 0, lead log 2; two own chains, one without objections, at -0.1 and -0.3 nats a token."""
    chains = [chain("1"), chain("2"), chain("1", against=True, nats=-0.3), chain("3")]
    found = features(Votes().fuse(chains, {}), chains, prior=(1.0, 1.0), full=4)
    assert found == pytest.approx(
        [math.log(1e-4), 0.0, math.log(2), math.log(4), math.log(4) * math.log(2), 1.0, -0.2, math.log(2), 0.0]
    )


def test_the_level_rises_with_the_chains_and_all_chains_are_enough() -> None:
    """Without weights the chance is 1/2: at 0.2 for each chain drawn, two are too few and three are enough."""
    rule = Settling(full=5, level=0.2, lead=1.0, rest=1.0, weights=(0.0,) * 10)
    line = Line(Adaptive(), fusion=Votes())
    assert [rule.settled(line, [chain("1")] * n) for n in (1, 2, 3, 5)] == [False, False, True, True]
    assert Settling(full=5, level=0.0, lead=1.0, rest=1.0, weights=(0.0,) * 10).settled(line, [chain("1")] * 5)


def made_up(count: int, *, seed: int) -> list[tuple[list[Chain], str]]:
    """Questions of all kinds; a check finds half of the chains that slipped, and these are a little less likely."""
    chance, rows = random.Random(seed), []
    for _ in range(count):
        share, others = chance.betavariate(1.5, 0.8), chance.choice([1, 3])
        chains = []
        for _ in range(FULL):
            right = chance.random() < share
            caught = not right and chance.random() < 0.5
            nats = -0.1 - 0.05 * (not right) + chance.gauss(0, 0.03)
            chains.append(chain("right" if right else f"wrong {chance.randrange(others)}", against=caught, nats=nats))
        rows.append((chains, "right"))
    return rows


def test_the_promise_is_kept_on_other_questions_with_fewer_chains_than_the_vote_takes() -> None:
    """At 10 % and confidence 0.95: of 200 others 10 % and what chance adds (two sd: 4 %) may differ."""
    taught, later = made_up(150, seed=1), made_up(200, seed=2)
    line = Line(Adaptive(at_most=FULL, differ=0.1, first=1), fusion=Bayesian(), conclude="text").taught(taught)
    votes = Line(line.paths, conclude="text").taught(taught)
    drawn = [line.paths.drawn(line, chains) for chains, _ in later]
    differ = [
        line.fuse(chains[:n]).conclusion != line.fuse(chains).conclusion
        for n, (chains, _) in zip(drawn, later, strict=True)
    ]
    by_votes = [votes.paths.drawn(votes, chains) for chains, _ in later]
    print(np.mean(drawn), np.mean(differ), np.mean(by_votes))
    assert np.mean(differ) <= 0.14
    assert np.mean(drawn) < 0.5 * FULL
    assert np.mean(drawn) < np.mean(by_votes)


def test_too_few_questions_promise_nothing() -> None:
    """Ten questions cannot confirm 1 %: all chains are drawn."""
    line = Line(Adaptive(at_most=FULL, differ=0.01), fusion=Bayesian(), conclude="text").taught(made_up(10, seed=3))
    assert line.stopping["level"] == 0.0
    assert line.paths.drawn(line, made_up(1, seed=4)[0][0]) == FULL


def test_what_is_drawn_is_what_would_have_been_drawn_of_stored_chains() -> None:
    """The same rule on a model and on its stored chains."""
    told = [f"The answer is {n % 3}" for n in range(FULL)]
    for fusion in (None, Votes()):
        line = Line(Adaptive(at_most=FULL, differ=0.3), fusion=fusion, conclude="number")
        model = Drawer(lambda c, n: "The answer is 4" if c[-1].content == "easy" else told[n])
        questions = [asked("easy"), asked("hard")]
        said = model.sample(questions, draws=[range(FULL)] * 2, at_most_tokens=9, how=line.sampling)
        full = [[line.chain(q, one, "direct") for one in some] for q, some in zip(questions, said, strict=True)]
        taught = line.taught([(chains, "4") for chains in full] * 20)
        drawn = Job.of(taught, model, at_most_tokens=9).chains(questions)
        assert [len(chains) for chains in drawn] == [taught.paths.drawn(taught, chains) for chains in full]
