"""A model on this machine as an `Answerer`: the base itself, or with an adapter in force."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.protocols import Conversation
from tunesmith.core.types import Answer, Likelihood, Sampling, Usage
from tunesmith.models.chat import Chat
from tunesmith.models.engines import Engine, engine_problem, into_engine
from tunesmith.models.generate import Generated, Generation, Progress, Thought, generate, stop_ids_of
from tunesmith.models.hardware import give_back_memory
from tunesmith.models.likelihood import option_likelihood, text_likelihood
from tunesmith.models.prefix import PrefixMemory
from tunesmith.models.turns import CLOSE

Think = Literal["auto", "on", "off"]
Calculator = Callable[[str], str | None]

_SIGN = "="


class LocalAnswerer:
    """Answers with a transformers model; the same conversations give the same answers.

    Args:
        model: a causal language model in evaluation mode; its weights must not change while it answers.
        chat: its tokeniser with the chat template.
        name: what answers and routes are called.
        on_progress: called with (rows done, rows in all) while a call runs.

    Attributes:
        calculator: what its answers are made to go on with, see `reason.calculator`: given the text so far, the next
            characters, or None where the model goes on by itself.
    """

    def __init__(self, model: Any, chat: Chat, name: str, *, on_progress: Progress | None = None) -> None:
        self.model = model
        self.chat = chat
        self.name = name
        self.on_progress = on_progress
        self.calculator: Calculator | None = None
        self._memory = PrefixMemory()
        self.context: int = getattr(model.config.get_text_config(), "max_position_embeddings", 1 << 30)

    def answer(self, conversations: Sequence[Conversation], *, at_most_tokens: int) -> list[Answer]:
        """One answer per conversation, in order.

        A conversation that leaves less than `at_most_tokens` of the model's context is not answered: stop `error`
        with the reason in its evidence.

        Raises:
            UserError: the chat template refuses a conversation.
        """
        prompts = [self.chat.prompt(conversation) for conversation in conversations]
        once = [range(1)] * len(prompts)
        said = self._said(prompts, once, Generation(at_most_tokens, self.stop_ids))
        return [answer for answers in said for answer in answers]

    def sample(
        self, conversations: Sequence[Conversation], *, draws: Sequence[range], at_most_tokens: int, how: Sampling
    ) -> list[list[Answer]]:
        """See `core.protocols.Sampler`. A path that only repeats itself is cut: `evidence["cut"]` is `loop`.

        Raises:
            UserError: the chat template refuses a conversation.
        """
        think = how.think if isinstance(how.think, str) else "on"
        prompts = [self.chat.prompt(conversation, think=think) for conversation in conversations]
        generation = Generation(
            at_most_tokens,
            self.stop_ids,
            temperature=how.temperature,
            top_p=how.top_p,
            seed=how.seed,
            scored=True,
            cut_loops=True,
            thought=self._thought(how.think) if isinstance(how.think, int) else None,
        )
        return self._said(prompts, draws, generation, think=think)

    def likelihood(
        self, conversations: Sequence[Conversation], options: Sequence[Sequence[str]]
    ) -> list[list[Likelihood]]:
        """For conversation n, the likelihood of each of `options[n]` as the assistant's whole turn (end included).

        Raises:
            UserError: the chat template refuses a conversation, or one is longer than the model's context.
        """
        prompts = [self.chat.prompt(conversation) for conversation in conversations]
        turns = {text: self.chat.completion(text) for some in options for text in some}
        wanted = [[turns[text] for text in some] for some in options]
        self._check_context([len(p) + max(map(len, some), default=0) for p, some in zip(prompts, wanted, strict=True)])
        return option_likelihood(self.model, prompts, wanted, on_progress=self.on_progress, memory=self._memory)

    def text_likelihood(self, texts: Sequence[str]) -> list[Likelihood]:
        """The likelihood of plain texts, given their first token (the tokeniser's begin-of-text, where it has one).

        Raises:
            UserError: a text is longer than the model's context.
        """
        rows = [self.chat.tokenizer.encode(text) for text in texts]
        self._check_context([len(row) for row in rows])
        return text_likelihood(self.model, rows, on_progress=self.on_progress)

    @property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end an answer: the template's end of turn, and what the model's generation config says."""
        return stop_ids_of(self.model, self.chat.stop_ids)

    def _said(
        self, prompts: Sequence[list[int]], draws: Sequence[range], how: Generation, *, think: Think = "auto"
    ) -> list[list[Answer]]:
        """For each prompt its draws, all in one batch."""
        fits = [len(prompt) + how.at_most_tokens <= self.context for prompt in prompts]
        rows = [(n, number) for n, fit in enumerate(fits) if fit for number in draws[n]]
        how = replace(how, dictate=self._dictate) if self.calculator else how
        began = time.perf_counter()
        said = generate(
            self.model,
            [prompts[n] for n, _ in rows],
            how,
            numbers=[number for _, number in rows],
            on_progress=self.on_progress,
            memory=self._memory,
        )
        seconds = (time.perf_counter() - began) / max(1, len(rows))
        answers: list[list[Answer]] = [[] for _ in prompts]
        for (n, _), one in zip(rows, said, strict=True):
            answers[n].append(self._answer(0 if answers[n] else len(prompts[n]), one, seconds, how=how, think=think))
        too_long = [self._too_long(prompt, how.at_most_tokens) for prompt in prompts]
        return [
            a if fit else [too_long[n]] * len(draws[n]) for n, (a, fit) in enumerate(zip(answers, fits, strict=True))
        ]

    def _answer(self, prompt_tokens: int, said: Generated, seconds: float, *, how: Generation, think: Think) -> Answer:
        reasoning, text = self.chat.parse(self.chat.tokenizer.decode(said.ids, skip_special_tokens=False), think=think)
        thought = len(self.chat.tokenizer.encode(reasoning, add_special_tokens=False)) if reasoning else 0
        usage = Usage(
            prompt_tokens=prompt_tokens,
            answer_tokens=max(0, len(said.ids) - thought),
            reasoning_tokens=thought,
            seconds=seconds,
        )
        return Answer(
            text=text,
            reasoning=reasoning,
            evidence={"cut": "loop"} if said.looped else {},
            usage=usage,
            stop=said.stop,
            route=self.name,
            log_probability=said.log_probability if how.scored else None,
        )

    def _dictate(self, ids: list[int]) -> Sequence[int]:
        """The tokens of what the calculator says behind a sign of equality."""
        tokenizer = self.chat.tokenizer
        if self.calculator is None or _SIGN not in tokenizer.decode(ids[-2:], skip_special_tokens=False):
            return ()
        text = tokenizer.decode(ids, skip_special_tokens=False)
        said = self.calculator(text)
        if not said:
            return ()
        more: list[int] = tokenizer.encode(said, add_special_tokens=False)
        fits = tokenizer.decode(ids + more, skip_special_tokens=False) == text + said
        return more if fits else ()  # a tokeniser that adds a space of its own would write another text

    def _thought(self, tokens: int) -> Thought:
        """A thought of at most so many tokens, for prompts that end inside one."""
        tokenizer = self.chat.tokenizer

        def is_open(ids: list[int]) -> bool:
            return CLOSE not in tokenizer.decode(ids, skip_special_tokens=False)

        return Thought(tokens, is_open, tuple(tokenizer.encode(f"\n{CLOSE}\n\n", add_special_tokens=False)))

    def _too_long(self, prompt: Sequence[int], at_most_tokens: int) -> Answer:
        found = {"error": "prompt-too-long", "prompt": len(prompt), "answer": at_most_tokens, "context": self.context}
        return Answer(text="", stop="error", evidence=found, usage=Usage(prompt_tokens=len(prompt)), route=self.name)

    def _check_context(self, lengths: Sequence[int]) -> None:
        long = [length for length in lengths if length > self.context]
        if long:
            found = f"{len(long)} texts are longer than the model's {self.context} tokens (the longest: {max(long)})"
            raise UserError(Problem("text-too-long", found, "shorten them, or use a model with a longer context"))


@contextlib.contextmanager
def open_model(
    base_path: Path | str, adapter_path: Path | str | None = None, *, name: str, engine: Engine = "exact"
) -> Iterator[LocalAnswerer]:
    """Load a model, and free its memory when the block ends.

    On a CPU the weights are float32 and an adapter is merged into them in memory: alike to rounding, and quicker. On a
    GPU they are bfloat16 where it has that, and the adapter stays beside them: merging would round it away. A base that
    an adapter was trained on in 4 bits is unpacked from those 4 bits. On a GPU `engine` changes nothing.

    Args:
        base_path: folder of the base model.
        adapter_path: folder of an adapter in PEFT's format with safetensors weights; None: the base itself.
        name: what answers are called.
        engine: arithmetic on a CPU, see `models.engines`.

    Raises:
        UserError: a folder is unsafe, incomplete, or does not fit the other; this machine has not the `engine`.
    """
    import torch

    from tunesmith.models.adapters import load_base
    from tunesmith.models.load import load_model

    if problem := engine_problem(engine):
        raise UserError(problem)
    cuda = torch.cuda.is_available()
    dtype = torch.bfloat16 if cuda and torch.cuda.is_bf16_supported() else torch.float32
    chat = Chat.of(base_path)
    device = "cuda" if cuda else "cpu"
    if adapter_path is None:
        model = load_model(Path(base_path), dtype=dtype, device=device)
    else:
        model = load_base(Path(base_path), Path(adapter_path), dtype=dtype, device=device)
        model = _with_adapter(model, Path(adapter_path), merge=dtype == torch.float32)
    answerer = LocalAnswerer(model if cuda else into_engine(model, engine), chat, name)
    del model
    try:
        yield answerer
    finally:
        del answerer.model, answerer._memory
        give_back_memory()


def _with_adapter(model: Any, folder: Path, *, merge: bool) -> Any:
    missing = [name for name in ("adapter_config.json", "adapter_model.safetensors") if not (folder / name).is_file()]
    if missing:
        hint = "give the folder that PEFT's save_pretrained wrote; pickled weights (.bin) are not read"
        raise UserError([Problem("no-adapter", f"{name} is missing", hint, str(folder)) for name in missing])
    from tunesmith.models.adapters import load_adapter, merged

    try:
        adapted = load_adapter(model, folder)
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        found = f"the adapter does not fit the model: {error}"
        raise UserError(Problem("adapter-misfit", found, "use the base it was trained on", str(folder))) from None
    return merged(adapted) if merge else adapted
