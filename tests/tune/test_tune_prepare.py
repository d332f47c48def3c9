"""The stage `tokens`: every lost token is counted, and G0 and G2 say no for the right reason (pains 3, 4, 5, 18)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tune_fakes import base_of, context_of, profile, spec

from fakes import tiny_model_folder
from tunesmith.core.examples import write_examples
from tunesmith.core.types import Example, GateVerdict, Message, Reason, Snapshot, Split, Tokens, ToolCall, example_id
from tunesmith.models.chat import Chat
from tunesmith.tune import prepare
from tunesmith.tune.batches import read_rows
from tunesmith.tune.render import TokenRow
from tunesmith.tune.spec import Limits, TuneSpec
from tunesmith.tune.token_gate import judge_tokens

SYSTEM = Message(role="system", content="Answer with the name of the chapter.")


def example(*turns: str, split: Split = "train", **fields: Any) -> Example:
    roles = ("user", "assistant")
    said = (Message(role=roles[k % 2], content=turn) for k, turn in enumerate(turns))
    messages = (SYSTEM, *said)
    made = Example(id=example_id(messages, None), messages=messages, place=f"rows.jsonl:{len(turns)}", split=split)
    return made.model_copy(update=fields)


def some_examples() -> list[Example]:
    asked = ["a broken arm", "high fever", "cholera", "influenza of the left side"]
    train = [example(f"{what}?", f"chapter {number}") for number, what in enumerate(asked)]
    return [*train, example("pneumonia?", "yes", split="valid"), example("cold?", "no", split="test")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model_folder(tmp_path_factory.mktemp("model"), num_hidden_layers=2)


def prepared(
    tmp_path: Path, folder: Path, examples: list[Example], section: TuneSpec | None = None, **told: Any
) -> Tokens:
    snapshot_folder = tmp_path / "snapshot"
    snapshot_folder.mkdir()
    write_examples(snapshot_folder / "examples.parquet", examples)
    snapshot = Snapshot(rows_in=len(examples), kept=len(examples), folder=snapshot_folder)
    context = context_of(tmp_path)
    base = base_of(folder).model_copy(update={name: told.pop(name) for name in ("licence",) if name in told})
    made = prepare.run(
        section or spec(),
        base=base,
        profile=profile().model_copy(update=told),
        snapshot=snapshot,
        context=context,
    )
    return made.model_copy(update={"folder": context.out})


def gate(tokens: Tokens, name: str) -> GateVerdict:
    return next(verdict for verdict in tokens.gates if verdict.gate == name)


def reason(tokens: Tokens, name: str, code: str) -> Reason:
    return next(reason for reason in gate(tokens, name).reasons if reason.code == code)


def test_clean_rows_pass_and_are_written_as_the_chat_renders_them(tmp_path: Path, folder: Path) -> None:
    examples = some_examples()
    tokens = prepared(tmp_path, folder, examples)
    assert [verdict.verdict for verdict in tokens.gates] == ["passed", "passed"]
    assert tokens.rows == {"train": 4, "valid": 1, "test": 1}
    chat = Chat.of(folder)
    lines = pq.read_table(tokens.file("rows.parquet")).to_pylist()
    for line, one in zip(lines, examples, strict=True):
        rendered = chat.render(one.messages)
        assert (line["ids"], line["trained"], line["split"]) == (rendered.ids, rendered.trained, one.split)
    train = [chat.render(one.messages) for one in examples[:4]]
    assert tokens.tokens == sum(len(row.ids) for row in train)
    assert tokens.trained == sum(sum(row.trained) for row in train)
    assert (tokens.cut, tokens.rows_cut, tokens.rows_untrained, tokens.end_of_turn_missing) == (0, 0, 0, 0)


def test_the_shared_prefix_is_what_all_training_rows_begin_with(tmp_path: Path, folder: Path) -> None:
    tokens = prepared(tmp_path, folder, some_examples())
    rows = read_rows(tokens.file("rows.parquet"), "train")
    text = Chat.of(folder).tokenizer.decode(rows[0].ids[: tokens.shared_prefix])
    assert text.endswith("<|im_start|>user\n")
    assert len({row.ids[: tokens.shared_prefix] for row in rows}) == 1
    assert len({row.ids[: tokens.shared_prefix + 1] for row in rows}) > 1


def test_cut_tokens_are_counted_exactly_and_g2_says_no(tmp_path: Path, folder: Path) -> None:
    examples = some_examples()
    whole = [Chat.of(folder).render(one.messages) for one in examples[:4]]
    limit = min(len(row.ids) for row in whole)
    tokens = prepared(tmp_path, folder, examples, spec(context_tokens=limit))
    assert tokens.cut == sum(len(row.ids) - limit for row in whole) > 0
    assert tokens.rows_cut == sum(len(row.ids) > limit for row in whole)
    cut = reason(tokens, "G2", "rows-cut")
    lost = sum(sum(row.trained[limit:]) for row in whole)
    assert cut.verdict == "failed" and gate(tokens, "G2").stops
    assert f"{lost:,} of {sum(sum(row.trained) for row in whole)} trained tokens" in cut.message
    assert cut.evidence["first"][0]["place"] == "rows.jsonl:2"
    assert reason(tokens, "G2", "end-of-turn-missing").verdict == "failed"


def test_a_context_that_cuts_every_answer_leaves_nothing_to_train(tmp_path: Path, folder: Path) -> None:
    tokens = prepared(tmp_path, folder, some_examples(), spec(context_tokens=20))
    assert tokens.rows_untrained == tokens.rows["train"] == 4
    assert reason(tokens, "G2", "rows-untrained").verdict == "failed"
    assert read_rows(tokens.file("rows.parquet"), "train") == []


def test_a_limit_of_the_project_file_lets_losses_pass(tmp_path: Path, folder: Path) -> None:
    limits = {"rows_cut": 1.0, "rows_untrained": 1.0}
    tokens = prepared(tmp_path, folder, some_examples(), spec(context_tokens=20, limits=limits))
    assert tokens.rows_cut == 4
    assert gate(tokens, "G2").verdict == "passed"


def test_every_assistant_turn_is_trained_and_only_those(tmp_path: Path, folder: Path) -> None:
    several = example("high fever?", "yes", "cholera?", "no")
    tokens = prepared(tmp_path, folder, [several, *some_examples()])
    row = read_rows(tokens.file("rows.parquet"), "train")[0]
    chat = Chat.of(folder)
    assert chat.tokenizer.decode([row.ids[place] for place in row.trained]) == "yes<|im_end|>no<|im_end|>"


def test_rows_without_an_answer_and_refused_rows_are_counted_with_their_reason(tmp_path: Path, folder: Path) -> None:
    silent = example("high fever?")
    broken = ToolCall(name="look", arguments="{not json")
    calling = Message(role="assistant", content="", tool_calls=(broken,))
    refused = silent.model_copy(update={"id": "ex-broken", "messages": (*silent.messages, calling)})
    tokens = prepared(tmp_path, folder, [silent, refused, *some_examples()])
    assert tokens.rows["train"] == 6 and tokens.rows_untrained == 2
    told = reason(tokens, "G2", "rows-refused")
    assert told.verdict == "failed"
    assert [row["id"] for row in told.evidence["first"]] == [silent.id, "ex-broken"]


def test_reasoning_is_trained_though_the_template_knows_nothing_of_it(tmp_path: Path) -> None:
    """Pain 2: R1's own template deletes it, and trainers that trust the template train bare answers."""
    template = (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    folder = tiny_model_folder(tmp_path, chat_template=template)
    thought = Message(role="assistant", content="yes", reasoning="a fever is a sign")
    one = example("high fever?")
    tokens = prepared(tmp_path, folder, [one.model_copy(update={"messages": (*one.messages, thought)})])
    [row] = read_rows(tokens.file("rows.parquet"), "train")
    said = Chat.of(folder).tokenizer.decode([row.ids[place] for place in row.trained])
    assert "a fever is a sign" in said and said.endswith("yes<|im_end|>")
    assert (tokens.reasoning_lost, reason(tokens, "G2", "reasoning-lost").verdict) == (0, "passed")


def test_what_a_template_has_no_place_for_fails_g2() -> None:
    """Two of four rows: one lost its reasoning, one its tools; each is told by its own reason."""
    good = TokenRow("ex-1", "train", "a:1", ids=(1, 2), trained=(False, True))
    thoughtless = replace(good, id="ex-2", reasoning_lost=1)
    toolless = replace(good, id="ex-3", problems=("tools-ignored",))
    verdict = judge_tokens([good, thoughtless, toolless, good], Limits(), context_tokens=9, warnings=())
    failed = {one.code: one for one in verdict.reasons if one.verdict == "failed"}
    assert failed.keys() == {"reasoning-lost", "tools-ignored"}
    assert "1 of 4 training rows (25.0%, limit 0.0%)" in failed["reasoning-lost"].message
    assert failed["tools-ignored"].evidence["first"][0]["id"] == "ex-3"


def test_the_estimate_is_shown_and_held_against_budget_licence_and_context(tmp_path: Path, folder: Path) -> None:
    tokens = prepared(
        tmp_path,
        folder,
        some_examples(),
        spec(context_tokens=1000),
        licence="GPL-3.0",
        licences=("Apache-2.0", "MIT"),
        memory_gb=0.001,
        train_minutes=1e-9,
    )
    verdict = gate(tokens, "G0")
    assert verdict.stops
    assert {r.code: r.verdict for r in verdict.reasons} == dict.fromkeys(
        ("memory", "time", "licence", "context"), "failed"
    ) | {"disk": "passed"}
    assert tokens.estimate["memory_gb"] > 0 and tokens.estimate["minutes"] > 0


def test_an_unknown_licence_is_not_passed_where_the_profile_names_some(tmp_path: Path, folder: Path) -> None:
    tokens = prepared(tmp_path, folder, some_examples(), licences=("Apache-2.0",))
    assert gate(tokens, "G0").verdict == "unknown"


def test_the_preview_shows_each_token_with_its_label(tmp_path: Path, folder: Path) -> None:
    tokens = prepared(tmp_path, folder, some_examples())
    shown = [json.loads(line) for line in tokens.file("preview.jsonl").read_text().splitlines()]
    assert len(shown) == 4
    assert "".join(text for text, trained in shown[0]["tokens"] if trained) == "chapter 0<|im_end|>"
    assert shown[0]["trained"] == sum(trained for _, trained in shown[0]["tokens"])
