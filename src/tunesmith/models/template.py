"""A tokeniser's chat template: rendered in a sandbox, within a time limit, with messages in the form it wants.

`transformers.PreTrainedTokenizerBase.apply_chat_template` compiles templates in jinja2's
`ImmutableSandboxedEnvironment` (`transformers/utils/chat_template_utils.py`, `_cached_compile_jinja_template`),
which refuses attributes that lead out of the template and limits `range` to 100,000. It sets no limit of time;
`ChatTemplate.render` does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from tunesmith.core.errors import Problem, UserError, shorten
from tunesmith.core.ids import canonical_json, digest_bytes
from tunesmith.core.types import Message, ToolCall
from tunesmith.models.timelimit import time_limit

RENDER_SECONDS = 5.0
LONGEST_TEMPLATE = 200_000
_LARGEST_FACTOR = 1_000

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""For a tokeniser without a template that knows `<|im_start|>` and `<|im_end|>`."""

PLAIN = (
    "{{ bos_token or '' }}"
    "{% for message in messages %}"
    "{{ '### ' + message['role'] + ':\n' + message['content'] }}"
    "{{ eos_token if message['role'] == 'assistant' else '\n\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '### assistant:\n' }}{% endif %}"
)
"""For a tokeniser without a template and without ChatML's tokens: headings, and the end-of-text token after answers."""


class ChatTemplate:
    """The template in force for one tokeniser.

    Args:
        tokenizer: a transformers tokeniser.

    Attributes:
        hash: SHA-256 over the template and the special tokens that it may write.
        warnings: what the user should know: a template that was made up, one that writes today's date.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        own = tokenizer.chat_template
        self.text: str | dict[str, str] = own or _made_up(tokenizer)
        self.warnings: tuple[Problem, ...] = () if own else (_no_template(self.text),)
        spoken = json.dumps(self.text)
        if len(spoken) > LONGEST_TEMPLATE:
            found = f"the chat template has {len(spoken):,} characters, more than {LONGEST_TEMPLATE:,}"
            raise UserError(Problem("template-too-long", found, "replace chat_template in the model folder"))
        if "strftime_now" in spoken:
            found = "the chat template writes today's date into every prompt"
            self.warnings += (Problem("template-dated", found, "expect other prompts tomorrow"),)
        for text in [self.text] if isinstance(self.text, str) else self.text.values():
            _refuse_explosive(text)
        self.hash = digest_bytes(canonical_json([self.text, tokenizer.special_tokens_map]))

    def render(self, messages: Sequence[Message], tools: Sequence[str] = (), *, prompt: bool) -> str:
        """The conversation as text.

        Args:
            messages: the turns.
            tools: each tool's JSON schema as JSON text.
            prompt: end with the generation prompt.

        Raises:
            UserError: the template refuses the conversation, fails, leaves its sandbox or takes longer than 5 seconds.
        """
        turns = [self.turn(message) for message in messages]
        return self._render(turns, parse_tools(tools), prompt)

    def turn(self, message: Message) -> dict[str, Any]:
        """`message` as the mapping that this template reads."""
        turn: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.reasoning is not None:
            turn["reasoning_content"] = message.reasoning
        if message.tool_calls and not self.shows_tool_calls:
            turn["content"] = "\n".join([message.content, *map(_as_text, message.tool_calls)]).strip()
        elif message.tool_calls:
            empty, as_text = self._tool_call_form or ("", False)
            turn["content"] = message.content or empty
            turn["tool_calls"] = [_call(call, as_text) for call in message.tool_calls]
        if message.tool_call_id:
            turn["tool_call_id"] = message.tool_call_id
        return turn

    @property
    def shows_tool_calls(self) -> bool:
        """Whether the template has a place for tool calls; where not, they are written into the content as text."""
        return self._tool_call_form is not None

    @cached_property
    def _tool_call_form(self) -> tuple[str | None, bool] | None:
        """What stands for no content beside tool calls, and whether arguments go in as JSON text; None: not shown.

        Found by trying: DeepSeek's templates concatenate arguments and want None for no content, Llama's and Qwen's
        encode arguments themselves, others fail on None.
        """
        call = ToolCall(name="probe_name", arguments='{"probe_key": 1}')
        forms: list[tuple[str | None, bool]] = [(None, False), ("", False), (None, True), ("", True)]
        shown = {form: self._probe({"content": form[0], "tool_calls": [_call(call, form[1])]}) for form in forms}
        good = [form for form in forms if "probe_name" in shown[form] and "None" not in shown[form]]
        return next((form for form in good if '"probe_key": 1' in shown[form]), good[0] if good else None)

    def _probe(self, turn: dict[str, Any]) -> str:
        try:
            return self._render([{"role": "user", "content": "probe"}, {"role": "assistant", **turn}], [], False)
        except UserError:
            return ""

    def _render(self, turns: list[dict[str, Any]], tools: list[Any], prompt: bool) -> str:
        try:
            with time_limit(RENDER_SECONDS):
                text: str = self._tokenizer.apply_chat_template(
                    turns,
                    tools=tools or None,
                    chat_template=None if self._tokenizer.chat_template else self.text,
                    add_generation_prompt=prompt,
                    tokenize=False,
                )
            return text
        except TimeoutError:
            found = f"the chat template did not finish within {RENDER_SECONDS:.0f} seconds"
        except Exception as error:
            # The template is input: whatever it raises is the user's to mend.
            found = f"the chat template refuses this conversation: {shorten(str(error), width=200)}"
        raise UserError(Problem("template-refused", found, "change the row, or chat_template in the model folder"))


def _refuse_explosive(text: str) -> None:
    """Refuse powers and multiplication by large numbers, before anything compiles the template.

    `10 ** 10 ** 9` is computed in one step of C, while compiling, and no time limit can end it. None of the 70
    templates in trl 1.16 multiplies at all.
    """
    from jinja2 import Environment, TemplateError, nodes
    from jinja2.ext import Extension, loopcontrols

    class Generation(Extension):
        """The `generation` tag that transformers adds to Jinja."""

        tags = {"generation"}  # noqa: RUF012 - Jinja reads it from the class

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    try:
        tree = Environment(extensions=[Generation, loopcontrols], autoescape=False).parse(text)
    except (TemplateError, RecursionError) as error:
        found = f"the chat template cannot be read: {shorten(str(error), width=200)}"
        raise UserError(Problem("template-refused", found, "change chat_template in the model folder")) from None
    factors = [side for product in tree.find_all(nodes.Mul) for side in (product.left, product.right)]
    large = [c for side in factors for c in (side, *side.find_all(nodes.Const)) if _is_large(c)]
    if large or any(True for _ in tree.find_all(nodes.Pow)):
        found = "the chat template computes powers or large products, which can stop the program"
        raise UserError(Problem("template-refused", found, "change chat_template in the model folder"))


def _is_large(node: Any) -> bool:
    value = getattr(node, "value", 0)
    return isinstance(value, int | float) and abs(value) > _LARGEST_FACTOR


def _as_text(call: ToolCall) -> str:
    """A tool call as Hermes, Qwen and most servers write and parse it."""
    return f'<tool_call>\n{{"name": {json.dumps(call.name)}, "arguments": {call.arguments or "{}"}}}\n</tool_call>'


def parse_tools(tools: Sequence[str]) -> list[Any]:
    """Tool schemas for templates: parsed, and a bare function wrapped as `{"type": "function", "function": ...}`.

    Raises:
        UserError: some are not JSON; all of them are told.
    """
    parsed, problems = [], []
    for tool in tools:
        try:
            value = json.loads(tool)
        except json.JSONDecodeError as error:
            problems.append(Problem("broken-tool", f"a tool's schema is not JSON: {error}", value=shorten(tool)))
            continue
        bare = isinstance(value, dict) and "function" not in value and "name" in value
        parsed.append({"type": "function", "function": value} if bare else value)
    if problems:
        raise UserError(problems)
    return parsed


def _call(call: ToolCall, as_text: bool) -> dict[str, Any]:
    arguments: Any = call.arguments
    if not as_text:
        try:
            arguments = json.loads(call.arguments or "{}")
        except json.JSONDecodeError as error:
            found = f"the arguments of the tool call '{call.name}' are not JSON: {error}"
            raise UserError(Problem("broken-tool-call", found, value=shorten(call.arguments))) from None
    shown = {"type": "function", "function": {"name": call.name, "arguments": arguments}}
    return {**shown, "id": call.id} if call.id else shown


def _made_up(tokenizer: Any) -> str:
    return CHATML if {"<|im_start|>", "<|im_end|>"} <= tokenizer.get_vocab().keys() else PLAIN


def _no_template(used: str | dict[str, str]) -> Problem:
    found = f"the model has no chat template; tunesmith uses {'ChatML' if used == CHATML else 'plain headings'}"
    return Problem("no-chat-template", found, "for serving elsewhere, save this template as the model's chat_template")
