"""Retrieval by meaning and Auto-CoT's clusters with the real sentence encoder, on real questions of GSM8K."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from gsm_chains import lines_of
from reason_fakes import Drawer, asked
from tunesmith.core.protocols import Conversation
from tunesmith.core.spec import Use
from tunesmith.core.types import Example, Message, example_id
from tunesmith.models.catalog import encoders
from tunesmith.models.fetch import asset_path, cache_folder
from tunesmith.reason.library import Library, Solved
from tunesmith.reason.line import Job, Line
from tunesmith.reason.paths.auto_cot import AutoCot
from tunesmith.reason.paths.few_shot import FewShot
from tunesmith.reason.retrieve.embedding import Embedding
from tunesmith.reason.steps import sentences

pytestmark = pytest.mark.slow

BY = Use(use="embedding")


@pytest.fixture(scope="module")
def rows() -> list[Example]:
    """The first 200 training questions of three sentences or more, with their worked answers."""
    (known,) = encoders()
    if not all(asset_path(asset, cache_folder()).is_file() for asset in known.assets):
        pytest.skip("needs the encoder: python -c 'from tunesmith.models.embed import open_embedder; open_embedder()'")
    found = []
    for line in map(json.loads, lines_of("train.jsonl")):
        if len(sentences(line["question"])) >= 3 and len(found) < 200:
            turns = (*asked(line["question"]), Message(role="assistant", content=line["answer"]))
            found.append(Example(id=example_id(turns, None), messages=turns, split="train"))
    return found


def question(row: Example) -> str:
    return row.messages[0].content


def halves(row: Example) -> tuple[str, str]:
    """A question's first sentence, and the rest of it."""
    first, *rest = [one.text for one in sentences(question(row))]
    return first, " ".join(rest)


def test_the_rest_of_a_story_is_found_by_its_beginning(rows: Sequence[Example]) -> None:
    """Of 200 rests the right one is likest for most beginnings; by chance it would be 1 in 200."""
    beginnings, rests = zip(*map(halves, rows), strict=True)
    scores = Embedding().index(rests).scores(beginnings)
    found = float(np.mean(scores.argmax(1) == np.arange(len(rows))))
    print(f"found first: {found:.3f}")
    assert scores.shape == (200, 200) and scores.min() >= 0 and scores.max() <= 1 + 1e-6
    assert found > 0.6


def test_examples_are_likest_last_unlike_each_other_and_never_the_question_itself(rows: Sequence[Example]) -> None:
    """40 questions with four examples each, the likest last; choosing unlike ones makes them less like each other."""
    library = Library([Solved.of(question(row), row.messages[1].content) for row in rows])
    some = [row.prompt for row in rows[:40]]
    encode = Embedding().index([entry.question for entry in library.entries])
    alike: dict[float, float] = {}
    for diversity in (0.0, 0.5):
        path = FewShot(shots=4, by=BY, diversity=diversity)
        put = path.put(Job.of(Line(path, library=library), Drawer(lambda c, n: ""), at_most_tokens=9), some)
        shown = [[turn.content for turn in turns[:-1:2]] for turns in put]
        for row, examples in zip(rows, shown, strict=False):
            assert len(examples) == 4 and question(row) not in examples
        places = [[[entry.question for entry in library.entries].index(one) for one in examples] for examples in shown]
        scores = encode.scores([question(row) for row in rows[:40]])
        if not diversity:
            assert all(list(scores[n, some]) == sorted(scores[n, some]) for n, some in enumerate(places))
        alike[diversity] = float(np.mean([encode.alike(some)[np.triu_indices(4, 1)].mean() for some in places]))
    print(f"likeness of the examples of a question: {alike}")
    assert alike[0.5] < alike[0.0] - 0.05


def test_auto_cot_shows_a_sound_chain_of_each_kind_of_question(rows: Sequence[Example]) -> None:
    """The model knows two of three answers: each of eight clusters is stood for by one that it knows."""
    right = {question(row): row.messages[1].content for row in rows}
    known = {text for n, text in enumerate(right) if n % 3}

    def says(conversation: Conversation, number: int) -> str:
        text = conversation[-1].content.partition("\n\nThink step by step")[0]
        return right[text] if text in known else "The answer is 0.123"

    path = AutoCot(shots=8, by=BY)
    line = Line(path, conclude="number")
    made = [path.prepare(rows, lambda: Job.of(line, Drawer(says), at_most_tokens=9)) for _ in range(2)]
    assert made[0] == made[1]
    chosen = [one.question for one in made[0]]
    assert len(set(chosen)) == 8 and set(chosen) <= known
    apart = np.triu_indices(8, 1)
    shown = Embedding().index(chosen).alike(range(8))[apart].mean()
    usual = Embedding().index(list(right)).alike(range(200))[np.triu_indices(200, 1)].mean()
    print(f"likeness of the eight: {shown:.3f}, of all questions: {usual:.3f}")
    assert shown < 1.2 * usual
