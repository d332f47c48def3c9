"""A calculator while the model writes: what it computes, what it leaves to the model, and how its digits get in."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes import tiny_model_folder
from reason_fakes import base_in
from tunesmith.core.types import Expert, Message
from tunesmith.models.generate import Generation, generate
from tunesmith.reason.answerer import ExpertAnswerer, open_answerer
from tunesmith.reason.calculator import calculated

ASK = [Message(role="user", content="The capital?")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Dose a day: 4 * 250 =", " 1000"),
        ("Dose a day: 4 * 250 = ", "1000"),
        ("Financed: 4100 euros - 300 euros =", " 3800"),
        ("3 * 4 = 12\nthen 12 + 1 =", " 13"),
        ("3 * 4 = 12 + 1 =", " 13"),
        ("owed: 5 - 8 =", " -3"),
        ("a share: 1 / 8 =", " 0.125"),
        ("2 * (3 + 4) =", " 14"),
        ("1,200 * 3 =", " 3600"),
    ],
)
def test_the_result_of_numbers(text: str, said: str) -> None:
    assert calculated(text) == said


@pytest.mark.parametrize(
    "text",
    [
        "4 * 250 = 1000",  # there is no sign at its end
        "The price =",  # no number
        "x =",
        "12 =",  # no operator
        "4x + 1 =",  # a letter that is no unit
        "20 + 10% =",  # 20.1 or 22
        "7 / 3 =",  # no end of decimals
        "7 / 0 =",
        "12\n=",  # on another line
        "9 + " * 100 + "9 =",  # more than is read: its beginning would be cut off
    ],
)
def test_what_is_left_to_the_model(text: str) -> None:
    assert calculated(text) is None


def test_an_expert_with_a_calculator_writes_its_digits(tmp_path: Path) -> None:
    """The base never has one. What is dictated is not the model's: it counts as forced, without a log-probability."""
    base = base_in(tiny_model_folder(tmp_path, "llama", initializer_range=0.3))
    expert = Expert(
        checkpoint=None,
        base_path=base.path,
        chat_template_hash=base.chat_template_hash,
        reasoning={"calculator": True},
    )
    with open_answerer(base) as plain, open_answerer(expert) as other:
        assert getattr(plain, "calculator", None) is None
        assert isinstance(other, ExpertAnswerer)
        model = other.model
        assert getattr(model, "calculator", None) is calculated
        tokenizer = model.chat.tokenizer  # type: ignore[attr-defined]
        equation, result = (tokenizer.encode(text, add_special_tokens=False) for text in ("4 * 250 =", " 1000"))
        assert model._dictate(equation) == result  # type: ignore[attr-defined]
        assert list(model._dictate(equation[:-1])) == []  # type: ignore[attr-defined]
        prompt = model.chat.prompt(ASK)  # type: ignore[attr-defined]
        how = Generation(12, scored=True, dictate=lambda ids: result if len(ids) == 3 else ())
        made = generate(model.model, [prompt], how)[0]  # type: ignore[attr-defined]
        own = generate(model.model, [prompt], Generation(3, scored=True))[0]  # type: ignore[attr-defined]
    assert made.ids[:3] == own.ids and made.ids[3 : 3 + len(result)] == result
    assert made.forced == len(result)
