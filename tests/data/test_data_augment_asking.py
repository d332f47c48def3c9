"""Perturbations and back-translation: one change at a time, facts and answers kept, nothing asked for twice."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from augment_fakes import context, row, use_fakes
from tunesmith.core.errors import UserError
from tunesmith.core.types import Example
from tunesmith.data.augment import back_translation
from tunesmith.data.augment._noise import careless, moved
from tunesmith.data.augment._options import reordered
from tunesmith.data.augment._remembered import Remembered
from tunesmith.data.augment._translators import local
from tunesmith.data.augment._typos import mistyped
from tunesmith.data.augment._wording import asked, framed, worded
from tunesmith.data.augment.back_translation import BackTranslation
from tunesmith.data.augment.perturb import Perturb

SEEDS = range(12)


def every(change: Any) -> set[str]:
    """What comes out over twelve seeds."""
    return {change(random.Random(seed)) for seed in SEEDS}


def test_a_question_is_asked_by_a_rule_where_one_fits() -> None:
    assert every(lambda dice: worded("What is gout?", dice)) == {
        "Tell me what gout is.", "Explain what gout is.", "I would like to know what gout is."
    }  # fmt: skip
    text = "It hurts. How can I treat gout?"
    assert every(lambda dice: worded(text, dice)) >= {"It hurts. Explain how to treat gout."}
    assert every(lambda dice: worded("什么是痛风？", dice)) == {"痛风是什么？", "请解释一下什么是痛风。"}
    assert "一名患者发热，应该怎样治疗？" in every(lambda dice: worded("一名患者发热，应该如何治疗？", dice))


def test_else_a_frame_stands_around_the_question_and_its_label_stays_before_it() -> None:
    text = "Some text. It is long.\n\nQuestion: Does gout hurt?"
    assert text[slice(*asked(text))] == "Does gout hurt?"
    for said in every(lambda dice: worded(text, dice)):
        assert said.startswith("Some text. It is long.\n\nQuestion: ") and "Does gout hurt?" in said and said != text
    assert "Hello! age 40, good Thank you in advance." in every(lambda dice: framed("age 40, good", "polite", dice))
    assert worded("One. Two.", random.Random(1)) == "One. Two."  # nobody knows which of them asks


def test_options_move_and_the_letter_of_the_answer_moves_along() -> None:
    parent = row("Which is a colour?\nA. stone\nB. red\nC. bread", "B. red", target="B")
    for seed in SEEDS:
        new = reordered(parent, random.Random(seed))
        if new is not None:
            lines = new.messages[0].content.split("\n")
            assert sorted(line[3:] for line in lines[1:]) == ["bread", "red", "stone"]
            assert [line[:2] for line in lines[1:]] == ["A.", "B.", "C."]
            assert f"{new.target}. red" in lines and new.messages[1].content == f"{new.target}. red"


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ("A. stone\nB. red\nC. all of the above", "A"),  # an option speaks of others
        ("A. stone\nB. red", "It is B, not C."),  # a letter inside a sentence
        ("A. stone\nC. red", "A"),  # a letter is missing
        ("A. stone\nB. red", "E"),  # no such option
    ],
)
def test_options_stay_where_moving_them_is_not_safe(options: str, answer: str) -> None:
    assert reordered(row(f"Which?\n{options}", answer), random.Random(1)) is None


def test_an_answer_that_names_no_letter_stays() -> None:
    made = [reordered(row("Which?\nA. stone\nB. red", "red"), random.Random(seed)) for seed in SEEDS]
    assert {new.messages[1].content for new in made if new} == {"red"}


def test_slips_spare_numbers_denials_quotations_and_words_of_the_answer() -> None:
    text = 'Thirty patients never had "quoted words" while fever lasted 12 days'
    for said in every(lambda dice: mistyped(text, dice, rate=1.0, kept={"fever"})):
        for kept in ("Thirty", "never", '"quoted words"', "fever", "12"):
            assert kept in said
        assert said != text and len(said.split()) == len(text.split())


def test_chinese_slips_sound_the_same_and_make_no_other_word() -> None:
    pypinyin = pytest.importorskip("pypinyin")
    text = "一名患者经常头痛，不知道应该如何治疗。"
    for said in every(lambda dice: mistyped(text, dice, rate=0.01, kept={"治疗"})):
        changed = [(a, b) for a, b in zip(text, said, strict=True) if a != b]
        assert len(changed) == 1 and "治疗" in said and "不" in said
        assert pypinyin.lazy_pinyin(changed[0][0]) == pypinyin.lazy_pinyin(changed[0][1])


def test_carelessness_changes_neither_words_nor_guarded_text() -> None:
    text = 'The ward, as he said, was "Quite, calm." Why was it so?'
    for said in every(lambda dice: careless(text, dice)):
        assert said != text and '"Quite, calm."' in said
        assert [c for c in said.lower() if c.isalpha()] == [c for c in text.lower() if c.isalpha()]


def test_only_sentences_that_lean_on_nothing_change_places() -> None:
    """This one and the one after it lean on what came before, so only `Wards` and `Nurses` can be exchanged."""
    text = "Start here. Wards are calm. Nurses are kind. Patients sleep. This is so. It ends."
    assert every(lambda dice: moved(text, dice)) == {
        "Start here. Nurses are kind. Wards are calm. Patients sleep. This is so. It ends."
    }


def test_a_child_names_its_change_and_kinds_are_used_in_turn(tmp_path: Path) -> None:
    parent = row("Why do doctors assess patients with fever every morning?", "To see it rise.")
    made = list(Perturb(encoder=None, copies=3, kinds=("polite", "noise", "wording")).make([parent], context(tmp_path)))
    assert [type(new) for new in made] == [Example] * 3
    assert {new.attributes["perturbed"] for new in made if isinstance(new, Example)} == {"polite", "noise", "wording"}


def test_translated_sentences_replace_the_old_ones_where_facts_and_answer_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fake gives small letters and `physician`: the answer's `fever` stays, the record and the quotation too."""
    use_fakes(monkeypatch)
    parent = row('Every doctor saw fever.\nage: 40, ward: B\nThe doctor said "No Doctor". Was it a doctor?', "Fever.")
    (new,) = BackTranslation(encoder=None).make([parent], context(tmp_path))
    assert isinstance(new, Example)
    assert new.messages[0].content == (
        'every physician saw fever.\nage: 40, ward: B\nThe doctor said "No Doctor". was it a physician?'
    )


def test_a_sentence_that_lost_a_number_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fakes(monkeypatch)
    said = {"seven doctors ran.": "eight doctors ran.", "a doctor ran.": "the doctor was running."}
    monkeypatch.setattr(
        back_translation.BackTranslation, "_kept", lambda *_: lambda texts: [said.get(t, t) for t in texts]
    )
    (new,) = BackTranslation(encoder=None).make([row("seven doctors ran.\na doctor ran.", "So.")], context(tmp_path))
    assert isinstance(new, Example)
    assert new.messages[0].content == "seven doctors ran.\nthe doctor was running."


def test_what_was_answered_is_not_asked_again_even_after_a_torn_line(tmp_path: Path) -> None:
    asked_for: list[str] = []

    def ask(texts: Sequence[str]) -> list[str]:
        asked_for.extend(texts)
        return [text.upper() for text in texts]

    file = tmp_path / "a" / "said.jsonl"
    assert Remembered(file).answers(["a", "b", "a"], ask) == ["A", "B", "A"]
    file.write_bytes(file.read_bytes()[:-5])  # the kill came while `b` was written
    assert Remembered(file).answers(["c", "a"], ask) == ["C", "A"]
    again = Remembered(file)
    assert again.answers(["c", "b", "a"], ask) == ["C", "B", "A"] and again.asked == 1
    assert asked_for == ["a", "b", "c", "b"]


class _Endpoint(BaseHTTPRequestHandler):
    """Answers a chat completion with the user's text and the system's last word."""

    seen: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).seen.append((body["model"], self.headers["Authorization"]))
        text = body["messages"][1]["content"]
        text = (
            f"[{text}]" if "French" in body["messages"][0]["content"] else text.strip("[]").replace("doctor", "medic")
        )
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Endpoint)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_endpoint_is_asked_once_with_the_key_of_the_environment(
    tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openai", reason="needs the extra 'augment'")
    monkeypatch.setenv("MY_KEY", "secret")
    _Endpoint.seen.clear()
    settings = {"by": "endpoint", "endpoint": endpoint, "model": "m", "key": "MY_KEY", "encoder": None}
    parents = [row("Did the doctor who came yesterday see the ward?", "Yes, indeed.")]
    for _ in range(2):
        (new,) = BackTranslation(**settings).make(parents, context(tmp_path))  # type: ignore[arg-type]
        assert isinstance(new, Example)
        assert new.messages[0].content == "Did the medic who came yesterday see the ward?"
    assert _Endpoint.seen == [("m", "Bearer secret")] * 2  # there and back, once
    assert "secret" not in "".join(p.read_text() for p in tmp_path.rglob("*.jsonl"))


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such folder"):
        local(tmp_path / "nothing", None)


def test_a_local_model_translates(tmp_path: Path) -> None:
    """A tiny random M2M100 in safetensors: what it says is nonsense, but the same each time, and each text has one."""
    folder = _tiny_translator(tmp_path / "model")
    translate = local(folder, None)
    texts = ["the doctor", "ward", "the ward the doctor"]
    said = translate(texts)
    assert len(said) == 3 and said == translate(texts)
    assert not list(folder.rglob("*.bin"))


def test_a_model_that_does_not_know_a_language_code_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not know the language code"):
        local(_tiny_translator(tmp_path / "model"), ("eng", "xyz"))


def _tiny_translator(folder: Path) -> Path:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BartConfig, BartForConditionalGeneration, PreTrainedTokenizerFast

    words = ["<s>", "<pad>", "</s>", "<unk>", "the", "doctor", "ward"]
    plain = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    torch.manual_seed(1)
    small = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 32, "max_length": 8}
    model = BartForConditionalGeneration(BartConfig(vocab_size=len(words), **small, **heads))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
