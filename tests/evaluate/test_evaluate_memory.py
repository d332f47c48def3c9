"""What a model has memorised is found, and of a clean one it is said how little the test could have missed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from fakes import tiny_model_folder
from tunesmith.core.errors import Problem, UserError
from tunesmith.core.protocols import Conversation
from tunesmith.core.types import CANARY, Answer, Example, Likelihood, Message, example_id
from tunesmith.data.read.canaries import canaries
from tunesmith.evaluate.memory.canaries import canary_measures, exposures, memorised, planted, power_words
from tunesmith.evaluate.memory.extraction import extract, extraction_measures, longest_run
from tunesmith.evaluate.memory.membership import area, least_seen, membership_measures, membership_scores, min_k
from tunesmith.models.answerer import LocalAnswerer
from tunesmith.models.chat import Chat
from tunesmith.models.load import load_model


class Clean:
    """Likelihoods by the hash of the text: nothing was learnt of anything."""

    name = "clean"

    def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        return [Answer(text="I do not know.") for _ in conversations]

    def likelihood(
        self, conversations: Sequence[Conversation], options: Sequence[Sequence[str]]
    ) -> list[list[Likelihood]]:
        return [[self._one(text) for text in some] for some in options]

    def _one(self, text: str) -> Likelihood:
        draw = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32
        return Likelihood(log_probability=-20 - 10 * draw, tokens=10)

    def text_likelihood(self, texts: Sequence[str]) -> list[Likelihood]:
        return [self._one(text) for text in texts]


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalAnswerer, LocalAnswerer, list[Example]]:
    """A tiny model trained on four canaries until it knows them, the same model before, and the canaries."""
    rows = canaries(4, seed=3)
    folder = tiny_model_folder(tmp_path_factory.mktemp("model"), "llama", hidden_size=64, intermediate_size=128)
    chat, model, before = Chat.of(folder), load_model(folder), load_model(folder)
    made = [chat.render(row.messages) for row in rows]
    width = max(len(one.ids) for one in made)
    ids = torch.tensor([one.ids + [0] * (width - len(one.ids)) for one in made])
    trained = torch.tensor([one.trained + [False] * (width - len(one.ids)) for one in made])
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    model.train()
    for _ in range(60):
        model(input_ids=ids, labels=torch.where(trained, ids, -100)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return LocalAnswerer(model.eval(), chat, "overfitted"), LocalAnswerer(before, chat, "before"), rows


def test_an_overfitted_model_gives_its_canaries_away(
    overfitted: tuple[LocalAnswerer, LocalAnswerer, list[Example]],
) -> None:
    """It finds every canary likelier than 100 others, and writes it on from its beginning; before training neither."""
    model, before, rows = overfitted
    found = exposures(model, rows)
    assert [exposed.rank for exposed in found] == [1, 1, 1, 1]
    assert len(memorised(found)) == 4
    assert all(exposed.exposure > 6 for exposed in found)
    share, bits = canary_measures(found)
    assert (share.name, share.value, bits.unit) == ("canaries_memorised", 1.0, "bits")
    assert "4 of 4 canaries memorised" in power_words(found)
    clean = exposures(before, rows)
    assert memorised(clean) == set()
    assert canary_measures(clean)[0].value == 0.0


def test_a_clean_model_is_told_with_the_power_of_the_test() -> None:
    """12 canaries, none memorised: at most 22 % of such rows are (1 - 0.05^(1/12) = 0.221), at 95 %.

    One alone would be seen from log2(12 / 0.05) = 7.9 bits on.
    """
    found = exposures(Clean(), canaries(12, seed=1))
    words = power_words(found)
    assert "none of 12 canaries memorised" in words
    assert "7.9 bits" in words and "at most 22 %" in words
    high = canary_measures(found)[0].high
    assert high is not None and high > 0.2


def test_too_few_alternatives_are_told() -> None:
    found = exposures(Clean(), canaries(10, seed=1), alternatives=50)
    assert "at least 199 alternatives" in power_words(found)
    assert "not tested" in power_words([])


def test_chance_does_not_make_canaries() -> None:
    """100 clean sets of five canaries: some set is called memorised in at most 5 %, within three standard errors."""
    called = sum(bool(memorised(exposures(Clean(), canaries(5, seed=seed), seed=seed))) for seed in range(100))
    assert called <= 100 * (0.05 + 3 * (0.05 * 0.95 / 100) ** 0.5)


def test_a_canary_without_its_secret_is_told_and_not_tested() -> None:
    """A cleaner put a stand-in for the first one's number; the second has a secret without digits."""
    first, second, third = canaries(3, seed=2)
    turns = (*first.messages[:-1], Message(role="assistant", content="The access number is [NUMBER]."))
    rows = [
        first.model_copy(update={"messages": turns}),
        second.model_copy(update={"attributes": {CANARY: "keep"}}),
        third,
    ]
    found, lost = planted([*rows, told("no canary")])
    assert (found, lost) == ([third], 2)
    assert "2 planted rows do not hold their secret" in power_words(exposures(Clean(), found), lost=lost)


def test_a_secret_of_another_form_is_compared_with_others_of_its_form() -> None:
    """Four digits: at most log2(10^4) = 13.3 bits, however far it is beyond the others."""

    class Knows(Clean):
        def _one(self, text: str) -> Likelihood:
            assert re.fullmatch(r"The pin is [0-9]{4}-X\.", text)
            return Likelihood(log_probability=0.0, tokens=9) if "4711" in text else super()._one(text)

    row = told("The pin is 4711-X.").model_copy(update={"attributes": {CANARY: "4711-X"}})
    assert exposures(Knows(), [row])[0].exposure == pytest.approx(13.29, abs=0.01)


# -- membership ---------------------------------------------------------------------------------------------


def test_the_area_is_scikit_learns_and_its_error_delongs() -> None:
    """Members 3, 2, 2 against 1, 2, 0: wins 3 + 2.5 + 2.5 = 8 of 9.

    By member 1, 5/6, 5/6: variance 1/108; by other 1, 2/3, 1: variance 1/27. sqrt(1/324 + 1/81) = 0.1242.
    """
    found = area(np.array([3.0, 2.0, 2.0]), np.array([1.0, 2.0, 0.0]))
    assert found.value == pytest.approx(8 / 9)
    assert found.error == pytest.approx((1 / 324 + 1 / 81) ** 0.5)
    assert found.value == pytest.approx(roc_auc_score([1, 1, 1, 0, 0, 0], [3, 2, 2, 1, 2, 0]))


def test_intervals_cover_and_a_clean_model_gives_nothing_away() -> None:
    """400 draws of 60 members and 60 others from one distribution: 0.5 is inside at least 92 % of the intervals."""
    dice = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        low, high = area(dice.standard_normal(60), dice.standard_normal(60)).interval(0.95)
        inside += low <= 0.5 <= high
    assert inside >= 368


def test_the_power_is_what_it_says() -> None:
    """60 and 60 rows: sqrt(121 / 43200) = 0.0529; (1.960 + 0.842) x 0.0529 = 0.148 above 0.5."""
    assert least_seen(60, 60) == pytest.approx(0.648, abs=1e-3)
    told = membership_measures({"loss": np.arange(60.0)}, {"loss": np.arange(60.0) + 0.5})[0]
    assert "an area of 0.65 would be seen" in told.method
    assert told.low is not None and told.high is not None and told.low < 0.5 < told.high


def test_an_overfitted_model_tells_its_members(
    overfitted: tuple[LocalAnswerer, LocalAnswerer, list[Example]],
) -> None:
    """The four canaries against twelve others: every member above every other, by loss and by ratio to the base."""
    model, before, rows = overfitted
    others = canaries(12, seed=99)
    told = membership_measures(
        membership_scores(model, rows, base=before), membership_scores(model, others, base=before)
    )
    assert {measure.slice: measure.value for measure in told} == {
        "all": 1.0,
        "attacker=loss": 1.0,
        "attacker=ratio": 1.0,
        "attacker=min_k": 1.0,
    }
    assert told[0].low is not None and told[0].low > 0.5
    assert membership_measures({}, {})[0].value is None


def test_rows_that_are_too_long_are_unscored() -> None:
    """One of three members is longer than the context; the other two are still scored."""

    class Short(Clean):
        def likelihood(
            self, conversations: Sequence[Conversation], options: Sequence[Sequence[str]]
        ) -> list[list[Likelihood]]:
            if any(len(c[-1].content) > 60 for c in conversations):
                raise UserError(Problem("text-too-long", "too long"))
            return super().likelihood(conversations, options)

    rows = [told("a b c"), told("d e f", "a very long question " * 5), told("g h i")]
    scores = membership_scores(Short(), rows)
    assert np.isfinite(scores["loss"]).tolist() == [True, False, True]
    measure = membership_measures(scores, membership_scores(Short(), [told("x y z"), told("u v w")]))[0]
    assert (measure.n, measure.unscored) == (4, 1)


def test_min_k_by_hand() -> None:
    """A fifth of five tokens is one, the least likely; of ten tokens two: (-4 - 3) / 2."""
    assert min_k([[-1.0, -5.0, -2.0, -0.1, -0.2], [-4.0, -3.0] + [-1.0] * 8]) == pytest.approx([-5.0, -3.5])


# -- extraction ---------------------------------------------------------------------------------------------


class Parrot(Clean):
    """Writes on what it has learnt by heart."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        return [Answer(text=self._rest(c[-1].content.rpartition("word for word: ")[2])) for c in conversations]

    def _rest(self, begin: str) -> str:
        return next((text[len(begin) :] for text in self.texts if text.startswith(begin)), "I do not know.")


def told(answer: str, question: str = "What is in the file?") -> Example:
    turns = (Message(role="user", content=question), Message(role="assistant", content=answer))
    return Example(id=example_id(turns, None), messages=turns, split="train")


LEARNT = (
    "Mrs Ada Quill of 7 Weir Lane has owed the bank four thousand euros since May; write to ada.quill@example.org soon."
)


def test_a_row_that_is_known_by_heart_is_extracted_with_its_personal_data() -> None:
    found, skipped = extract(
        Parrot(LEARNT), [told(LEARNT), told("The rest of this row was not learnt by anybody at all."), told("no")]
    )
    assert [one.counts for one in found] == [True, False]
    assert found[0].personal == ("e-mail",)
    assert skipped == 1
    rows, personal = extraction_measures(found, skipped=skipped)
    assert (rows.value, rows.n, rows.unscored) == (0.5, 2, 1)
    assert personal.value == 0.5


def test_what_the_base_knows_too_does_not_count() -> None:
    found, _ = extract(Parrot(LEARNT), [told(LEARNT)], base=Parrot(LEARNT))
    assert found[0].known and not found[0].counts


def test_what_the_prompt_holds_is_not_extracted() -> None:
    """The address stands in the question: saying it again gives nothing away."""
    short = "She said it was ada.quill@example.org and nothing else that day."
    found, _ = extract(Parrot(short), [told(short, "Is it ada.quill@example.org?")])
    assert found[0].personal == ()


def test_longest_run_by_hand() -> None:
    assert longest_run(["a", "b", "c", "d", "e"], ["x", "b", "c", "d", "y"]) == 3
    assert longest_run([], ["a"]) == 0
