"""The label mask covers exactly what the model would say when served, whatever the template does to earlier turns."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import CHAT_TEMPLATE, tiny_tokenizer
from tunesmith.core.errors import UserError
from tunesmith.core.types import Message, ToolCall
from tunesmith.models.chat import Chat, Rendered, split_reasoning

TEMPLATES = Path(__file__).parent / "templates"
FORMATS = Path(__file__).parents[3] / "shared" / "data" / "formats"
DEEPSEEK = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>")
LLAMA = ("<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>")
SPECIAL = {
    "r1_distill": DEEPSEEK,
    "r1_0528": DEEPSEEK,
    "deepseek_v2": DEEPSEEK,
    "deepseek_v3_1": DEEPSEEK,
    "llama3_1": LLAMA,
}
NAMES = sorted(path.stem for path in TEMPLATES.glob("*.jinja"))

SYSTEM = Message(role="system", content="Be brief.")
ASK = Message(role="user", content="Where is Rome?")
SAY = Message(role="assistant", content="In Italy.")
ASK2 = Message(role="user", content="And Paris?")
SAY2 = Message(role="assistant", content="In France.")
CALL = Message(role="assistant", tool_calls=(ToolCall(name="weather", arguments='{"city": "Rome"}'),))
RESULT = Message(role="tool", content="sunny")
TOOL = json.dumps({"name": "weather", "description": "the weather", "parameters": {"type": "object"}})


def tokenizer_for(name: str) -> Any:
    tokenizer = tiny_tokenizer(chat_template=(TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8"))
    if special := SPECIAL.get(name):
        tokenizer.add_special_tokens(
            {"bos_token": special[0], "eos_token": special[1], "additional_special_tokens": list(special[2:])}
        )
    tokenizer.add_tokens(["<think>", "</think>"])
    return tokenizer


def chat_for(name: str) -> Chat:
    return Chat(tokenizer_for(name))


def thinking(message: Message, reasoning: str) -> Message:
    return message.model_copy(update={"reasoning": reasoning})


def said(chat: Chat, row: Rendered) -> list[str]:
    """The runs of trained tokens, decoded."""
    runs: list[list[int]] = []
    for before, (token, trained) in zip([False, *row.trained], zip(row.ids, row.trained, strict=True), strict=False):
        if trained:
            runs = runs if before else [*runs, []]
            runs[-1].append(token)
    return [chat.tokenizer.decode(run) for run in runs]


END = {
    "llama3_1": "<|eot_id|>",
    **dict.fromkeys(("r1_distill", "r1_0528", "deepseek_v2", "deepseek_v3_1"), "<｜end▁of▁sentence｜>"),
}
EMPTY = "<think>\n\n</think>\n\n"
PLAIN_TURNS = {
    # What comes before the first and the last answer when the data has no reasoning.
    "qwen3": ("", EMPTY),
    "r1_distill": ("\n</think>\n\n", "\n</think>\n\n"),
    "deepseek_v2": (" ", " "),
}


@pytest.mark.parametrize("name", NAMES)
def test_every_assistant_turn_is_trained_with_its_end_and_nothing_else(name: str) -> None:
    chat, end = chat_for(name), END.get(name, "<|im_end|>")
    row = chat.render([SYSTEM, ASK, SAY, ASK2, SAY2])
    first, last = PLAIN_TURNS.get(name, ("", ""))
    assert said(chat, row) == [f"{first}In Italy.{end}", f"{last}In France.{end}"]
    assert [row.text[a:b] for a, b in row.spans] == said(chat, row)
    assert row.end_of_turn_ok
    assert chat.tokenizer.decode(row.ids) == row.text


THOUGHT = {
    # R1-Distill's generation prompt has already opened the block; V2 begins its answer with a space.
    "r1_distill": "Europe first.\n</think>\n\nIn Italy.",
    "deepseek_v2": " <think>\nEurope first.\n</think>\n\nIn Italy.",
    # The served prompt has closed the block: there is no place for reasoning.
    "deepseek_v3_1": "In Italy.",
}


@pytest.mark.parametrize("name", NAMES)
def test_reasoning_is_trained_as_the_model_would_write_it(name: str) -> None:
    chat = chat_for(name)
    row = chat.render([ASK, thinking(SAY, "Europe first.")])
    body = THOUGHT.get(name, "<think>\nEurope first.\n</think>\n\nIn Italy.")
    assert said(chat, row) == [body + END.get(name, "<|im_end|>")]
    assert row.reasoning_lost == (name == "deepseek_v3_1")
    assert not row.problems


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reasoning", ["as_data", "drop", "empty"])
def test_rows_train_every_turn_after_its_served_prompt(name: str, reasoning: Any) -> None:
    chat = chat_for(name)
    turns = [SYSTEM, ASK, thinking(SAY, "Europe."), ASK2, thinking(SAY2, "Also Europe.")]
    asked = [m.model_copy(update={"reasoning": {"drop": None, "empty": ""}.get(reasoning, m.reasoning)}) for m in turns]
    rows = chat.rows(turns, reasoning=reasoning)
    prompts = [chat.prompt([*asked[:i]]) for i in (2, 4)]
    begins = [row.ids[:at] for row in rows for at in starts(row)]
    assert begins == prompts
    assert not any(row.problems for row in rows)


def starts(row: Rendered) -> list[int]:
    return [i for i, trained in enumerate(row.trained) if trained and not row.trained[i - 1]]


def test_one_row_is_enough_where_the_template_keeps_earlier_turns() -> None:
    """SmolLM2 rewrites nothing; R1-Distill's history lacks the `</think>` that was generated: one row for each turn."""
    turns = [ASK, SAY, ASK2, SAY2]
    assert len(chat_for("smollm2").rows(turns)) == 1
    assert len(chat_for("r1_distill").rows(turns)) == 2
    assert [p.code for p in chat_for("r1_distill").render(turns).problems] == ["template-not-prefix-stable"]


def test_inline_reasoning_in_the_content_is_not_lost() -> None:
    """R1's template would cut `content.split('</think>')[-1]`: the chain of thought would silently vanish."""
    chat = chat_for("r1_distill")
    row = chat.render([ASK, Message(role="assistant", content="<think>Europe first.</think>In Italy.")])
    assert said(chat, row) == ["Europe first.\n</think>\n\nIn Italy.<｜end▁of▁sentence｜>"]


def test_reasoning_can_be_dropped_or_left_empty() -> None:
    chat, turns = chat_for("smollm2"), [ASK, thinking(SAY, "Europe first.")]
    assert said(chat, chat.render(turns, reasoning="drop")) == ["In Italy.<|im_end|>"]
    assert said(chat, chat.render(turns, reasoning="empty")) == [f"{EMPTY}In Italy.<|im_end|>"]
    assert said(chat, chat.render([ASK, thinking(SAY, "")])) == [f"{EMPTY}In Italy.<|im_end|>"]


def test_keep_refuses_a_template_without_a_place_for_reasoning() -> None:
    with pytest.raises(UserError, match="reasoning-lost"):
        chat_for("deepseek_v3_1").render([ASK, thinking(SAY, "Europe first.")], reasoning="keep")


def test_a_turn_that_the_data_switches_off_carries_no_loss() -> None:
    chat = chat_for("smollm2")
    row = chat.render([ASK, SAY.model_copy(update={"trained": False}), ASK2, SAY2])
    assert said(chat, row) == ["In France.<|im_end|>"]


def test_turns_after_the_last_answer_are_left_out() -> None:
    chat = chat_for("smollm2")
    assert chat.render([ASK, SAY, ASK2]).text == chat.render([ASK, SAY]).text


def test_no_assistant_turn_is_a_problem() -> None:
    with pytest.raises(UserError, match="no-assistant-turn"):
        chat_for("smollm2").render([ASK])


@pytest.mark.parametrize("name", ["qwen2_5", "qwen3"])
def test_tool_calls_are_trained_and_tool_answers_are_not(name: str) -> None:
    chat = chat_for(name)
    row = chat.render([ASK, CALL, RESULT, SAY], [TOOL])
    call = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call><|im_end|>'
    assert said(chat, row) == [call, PLAIN_TURNS.get(name, ("", ""))[1] + "In Italy.<|im_end|>"]
    assert [p.code for p in row.problems] == (["tools-ignored"] if name == "qwen3" else [])


def test_what_a_template_drops_is_a_problem() -> None:
    both = CALL.model_copy(update={"content": "Let me look."})
    with pytest.raises(UserError, match="content-lost"):
        chat_for("llama3_1").render([ASK, both, RESULT, SAY], [TOOL])
    with pytest.raises(UserError, match="single tool-calls"):
        two = CALL.model_copy(update={"tool_calls": CALL.tool_calls * 2})
        chat_for("llama3_1").render([ASK, two, RESULT, SAY])
    with pytest.raises(UserError, match="broken-tool-call"):
        bad = CALL.model_copy(update={"tool_calls": (ToolCall(name="weather", arguments="{"),)})
        chat_for("qwen2_5").render([ASK, bad, RESULT, SAY])
    with pytest.raises(UserError, match="broken-tool"):
        chat_for("qwen2_5").prompt([ASK], ["{"])


def test_tool_calls_without_a_place_in_the_template_are_trained_as_text_and_told() -> None:
    chat = chat_for("smollm2")
    row = chat.render([ASK, CALL, RESULT, SAY])
    call = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call><|im_end|>'
    assert said(chat, row)[0] == call
    assert [problem.code for problem in row.problems] == ["tool-calls-as-text"]


@pytest.mark.parametrize("name", NAMES)
def test_a_completion_is_what_training_would_train(name: str) -> None:
    chat = chat_for(name)
    row = chat.render([SYSTEM, ASK, SAY])
    assert chat.completion("In Italy.") == [i for i, trained in zip(row.ids, row.trained, strict=True) if trained]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"]), max_size=20), min_size=2, max_size=4), st.data())
def test_any_text_is_masked_exactly(texts: list[str], data: st.DataObject) -> None:
    """Whatever people write, also line breaks at the border of a turn, the mask decodes to the answers."""
    name = data.draw(st.sampled_from(["smollm2", "qwen2_5", "deepseek_v2"]))
    chat = CHATS[name] if name in CHATS else CHATS.setdefault(name, chat_for(name))
    messages = [Message(role="assistant" if i % 2 else "user", content=text) for i, text in enumerate(texts)]
    row = chat.render(messages)
    space, end = (" ", "<｜end▁of▁sentence｜>") if name == "deepseek_v2" else ("", "<|im_end|>")
    assert said(chat, row) == [space + text + end for text in texts[1::2]]


CHATS: dict[str, Chat] = {}


def test_parse_splits_generated_text() -> None:
    assert split_reasoning("<think>\nEurope.\n</think>\n\nIn Italy.") == ("Europe.", "In Italy.")
    assert split_reasoning("In Italy.") == (None, "In Italy.")
    assert split_reasoning("<think>Euro") == ("Euro", "")
    assert chat_for("r1_distill").parse("Europe.\n</think>\n\nIn Italy.") == ("Europe.", "In Italy.")
    assert chat_for("r1_distill").parse("Euro") == ("Euro", "")
    assert chat_for("smollm2").parse("Euro") == (None, "Euro")


def test_a_tokenizer_without_template_gets_a_documented_one_and_a_warning() -> None:
    chatml = tiny_tokenizer()
    chatml.chat_template = None
    chat = Chat(chatml)
    assert [w.code for w in chat.warnings] == ["no-chat-template"]
    assert said(chat, chat.render([ASK, SAY])) == ["In Italy.<|im_end|>"]
    plain = sentencepiece_like()
    assert "plain headings" in Chat(plain).warnings[0].message
    assert said(Chat(plain), Chat(plain).render([ASK, SAY])) == ["In Italy.</s>"]


def sentencepiece_like() -> Any:
    """A tokeniser that puts a space before every text, as Llama 2's does: pieces are tokenised unlike the whole."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    trainer = trainers.BpeTrainer(vocab_size=120, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    tokenizer.train_from_iterator(["### user: assistant: \n\n Where is Rome? In Italy. And Paris? In France."], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def test_a_space_before_every_piece_is_not_trained() -> None:
    """The whole text is tokenised once; `In` after a line break has no space token of its own before it."""
    tokenizer = sentencepiece_like()
    chat = Chat(tokenizer)
    row = chat.render([ASK, SAY, ASK2, SAY2])
    assert row.ids == tokenizer.encode(row.text, add_special_tokens=False)
    assert said(chat, row) == ["In Italy.</s>", "In France.</s>"]
    assert row.end_of_turn_ok


def test_padding_that_equals_the_end_of_turn_is_told_and_still_trained() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    chat = Chat(tokenizer)
    assert "pad-is-end-of-turn" in [w.code for w in chat.warnings]
    assert chat.render([ASK, SAY]).end_of_turn_ok


def test_an_end_that_is_not_eos_is_told() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.eos_token = "<|endoftext|>"
    chat = Chat(tokenizer)
    assert "eos-is-not-end-of-turn" in [w.code for w in chat.warnings]
    assert len(chat.stop_ids) == 2


def test_a_template_without_an_end_is_told_and_every_row_says_so() -> None:
    endless = "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}" + (
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    )
    chat = Chat(tiny_tokenizer(chat_template=endless))
    assert "no-end-of-turn" in [w.code for w in chat.warnings]
    assert not chat.render([ASK, SAY]).end_of_turn_ok


HOSTILE = {
    "attribute": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "syntax": "{% for m in messages %}{{ m.content ",
    "silent": "{{ messages | length }}",
    "undefined": "{{ nothing.at.all }}",
    "power": "{{ 10 ** 10 ** 10 }}",
    "repetition": "{{ 'a' * 10000000000 }}",
}


@pytest.mark.parametrize("template", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_or_broken_template_is_a_problem(template: str) -> None:
    with pytest.raises(UserError) as caught:
        Chat(tiny_tokenizer(chat_template=template))
    assert caught.value.problems[0].code in {"template-refused", "template-not-prefix-stable"}


def test_an_endless_template_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.models.template.RENDER_SECONDS", 0.2)
    endless = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}"
    with pytest.raises(UserError, match="did not finish"):
        Chat(tiny_tokenizer(chat_template=endless))


def test_an_oversized_template_is_refused() -> None:
    with pytest.raises(UserError, match="template-too-long"):
        Chat(tiny_tokenizer(chat_template="x" * 200_001))


def test_the_hash_follows_template_and_special_tokens() -> None:
    one, other = Chat(tiny_tokenizer()), Chat(tiny_tokenizer())
    assert one.hash == other.hash
    assert Chat(tiny_tokenizer(chat_template=CHAT_TEMPLATE + " ")).hash != one.hash
    tokenizer = tiny_tokenizer()
    tokenizer.eos_token = "<|endoftext|>"
    assert Chat(tokenizer).hash != one.hash


REAL = {"qwen2_5": "qwen2_5", "qwen3": "qwen3", "r1_distill": "deepseek_r1_distill", "llama3_1": "llama3_1"}


@pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="needs the files of trl: pip install --no-deps trl")
@pytest.mark.parametrize("name", REAL)
def test_our_short_templates_render_as_the_families_own(name: str) -> None:
    spec = importlib.util.find_spec("trl")
    assert spec is not None and spec.submodule_search_locations is not None
    real = Path(spec.submodule_search_locations[0]) / "chat_templates" / f"{REAL[name]}.jinja"
    ours, theirs = chat_for(name), tokenizer_for(name)
    theirs.chat_template = real.read_text(encoding="utf-8")
    thought = thinking(SAY, "Europe first.")
    for turns in ([SYSTEM, ASK, SAY, ASK2, SAY2], [ASK, thought], [ASK, thought, ASK2, thinking(SAY2, "")]):
        assert ours.render(turns) == Chat(theirs).render(turns)


NEEDS_FORMATS = pytest.mark.skipif(not FORMATS.is_dir(), reason="needs ../shared/data/formats beside the repository")


@NEEDS_FORMATS
def test_real_conversations_have_their_answers_trained() -> None:
    chat = Chat(tiny_tokenizer())
    for line in (FORMATS / "v1_sft_demo.jsonl").read_text(encoding="utf-8").splitlines()[:100]:
        turns = [
            Message(role=turn["role"], content="".join(part["value"] for part in turn["content"]))
            for turn in json.loads(line)["messages"]
        ]
        row = chat.render(turns)
        assert said(chat, row) == [turn.content + "<|im_end|>" for turn in turns if turn.role == "assistant"]


def from_sharegpt(turn: dict[str, str]) -> Message:
    if turn["from"] == "function_call":
        call = json.loads(turn["value"])
        return Message(
            role="assistant", tool_calls=(ToolCall(name=call["name"], arguments=json.dumps(call["arguments"])),)
        )
    roles: dict[str, Any] = {"human": "user", "gpt": "assistant", "observation": "tool", "system": "system"}
    return Message(role=roles[turn["from"]], content=turn["value"])


@NEEDS_FORMATS
def test_real_conversations_with_tools_have_every_assistant_turn_trained() -> None:
    """60 of glaive's conversations: 1 to 6 assistant turns each, tool calls among them."""
    chat = chat_for("qwen2_5")
    for source in json.loads((FORMATS / "glaive_toolcall_en_demo.json").read_text(encoding="utf-8"))[:60]:
        turns = [from_sharegpt(turn) for turn in source["conversations"]]
        tools = [json.dumps(tool) for tool in json.loads(source["tools"] or "[]")]
        row = chat.render(turns, tools)
        spoken = [turn for turn in turns if turn.role == "assistant"]
        assert len(said(chat, row)) == len(spoken)
        for text, turn in zip(said(chat, row), spoken, strict=True):
            assert text.endswith("<|im_end|>")
            assert turn.content in text
            assert all(call.name in text for call in turn.tool_calls)
        assert row.end_of_turn_ok
        assert not row.problems
