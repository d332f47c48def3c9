"""Which rows become of pairs, verdicts and plain text, what G2 says of them, and that no token of a text is lost."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tune_fakes import base_of, context_of, profile, snapshot_of, spec

from fakes import tiny_model_folder
from tunesmith.core.events import Event
from tunesmith.core.types import Drop, Example, Message, Reason, Split, Tokens, example_id
from tunesmith.data.read.conversations import Conversations
from tunesmith.models.chat import Chat
from tunesmith.tune import prepare
from tunesmith.tune.batches import Row, last_turn, read_rows
from tunesmith.tune.render import Reads, TokenRow, render_rows, text_ids
from tunesmith.tune.spec import Limits
from tunesmith.tune.token_gate import judge_tokens

FORMATS = Path(__file__).parents[2] / ".." / "shared" / "data" / "formats"
needs_formats = pytest.mark.skipif(not FORMATS.is_dir(), reason="needs ../shared/data/formats beside the repository")
PAIRS = {"rows": "pairs", "objective": [{"use": "dpo"}]}
JUDGED = {"rows": "judged", "objective": [{"use": "kto"}]}
ALL = Reads(text=True, pairs=True, judged=True)


def example(*turns: str, split: Split = "train", worse: str | None = None, **fields: Any) -> Example:
    roles: Any = ("user", "assistant")
    said = tuple(Message(role=roles[k % 2], content=turn) for k, turn in enumerate(turns))
    rejected = None if worse is None else Message(role="assistant", content=worse)
    made = Example(id=example_id(said, None, rejected), messages=said, rejected=rejected, split=split)
    return made.model_copy(update=fields)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model_folder(tmp_path_factory.mktemp("model"), max_position_embeddings=4096)


@pytest.fixture(scope="module")
def chat(folder: Path) -> Chat:
    return Chat.of(folder)


def prepared(
    tmp_path: Path, folder: Path, examples: list[Example], heard: list[Event] | None = None, **section: Any
) -> Tokens:
    context = context_of(tmp_path, heard)
    base = base_of(folder).model_copy(update={"context": 4096})
    snapshot = snapshot_of(tmp_path / "snapshot", examples)
    made = prepare.run(spec(**section), base=base, profile=profile(), snapshot=snapshot, context=context)
    return made.model_copy(update={"folder": context.out})


def reasons(tokens: Tokens) -> dict[str, Reason]:
    return {one.code: one for verdict in tokens.gates if verdict.gate == "G2" for one in verdict.reasons}


def said(chat: Chat, row: TokenRow) -> str:
    text: str = chat.tokenizer.decode([token for token, on in zip(row.ids, row.trained, strict=True) if on])
    return text


def test_a_pair_is_two_rows_where_a_phase_reads_pairs_and_one_where_none_does(chat: Chat) -> None:
    pair = example("A fever?", "yes", worse="no")
    better, worse = render_rows(chat, [pair], 100, Reads(pairs=True))
    assert (better.part, worse.part, better.judged, worse.judged) == ("supervised", "rejected", True, True)
    assert (said(chat, better), said(chat, worse)) == ("yes<|im_end|>", "no<|im_end|>")
    [alone] = render_rows(chat, [pair], 100)
    assert alone.ids == better.ids


def test_rejected_answers_that_nobody_reads_are_told(tmp_path: Path, folder: Path) -> None:
    heard: list[Event] = []
    prepared(tmp_path, folder, [example("A fever?", "yes", worse="no"), example("Cold?", "no")], heard)
    assert any("1 rejected answers are not read" in event.message for event in heard)


def test_an_undesirable_answer_is_never_a_row_to_learn_from(tmp_path: Path, folder: Path, chat: Chat) -> None:
    """Read by no phase it fails G2; read by one it is a row of the part that cross-entropy does not read."""
    bad, good = example("A fever?", "no", desirable=False), example("A cough?", "yes", desirable=True)
    tokens = prepared(tmp_path / "a", folder, [bad, good])
    refused = reasons(tokens)["rows-refused"]
    assert refused.verdict == "failed" and "no phase has `rows: judged`" in refused.message
    tokens = prepared(tmp_path / "b", folder, [bad, good, example("Plain?", "yes")], phases=[{}, JUDGED])
    assert all(reason.verdict == "passed" for reason in reasons(tokens).values())
    file = tokens.file("rows.parquet")
    assert [row.id for row in read_rows(file, "train")] != [bad.id] and len(read_rows(file, "train")) == 2
    judged = read_rows(file, "train", ("supervised", "rejected"), judged=True)
    assert [(row.id, row.part) for row in judged] == [(bad.id, "rejected"), (good.id, "supervised")]


def test_a_verdict_is_about_the_last_turn(chat: Chat) -> None:
    [row] = render_rows(chat, [example("A?", "first", "B?", "last", desirable=False)], 100, ALL)
    assert said(chat, row) == "first<|im_end|>last<|im_end|>"
    places = tuple(place for place, on in enumerate(row.trained) if on)
    kept = last_turn(Row(row.id, row.ids, places, row.part))
    assert chat.tokenizer.decode([row.ids[place] for place in kept.trained]) == "last<|im_end|>"


def test_g2_counts_the_worse_answers_that_lose_tokens(tmp_path: Path, folder: Path, chat: Chat) -> None:
    pair = example("A fever?", "yes", worse="no, " * 30)
    limit = len(chat.render(pair.messages).ids) + 5
    tokens = prepared(tmp_path, folder, [pair], context_tokens=limit, phases=[PAIRS])
    cut = reasons(tokens)["rows-cut"]
    assert cut.verdict == "failed" and cut.evidence["parts"] == {"rejected": 1}
    assert "1 of 2 training rows" in cut.message and "1 of these are worse answers" in cut.message


def test_g2_says_no_to_a_worse_answer_without_a_trained_token() -> None:
    good = TokenRow("ex-1", "train", "a:1", ids=(1, 2), trained=(False, True))
    empty = replace(good, part="rejected", trained=(False, False))
    verdict = judge_tokens([good, empty], Limits(), context_tokens=9, warnings=())
    [failed] = [one for one in verdict.reasons if one.verdict == "failed"]
    assert failed.code == "rows-untrained" and failed.evidence["parts"] == {"rejected": 1}


def test_every_token_of_a_long_text_is_trained_exactly_once(chat: Chat) -> None:
    """10 tokens a row: the first row trains 9 of them, every other one begins with the last token of the row before."""
    text = example("The sun rises in the east, and water boils at one hundred degrees. " * 5)
    whole = text_ids(chat, text.text or "")
    rows = list(render_rows(chat, [text], 10, ALL))
    assert len(rows) == -(-(len(whole) - 1) // 9)
    assert [token for row in rows for token in row.ids[1:]] == whole[1:]
    assert all(row.trained == (False, *[True] * (len(row.ids) - 1)) for row in rows)
    assert all(before.ids[-1] == after.ids[0] for before, after in itertools.pairwise(rows))
    assert {(row.part, row.cut, row.end_of_turn_ok, len(row.problems)) for row in rows} == {("text", 0, True, 0)}


def test_a_text_ends_with_the_end_of_text_and_not_with_the_end_of_a_turn(chat: Chat) -> None:
    """The template of the fake has taken its eos, <|im_end|>, for its turns; texts of the base ended otherwise."""
    ids = text_ids(chat, "Water boils.")
    assert chat.tokenizer.decode(ids) == "Water boils.<|endoftext|>"
    assert chat.tokenizer.eos_token == "<|im_end|>"


def test_a_document_cannot_open_a_turn_by_naming_its_token(chat: Chat) -> None:
    ids = text_ids(chat, "Write <|im_start|>assistant to begin.")
    assert chat.tokenizer.bos_token_id not in ids
    assert chat.tokenizer.decode(ids) == "Write <|im_start|>assistant to begin.<|endoftext|>"


def test_text_that_no_phase_reads_stays_a_row_without_an_answer(tmp_path: Path, folder: Path) -> None:
    text = example("Water boils at one hundred degrees.")
    asked = example("A fever?", "yes")
    tokens = prepared(tmp_path / "a", folder, [text, asked])
    assert "no phase has `rows: text`" in reasons(tokens)["rows-refused"].message
    tokens = prepared(tmp_path / "b", folder, [text, asked], phases=[{"rows": "text"}, {}])
    assert {reason.verdict for reason in reasons(tokens).values()} == {"passed"}
    assert Counter(pq.read_table(tokens.file("rows.parquet"))["part"].to_pylist()) == {"text": 1, "supervised": 1}


def test_text_that_must_not_be_forgotten_is_a_row_whatever_the_phases_read(chat: Chat) -> None:
    [row] = render_rows(chat, [example("Water boils.", split="general")], 100)
    assert (row.part, row.split) == ("general", "general") and row.trains


@needs_formats
@pytest.mark.parametrize(
    ("name", "phase", "parts"),
    [
        ("dpo_en_demo.json", PAIRS, {"supervised": 300, "rejected": 300}),
        ("kto_en_demo.json", JUDGED, {"supervised": 150, "rejected": 150}),
    ],
)
def test_the_pairs_and_verdicts_that_people_have_become_rows(
    tmp_path: Path, folder: Path, name: str, phase: dict[str, Any], parts: dict[str, int]
) -> None:
    """300 pairs, of each two rows; 150 desirable and 150 undesirable answers; every one can be read by its phase."""
    read = list(Conversations(str(FORMATS.resolve() / name)).read(tmp_path, ()))
    examples = [item.model_copy(update={"split": "train"}) for item in read if not isinstance(item, Drop)]
    assert len(examples) == 300
    tokens = prepared(tmp_path, folder, examples, phases=[phase], context_tokens=100_000)
    assert Counter(pq.read_table(tokens.file("rows.parquet"))["part"].to_pylist()) == parts
    assert reasons(tokens)["rows-untrained"].verdict == "passed"
    judged = read_rows(tokens.file("rows.parquet"), "train", ("supervised", "rejected"), judged=True)
    assert Counter(row.part for row in judged) == parts
