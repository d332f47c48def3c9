"""Small fakes: answerers that are right or wrong on purpose, and artifacts as a run store would open them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunesmith.core.events import Events
from tunesmith.core.examples import write_examples
from tunesmith.core.files import write_text
from tunesmith.core.protocols import Context, Conversation, LikelihoodAnswerer
from tunesmith.core.types import (
    Answer,
    Base,
    Checkpoint,
    Example,
    Expert,
    Likelihood,
    Message,
    Profile,
    Snapshot,
    Split,
    Target,
    Tokens,
    Usage,
    example_id,
)
from tunesmith.evaluate.retention import items, option_texts, question_text

LABELS = ("red", "green", "blue")
GENERAL = {(question_text(item), option_texts(item)[0]): item for item in items()}


@dataclass
class FakeModel:
    """Says `table[last user text]`, knows the first `knows` general questions, and reads prose at `nats` per token."""

    name: str
    table: dict[str, str]
    knows: int = 100
    nats: float = 3.0
    seconds: float = 0.1
    favourite: str = ""  # the label it finds likeliest; empty: the one it says

    def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        usage = Usage(prompt_tokens=10, answer_tokens=4, seconds=self.seconds)
        return [Answer(text=self.table.get(c[-1].content, "?"), usage=usage) for c in conversations]

    def likelihood(
        self, conversations: Sequence[Conversation], options: Sequence[Sequence[str]]
    ) -> list[list[Likelihood]]:
        return [self._row(c[-1].content, row) for c, row in zip(conversations, options, strict=True)]

    def _row(self, question: str, options: Sequence[str]) -> list[Likelihood]:
        item = GENERAL.get((question, options[0]))
        if item is None:
            best = self.favourite or self.table.get(question, options[-1])
        elif item in items()[: self.knows]:
            best = options[item.answer]
        else:
            best = options[item.answer - 1]
        return [Likelihood(log_probability=-1.0 if option == best else -4.0, tokens=2) for option in options]

    def text_likelihood(self, texts: Sequence[str]) -> list[Likelihood]:
        return [Likelihood(log_probability=-self.nats * 50, tokens=50) for _ in texts]


def example(number: int, target: str, *, split: Split = "test", group: str | None = None, **attributes: str) -> Example:
    """Row `number`, asking for its colour."""
    messages = (
        Message(role="system", content="Name the colour."),
        Message(role="user", content=f"thing {number}"),
        Message(role="assistant", content=target),
    )
    return Example(
        id=example_id(messages, target),
        messages=messages,
        target=target,
        group=group,
        attributes=attributes,
        split=split,
        place=f"things.csv:{number}",
    )


def colours(number: int) -> list[Example]:
    """`number` test rows whose labels take turns; sex takes turns too."""
    return [example(n, LABELS[n % 3], sex="female" if n % 2 else "male") for n in range(number)]


def right_answers(rows: Sequence[Example], *, wrong: int = 0, says: str = "red and green") -> dict[str, str]:
    """User text -> the right label, but `says` for the first `wrong` rows."""
    return {row.messages[1].content: says if place < wrong else row.reference for place, row in enumerate(rows)}


def base_artifact() -> Base:
    return Base(
        id="base-1",
        name="tiny",
        revision="r1",
        digest="d1",
        architecture="LlamaForCausalLM",
        parameters=1000,
        active_parameters=1000,
        layers=2,
        hidden=32,
        vocabulary=100,
        context=512,
        licence="Apache-2.0",
    )


def expert_artifact(adapter: str | None = "adapter") -> Expert:
    return Expert(id="exp-1", checkpoint="ckpt-1", base_path="base", adapter_path=adapter, chat_template_hash="abc")


def untrained() -> Expert:
    """The base model itself, as an expert."""
    return expert_artifact(adapter=None).model_copy(update={"checkpoint": None})


def profile_of(*targets: Target, labels: tuple[str, ...] = LABELS, protect: tuple[str, ...] = ("sex",)) -> Profile:
    task = "classification" if labels else "generation"
    return Profile(
        id="prof-1",
        problem="Name colours",
        task=task,
        labels=labels,
        targets=targets,
        protect=protect,
    )


def snapshot_of(folder: Path, rows: Sequence[Example]) -> Snapshot:
    folder.mkdir(parents=True, exist_ok=True)
    write_examples(folder / "examples.parquet", rows)
    return Snapshot(id="snap-1", rows_in=len(rows), kept=len(rows), splits={"test": len(rows)}, folder=folder)


def tokens_artifact() -> Tokens:
    return Tokens(
        id="tok-1",
        chat_template_hash="abc",
        rows={"train": 10},
        tokens=100,
        trained=20,
        cut=0,
        rows_cut=0,
        rows_untrained=0,
        end_of_turn_missing=0,
        reasoning_lost=0,
        shared_prefix=3,
    )


def checkpoint_of(folder: Path) -> Checkpoint:
    folder.mkdir(parents=True, exist_ok=True)
    points = [
        f'{{"step": {s}, "loss": {2 / s:.4f}, "learning_rate": {0.0002 * (1 - s / 40):.6f}}}\n' for s in range(1, 31)
    ]
    write_text(folder / "curves.jsonl", "".join(points))
    return Checkpoint(
        id="ckpt-1",
        base="base-1",
        base_path="base",
        base_revision="r1",
        strategy={"use": "lora", "rank": 16},
        trainable=100,
        steps=30,
        epochs=2.0,
        seed=17,
        loss_first=2.0,
        loss_last=0.1,
        chat_template_hash="abc",
        seconds=12.0,
        tokens_per_second=900.0,
        peak_memory_gb=1.5,
        versions={"torch": "2.13.0"},
        folder=folder,
    )


def context_of(folder: Path, base: LikelihoodAnswerer, expert: LikelihoodAnswerer, events: Events) -> Context:
    """A context whose `open` gives `base` for a Base and `expert` for an Expert."""

    @contextlib.contextmanager
    def opened(artifact: Base | Expert) -> Iterator[LikelihoodAnswerer]:
        yield base if isinstance(artifact, Base) else expert

    folder.mkdir(parents=True, exist_ok=True)
    return Context(root=folder, out=folder, scratch=folder, events=events, seed=7, run="run-1", open=opened)
