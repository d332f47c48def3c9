"""Where the assistant speaks in a rendered conversation: found by construction, never by searching for markers.

The served prompt of assistant turn i is the rendering of the turns before it, generation prompt included; what the
model must then say runs from there to its end-of-turn token. Two ways lead to one text for all turns:

* *as rendered*: the template's rendering of the whole conversation begins with the served prompt of every turn
  (SmolLM2, Qwen2.5, Llama, DeepSeek-V2 and V3): the prompts' lengths are where the turns begin.
* *spliced*: the template rewrites turns (R1 and Qwen3 delete reasoning from earlier turns, R1-Distill even from the
  last; R1-Distill's generation prompt opens `<think>`, which its rendered turns do not have). Then the text is put
  together from the first served prompt, what the model says, and the template's own text between two turns, which
  a sentinel in place of the content makes visible. A turn whose served prompt is another text is reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tunesmith.core.errors import Problem, UserError, shorten
from tunesmith.core.types import Message

OPEN, CLOSE = "<think>", "</think>"
SENTINEL = "\ue0a7tunesmith\ue0a8"


class Render(Protocol):
    """Messages to text, see `ChatTemplate.render`, with the tools already given."""

    def __call__(self, messages: Sequence[Message], *, prompt: bool) -> str:
        """The text of `messages`; with `prompt` it ends with the generation prompt."""
        ...


@dataclass(frozen=True)
class Ending:
    """What follows an assistant's content.

    Args:
        tail: the template's text after the content of a last assistant turn (`<|im_end|>` and a line break).
        stop: the part of `tail` that the model must say to end its turn (`<|im_end|>`).
        marks: texts of the special tokens, for turns that end in another way (Llama's `<|eom_id|>`).
    """

    tail: str
    stop: str
    marks: tuple[str, ...] = ()

    @property
    def ends_with_mark(self) -> bool:
        """Whether `stop` ends with a special token, so that the model can learn to stop."""
        return any(self.stop.endswith(mark) for mark in self.marks)

    def length(self, body: str) -> int:
        """How many characters of `body`, an assistant turn as rendered, the model has to say.

        Raises:
            UserError: no end of turn stands at the end of `body`.
        """
        if body.endswith(self.tail):
            return len(body) - len(self.tail) + len(self.stop)
        said = body.rstrip()
        if any(said.endswith(mark) for mark in self.marks):
            return len(said)
        found = f"the end of an assistant turn cannot be found in {shorten(body[-60:])!r}"
        raise UserError(Problem("end-of-turn-not-found", found, "change chat_template in the model folder"))


@dataclass(frozen=True)
class Turn:
    """One assistant turn inside a text.

    Args:
        message: its index in the conversation.
        start, end: characters of what the model says, end-of-turn token included.
        served_alike: the text before `start` is the prompt that serving would give.
        reasoning_lost: the data has reasoning that this template has no place for.
    """

    message: int
    start: int
    end: int
    served_alike: bool = True
    reasoning_lost: bool = False


def lay_out(
    render: Render, messages: Sequence[Message], ending: Ending, *, last_only: bool = False
) -> tuple[str, list[Turn]]:
    """The text of a conversation up to its last assistant turn, and where the assistant speaks in it.

    Turns after the last assistant turn are left out: nothing after them could be trained.

    Args:
        render: renders a conversation.
        messages: the turns.
        ending: the template's end of turn, see `find_ending`.
        last_only: find the last assistant turn only; what stands before it is its served prompt in any case.

    Raises:
        UserError: the template refuses the conversation, loses content or tool calls, or a turn cannot be found.
    """
    asked = [i for i, message in enumerate(messages) if message.role == "assistant"]
    if not asked:
        raise UserError(Problem("no-assistant-turn", "there is no assistant turn, so nothing can be trained"))
    messages = messages[: asked[-1] + 1]
    prompts = {i: render(messages[:i], prompt=True) for i in (asked[-1:] if last_only else asked)}
    text, turns = _as_rendered(render, messages, prompts, ending) or _spliced(render, messages, prompts, ending)
    for turn in turns:
        _check_complete(messages[turn.message], text[turn.start : turn.end])
    return text, turns


def find_ending(render: Render, marks: Sequence[str]) -> Ending:
    """The template's end of turn, from a sentinel in place of an answer.

    Args:
        render: renders a conversation.
        marks: texts of the tokeniser's special tokens.

    Raises:
        UserError: the template does not show the assistant's content.
    """
    question = Message(role="user", content="probe")
    text = render([question, Message(role="assistant", content=SENTINEL)], prompt=False)
    _, tail = _around_sentinel(text)
    ends = [tail.index(mark) + len(mark) for mark in marks if mark and mark in tail]
    return Ending(tail, tail[: min(ends, default=len(tail))], tuple(mark for mark in marks if mark))


def with_thought(prompt: str, think: str) -> str:
    """A served prompt with reasoning switched on or off, as R1's and Qwen3's authors do it.

    Args:
        prompt: the template's own, generation prompt included.
        think: `on`: it ends with an open thought; `off`: with an empty one that is closed; `auto`: as it is.
    """
    bare = prompt.rstrip()
    if think == "on" and not bare.endswith(OPEN):
        if not bare.endswith(CLOSE):
            return f"{prompt}{OPEN}\n"
        before = bare.removesuffix(CLOSE).rstrip()
        opened = before.removesuffix(OPEN)
        return f"{opened}{OPEN}\n" if opened != before else f"{before}{OPEN}"  # DeepSeek V3.1 only closes one
    if think == "off" and not bare.endswith(CLOSE):
        return (f"{bare}\n\n" if bare.endswith(OPEN) else f"{prompt}{OPEN}\n\n") + f"{CLOSE}\n\n"
    return prompt


def _as_rendered(
    render: Render, messages: Sequence[Message], prompts: Mapping[int, str], ending: Ending
) -> tuple[str, list[Turn]] | None:
    """The whole rendering with its turns, where it begins with every served prompt and keeps all reasoning."""
    whole = render(messages, prompt=False)
    if not all(whole.startswith(prompt) for prompt in prompts.values()):
        return None
    asked, turns = [*prompts], []
    for i, following in zip(asked, [*asked[1:], None], strict=True):
        upto: str | None = whole
        if following is not None:
            upto = _up_to_turn(render, messages[:following], i, prompts[following], ending)
        if upto is None or not upto.startswith(prompts[i]):
            return None
        said = upto[len(prompts[i]) :]
        if not _keeps_reasoning(messages[i], said):
            return None
        turns.append(Turn(i, len(prompts[i]), len(prompts[i]) + ending.length(said)))
    return whole, turns


def _up_to_turn(render: Render, before: Sequence[Message], last: int, prompt: str, ending: Ending) -> str | None:
    """The part of `prompt`, the rendering of `before`, that ends with assistant turn `last`; None: cannot be told."""
    alone = render(before[: last + 1], prompt=False)
    if prompt.startswith(alone):
        return alone
    following = _between(render, before, last, ending)
    return prompt.removesuffix(following) if prompt.endswith(following) else None


def _spliced(
    render: Render, messages: Sequence[Message], prompts: Mapping[int, str], ending: Ending
) -> tuple[str, list[Turn]]:
    """First prompt, what the model says, the template's text up to the next turn, and so on."""
    text, rest = "", ""
    turns: list[Turn] = []
    for i, prompt in prompts.items():
        text = text + _between(render, messages[:i], turns[-1].message, ending) if turns else prompt
        body, lost = _spoken(render, messages[:i], messages[i], prompt)
        length = ending.length(body)
        turns.append(Turn(i, len(text), len(text) + length, served_alike=text == prompt, reasoning_lost=lost))
        text, rest = text + body[:length], body[length:]
    return text + rest, turns


def _between(render: Render, before: Sequence[Message], last: int, ending: Ending) -> str:
    """The template's text from what ends assistant turn `last` to the end of the next generation prompt."""
    bare = before[last].model_copy(update={"content": SENTINEL, "reasoning": None, "tool_calls": ()})
    _, after = _around_sentinel(render([*before[:last], bare, *before[last + 1 :]], prompt=True))
    if not after.startswith(ending.stop):
        raise UserError(_unstable("the text between two assistant turns cannot be told from the turns"))
    return after[len(ending.stop) :]


def _spoken(render: Render, before: Sequence[Message], message: Message, prompt: str) -> tuple[str, bool]:
    """What the model says after `prompt`, with the rest of its turn, and whether reasoning was lost."""
    for form in (message, _inline(message)):
        text = render([*before, form], prompt=False)
        if text.startswith(prompt) and _keeps_reasoning(message, text[len(prompt) :]):
            return text[len(prompt) :], False
    bare = message.model_copy(update={"reasoning": None})
    shown = message.model_copy(update={"content": SENTINEL, "reasoning": None, "tool_calls": ()})
    head, _ = _around_sentinel(render([*before, shown], prompt=False))
    text = render([*before, bare], prompt=False)
    if not (text.startswith(head) and prompt.startswith(head)):
        raise UserError(_unstable("the rendered turn does not begin where the generation prompt ends"))
    opened, rest = prompt[len(head) :], text[len(head) :]
    return _with_reasoning(message.reasoning, prompt, opened, rest)


def _with_reasoning(reasoning: str | None, prompt: str, opened: str, rest: str) -> tuple[str, bool]:
    """Reasoning before `rest`, in DeepSeek's and Qwen's layout, given what the generation prompt has opened."""
    thinking = f"{reasoning.strip()}\n{CLOSE}\n\n" if reasoning and reasoning.strip() else f"\n{CLOSE}\n\n"
    if OPEN in opened and CLOSE not in opened:
        return thinking + rest, False
    if opened.strip() and CLOSE not in opened:
        raise UserError(_unstable(f"the generation prompt adds {shorten(opened)!r}, which no rendered turn has"))
    if reasoning is None:
        return rest, False
    if prompt.rstrip().endswith(CLOSE):
        return rest, bool(reasoning.strip())
    return f"{OPEN}\n" + thinking + rest, False


def _inline(message: Message) -> Message:
    """`message` with its reasoning written into the content, for templates that show content as it is."""
    if message.reasoning is None:
        return message
    content = f"{OPEN}\n{message.reasoning.strip()}\n{CLOSE}\n\n{message.content}"
    return message.model_copy(update={"content": content, "reasoning": None})


def _keeps_reasoning(message: Message, said: str) -> bool:
    return message.reasoning is None or (CLOSE in said and message.reasoning.strip() in said)


def _around_sentinel(text: str) -> tuple[str, str]:
    before, found, after = text.partition(SENTINEL)
    if not found or SENTINEL in after:
        raise UserError(_unstable("it does not show an assistant's content exactly once"))
    return before, after


def _check_complete(message: Message, said: str) -> None:
    """Raise where content or tool calls of an assistant turn are missing in what is trained."""
    problems = []
    if message.content.strip() not in said:
        found = "the chat template drops the content of an assistant turn" + " beside tool calls" * bool(
            message.tool_calls
        )
        problems.append(Problem("content-lost", found, value=shorten(message.content)))
    for call in message.tool_calls:
        if call.name not in said:
            found = f"the chat template drops the tool call '{call.name}'"
            problems.append(Problem("tool-call-lost", found, "use a model whose chat template knows tool calls"))
    if problems:
        raise UserError(problems)


def _unstable(what: str) -> Problem:
    found = f"the chat template is not prefix-stable: {what}"
    return Problem("template-not-prefix-stable", found, "change chat_template in the model folder")
