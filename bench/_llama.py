"""llama.cpp as a peer, in this process, by the binary wheel `xllamacpp`, on the GGUF file that we export."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

LIBRARY = "xllamacpp"


def installed() -> bool:
    """Whether it can be asked."""
    return find_spec(LIBRARY) is not None


class Llama:
    """A server with one slot for each path; the paths of a prompt share what was computed for it.

    Args:
        file: the GGUF file.
        slots: how many answers are made together.
        context: most tokens of a prompt with its answer.
        threads: of the processor.
    """

    def __init__(self, file: Path, *, slots: int, context: int, threads: int) -> None:
        import xllamacpp

        settings = xllamacpp.CommonParams()
        settings.model.path = str(file)
        settings.n_ctx = slots * context
        settings.n_parallel = slots
        settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
        settings.verbosity = -1
        self._server = xllamacpp.Server(settings)
        self._slots = slots

    def draw(self, prompt: Sequence[int], *, tokens: int, temperature: float, top_p: float) -> int:
        """So many paths of `tokens` tokens each, nothing kept from the call before; how many tokens were made."""
        made: Any = self._server.handle_completions(
            {
                "prompt": list(prompt),
                "n": self._slots,
                "max_tokens": tokens,
                "temperature": temperature,
                "top_p": top_p,
                "top_k": 0,
                "min_p": 0.0,
                "ignore_eos": True,
                "cache_prompt": False,
            }
        )
        if "usage" not in made:
            raise RuntimeError(f"llama.cpp gave no completion: {made}")
        return int(made["usage"]["completion_tokens"])
