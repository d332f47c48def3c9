"""Talking to a model on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from tunesmith.app.workshop import Workshop
from tunesmith.core.types import Message


def once(workshop: Workshop, project: Path, text: str, *, base: bool, at_most_tokens: int) -> dict[str, Any]:
    """One question, one answer, as plain JSON values."""
    with workshop.talk(project, base=base) as talk:
        answer = talk.answerer.answer(
            [[*talk.system, Message(role="user", content=text)]], at_most_tokens=at_most_tokens
        )
    said: dict[str, Any] = answer[0].model_dump(mode="json")
    return {"model": "base" if base else "expert", "question": text, **said}


def converse(workshop: Workshop, project: Path, *, base: bool, at_most_tokens: int) -> None:
    """A conversation until end of input or an empty line; the project's system prompt stands first."""
    console = Console()
    with workshop.talk(project, base=base) as talk:
        console.print(f"[dim]{talk.answerer.name}; an empty line ends[/]")
        turns: list[Message] = list(talk.system)
        while text := _asked(console):
            turns.append(Message(role="user", content=text))
            answer = talk.answerer.answer([turns], at_most_tokens=at_most_tokens)[0]
            if answer.reasoning:
                console.print(answer.reasoning, style="dim", markup=False)
            console.print(answer.text, markup=False)
            turns.append(Message(role="assistant", content=answer.text))


def _asked(console: Console) -> str:
    try:
        return console.input("[bold cyan]> [/]").strip()
    except EOFError:
        return ""
