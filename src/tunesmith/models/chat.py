"""Conversations in a model's tokens, with a label mask found by construction.

Trained are exactly the tokens that the model itself would say when served: content, reasoning and tool calls of the
assistant turns, and the token that ends each turn. Where they lie follows from rendering the conversation up to each
assistant turn (`tunesmith.models.turns`), and is checked against the ids that serving would give.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.types import Message
from tunesmith.models.template import ChatTemplate
from tunesmith.models.turns import CLOSE, OPEN, Turn, find_ending, lay_out, with_thought

Reasoning = Literal["keep", "drop", "empty", "as_data"]

_UNSTABLE = "template-not-prefix-stable"


@dataclass(frozen=True)
class Rendered:
    """One conversation in tokens.

    Args:
        ids: token ids [T].
        trained: for each token, whether it carries loss [T].
        text: what was tokenised.
        spans: (start, end) characters in `text` of each trained turn.
        end_of_turn_ok: every trained turn ends with the end-of-turn token, and that carries loss.
        reasoning_lost: assistant turns whose reasoning the template has no place for.
        problems: turns that do not stand after the prompt that serving would give (`template-not-prefix-stable`),
            tools that the template does not show (`tools-ignored`), tool calls that it has no place for and that were
            written into the content (`tool-calls-as-text`).
    """

    ids: list[int]
    trained: list[bool]
    text: str
    spans: list[tuple[int, int]]
    end_of_turn_ok: bool
    reasoning_lost: int = 0
    problems: tuple[Problem, ...] = field(default=())


class Chat:
    """A tokeniser with its chat template.

    Args:
        tokenizer: a transformers tokeniser.

    Attributes:
        hash: digest of the template in force and its special tokens.
        warnings: what the user should know about this template.

    Raises:
        UserError: the template cannot be used: it leaves its sandbox, does not end, or hides the assistant's content.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._template = ChatTemplate(tokenizer)
        self._special = dict(_special_tokens(tokenizer))
        self._ending = find_ending(self._template.render, tuple(self._special))
        self.hash = self._template.hash
        self.warnings = (*self._template.warnings, *self._ending_warnings())

    @classmethod
    def of(cls, folder: Path | str) -> Chat:
        """The chat of the model in `folder`; only local files are read."""
        from tunesmith.models.load import load_tokenizer

        return cls(load_tokenizer(Path(folder)))

    @cached_property
    def end_of_turn_ids(self) -> tuple[int, ...]:
        """The token(s) with which the model ends its turn; empty where the template has none."""
        return tuple(self._encode(self._ending.stop)) if self._ending.stop else ()

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """Tokens at which generation ends: the end-of-turn token and the tokeniser's end of text."""
        ends = {self.tokenizer.eos_token_id, *self.end_of_turn_ids[-1:]}
        return frozenset(i for i in ends if i is not None)

    @cached_property
    def opens_thinking(self) -> bool:
        """Whether the generation prompt already opens `<think>`, so that generated text begins inside it."""
        text = self._template.render([Message(role="user", content="probe")], prompt=True)
        return text.rfind(OPEN) > text.rfind(CLOSE)

    def prompt(
        self, messages: Sequence[Message], tools: Sequence[str] = (), *, think: Literal["auto", "on", "off"] = "auto"
    ) -> list[int]:
        """Token ids of the served prompt: the template's own rendering, generation prompt included.

        Args:
            messages: the turns so far.
            tools: each tool's JSON schema as JSON text.
            think: `on` ends it inside a thought, `off` behind an empty one; `auto` leaves it as the template has it.

        Raises:
            UserError: the template refuses the conversation.
        """
        return self._encode(with_thought(self._template.render(messages, tools, prompt=True), think))

    def render(
        self, messages: Sequence[Message], tools: Sequence[str] = (), *, reasoning: Reasoning = "as_data"
    ) -> Rendered:
        """The conversation up to its last assistant turn, with the label mask.

        Args:
            messages: the turns; assistant turns with `trained=False` carry no loss.
            tools: each tool's JSON schema as JSON text.
            reasoning: `as_data` follows each message (None: none, "": left empty, text: kept); `keep` the same, but
                reasoning that cannot be kept is an error; `drop` none; `empty` an empty block in every turn.

        Raises:
            UserError: the template refuses the conversation, loses content or tool calls, or a turn cannot be found
                exactly; with `keep`, reasoning is lost.
        """
        return self._render(messages, tools, reasoning, last_only=False)

    def rows(
        self, messages: Sequence[Message], tools: Sequence[str] = (), *, reasoning: Reasoning = "as_data"
    ) -> list[Rendered]:
        """The conversation in as many rows as it takes for every trained turn to follow the prompt it is served with.

        One row, as `render` gives it, unless the template rewrites earlier turns; then one row for each trained turn.
        Arguments and errors as for `render`.
        """
        whole = self.render(messages, tools, reasoning=reasoning)
        if all(problem.code != _UNSTABLE for problem in whole.problems):
            return [whole]
        ends = [i + 1 for i, message in enumerate(messages) if message.role == "assistant" and message.trained]
        return [self._render(messages[:end], tools, reasoning, last_only=True) for end in ends]

    def _render(
        self, messages: Sequence[Message], tools: Sequence[str], reasoning: Reasoning, *, last_only: bool
    ) -> Rendered:
        spoken = [_with_reasoning(message, reasoning) for message in messages]

        def render(messages: Sequence[Message], *, prompt: bool) -> str:
            return self._template.render(messages, tools, prompt=prompt)

        text, turns = lay_out(render, spoken, self._ending, last_only=last_only)
        lost = [turn for turn in turns if turn.reasoning_lost]
        if lost and reasoning == "keep":
            raise UserError([_lost(turn.message) for turn in lost])
        ids, owner = self._tokenise(text, turns)
        live = [k for k, turn in enumerate(turns) if messages[turn.message].trained]
        problems = [_unlike(turns[k].message) for k in live if not self._served_alike(k, turns, text, ids, owner)]
        if tools and not self._shows_tools(spoken[: turns[0].message], tools):
            problems.append(Problem("tools-ignored", "the chat template does not show tools to the model"))
        if any(message.tool_calls for message in spoken) and not self._template.shows_tool_calls:
            problems.append(Problem("tool-calls-as-text", "the chat template has no tool calls: they are text here"))
        return Rendered(
            ids=ids,
            trained=[k in live for k in owner],
            text=text,
            spans=[(turns[k].start, turns[k].end) for k in live],
            end_of_turn_ok=self._all_end(ids, owner, live),
            reasoning_lost=len(lost),
            problems=tuple(problems),
        )

    def completion(self, text: str) -> list[int]:
        """Token ids of an assistant turn that says `text`, end included, as they follow the generation prompt."""
        question = Message(role="user", content="probe")
        row = self.render([question, Message(role="assistant", content=text)])
        return [i for i, trained in zip(row.ids, row.trained, strict=True) if trained]

    def parse(self, text: str, *, think: Literal["auto", "on", "off"] = "auto") -> tuple[str | None, str]:
        """Generated text as (reasoning, answer), split at `</think>`.

        Reasoning is None where the text has none. Text that was cut inside its reasoning has an empty answer.

        Args:
            text: what was generated.
            think: as the prompt was made, see `prompt`.
        """
        return split_reasoning(text, inside=think == "on" or (think == "auto" and self.opens_thinking))

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def _tokenise(self, text: str, turns: Sequence[Turn]) -> tuple[list[int], list[int]]:
        """Ids of `text`, and for each the number of the turn it belongs to, or -1.

        The text is tokenised piece by piece, cut where turns begin and end, so the mask is exact. Where that gives
        other ids than the whole (SentencePiece puts a space before every piece) the whole is taken and its offsets
        tell the turns, except where one token would lie on both sides of a turn's beginning: served, the
        prompt's tokens are final before the model speaks.
        """
        cuts = [0, *(cut for turn in turns for cut in (turn.start, turn.end)), len(text)]
        pieces = [self._encode(text[a:b]) for a, b in itertools.pairwise(cuts)]
        ids = [i for piece in pieces for i in piece]
        owner = [k // 2 if k % 2 else -1 for k, piece in enumerate(pieces) for _ in piece]
        if ids == self._encode(text):
            return ids, owner
        return self._by_offsets(text, turns) or (ids, owner)

    def _served_alike(self, k: int, turns: Sequence[Turn], text: str, ids: Sequence[int], owner: Sequence[int]) -> bool:
        """Whether the ids before turn `k` are those of its served prompt."""
        begins = owner.index(k) if k in owner else len(owner)
        return turns[k].served_alike and ids[:begins] == self._encode(text[: turns[k].start])

    def _shows_tools(self, before: Sequence[Message], tools: Sequence[str]) -> bool:
        with_tools = self._template.render(before, tools, prompt=True)
        return with_tools != self._template.render(before, prompt=True)

    def _by_offsets(self, text: str, turns: Sequence[Turn]) -> tuple[list[int], list[int]] | None:
        """The ids of the whole text with owners by character; None where a token straddles the border of a turn."""
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        owner = []
        for a, b in encoded["offset_mapping"]:
            if any(a < cut < b for turn in turns for cut in (turn.start, turn.end)):
                return None
            owner.append(next((k for k, turn in enumerate(turns) if turn.start <= a and b <= turn.end and a < b), -1))
        return encoded["input_ids"], owner

    def _all_end(self, ids: Sequence[int], owner: Sequence[int], live: Sequence[int]) -> bool:
        """Whether the last token of every trained turn is one that ends turns."""
        last = {k: i for i, k in zip(ids, owner, strict=True)}
        ends = {*self.end_of_turn_ids[-1:], *self._special.values()} if self._ending.ends_with_mark else set()
        return all(last.get(k) in ends for k in live)

    def _ending_warnings(self) -> tuple[Problem, ...]:
        if not self._ending.ends_with_mark:
            found = (
                "the chat template ends an assistant turn without a special token, so the model cannot learn to stop"
            )
            return (Problem("no-end-of-turn", found, "end assistant turns with eos_token in chat_template"),)
        end, warnings = self.end_of_turn_ids[-1], []
        if end == self.tokenizer.pad_token_id:
            found = f"the padding token is the end-of-turn token {self._ending.stop.strip()!r}"
            hint = (
                "tunesmith trains it all the same; trainers that mask padding by id would never teach the model to stop"
            )
            warnings.append(Problem("pad-is-end-of-turn", found, hint))
        if end != self.tokenizer.eos_token_id:
            found = (
                f"turns end with {self._ending.stop.strip()!r}, but the tokeniser's eos is {self.tokenizer.eos_token!r}"
            )
            hint = "a server that stops at eos alone runs on: give it both (generation_config.json: eos_token_id)"
            warnings.append(Problem("eos-is-not-end-of-turn", found, hint))
        return tuple(warnings)


def split_reasoning(text: str, *, inside: bool = False) -> tuple[str | None, str]:
    """`text` as (reasoning or None, answer), both without outer spaces; `inside`: it begins inside the reasoning."""
    before, closed, after = text.partition(CLOSE)
    if closed:
        return before.strip().removeprefix(OPEN).strip(), after.strip()
    if inside or text.lstrip().startswith(OPEN):
        return text.strip().removeprefix(OPEN).strip(), ""
    return None, text.strip()


def _with_reasoning(message: Message, reasoning: Reasoning) -> Message:
    """An assistant turn with its reasoning out of the content and set as asked; other turns as they are."""
    if message.role != "assistant":
        return message
    thought, content = message.reasoning, message.content
    if thought is None and CLOSE in content:
        thought, content = split_reasoning(content)
    thought = {"drop": None, "empty": ""}.get(reasoning, thought)
    return message.model_copy(update={"reasoning": thought, "content": content})


def _special_tokens(tokenizer: Any) -> dict[str, int]:
    """Text -> id of every token that the tokeniser calls special."""
    added = {token.content: i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return added | dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True))


def _unlike(turn: int) -> Problem:
    found = f"turn {turn + 1} is not trained after the prompt it is served with: the template rewrites earlier turns"
    return Problem(_UNSTABLE, found, "make one row of each assistant turn (Chat.rows does), or drop the reasoning")


def _lost(turn: int) -> Problem:
    found = f"the chat template has no place for the reasoning of turn {turn + 1}"
    return Problem("reasoning-lost", found, "use reasoning: drop, or a model whose generation prompt lets it think")
