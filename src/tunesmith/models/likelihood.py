"""How likely a model finds given texts: options after prompts, and plain texts. Batched; shared tokens once.

The options of one prompt form a tree (chapters that begin with "Diseases of the" share three tokens). The tree's
tokens follow the prompt in one sequence, each seeing the prompt and its own ancestors only, at the position it would
have: one call scores all options of many prompts, and no token is computed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tunesmith.core.types import Likelihood
from tunesmith.models.generate import Progress, batches, pad_left
from tunesmith.models.prefix import PrefixMemory, SharedPrefix, can_share, common_prefix, sharing, visible

_LOGITS = 1 << 26
"""Most logits (float32, 256 MiB) that one call may make."""

_TOKENS = 16_384
"""Most tokens of one call."""


@dataclass(frozen=True)
class Tree:
    """The options of one prompt, each shared beginning once.

    Args:
        tokens: token of each node; the root, the prompt's last token, is not among them.
        parents: for each node its parent's number, 0 for the root; node numbers begin at 1.
        steps: for each option the (node, next token) pairs that make it up.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    steps: tuple[tuple[tuple[int, int], ...], ...]

    @classmethod
    def of(cls, options: Sequence[Sequence[int]]) -> Tree:
        """The tree of `options`; last tokens are only predicted, so they are no nodes unless another goes on."""
        numbers: dict[tuple[int, ...], int] = {(): 0}
        for option in options:
            for end in range(1, len(option)):
                numbers.setdefault(tuple(option[:end]), len(numbers))
        nodes = list(numbers)[1:]
        steps = tuple(tuple((numbers[tuple(o[:i])], token) for i, token in enumerate(o)) for o in options)
        return cls(tuple(node[-1] for node in nodes), tuple(numbers[node[:-1]] for node in nodes), steps)

    def seen(self) -> torch.Tensor:
        """Which nodes each node sees: its ancestors and itself, bool [nodes, nodes]."""
        seen = torch.eye(len(self.tokens), dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent:
                seen[node] |= seen[parent - 1]
        return seen


@torch.inference_mode()
def option_likelihood(
    model: Any,
    prompts: Sequence[Sequence[int]],
    options: Sequence[Sequence[Sequence[int]]],
    *,
    on_progress: Progress | None = None,
    memory: PrefixMemory | None = None,
) -> list[list[Likelihood]]:
    """For prompt n, the likelihood of each of `options[n]` as its continuation.

    Args:
        model: a transformers causal language model in evaluation mode.
        prompts: token ids, none empty.
        options: token ids of the continuations; an empty one has probability 1.
        on_progress: called with (prompts done, prompts in all).
        memory: keeps the shared prefix for the next call; only for a model that is not trained meanwhile.
    """
    if not prompts:
        return []
    if not can_share(model, [*prompts[0], *prompts[0]]):
        return _one_by_one(model, prompts, options, on_progress)
    trees = [Tree.of(some) for some in options]
    found: list[list[Likelihood]] = [[] for _ in prompts]
    done = 0
    with sharing(model, common_prefix(prompts), memory) as prefix:
        start = prefix.length if prefix else 0
        own = [list(prompt[start:]) for prompt in prompts]
        width = model.config.get_text_config().vocab_size
        heaviest = max(len(tree.tokens) + 1 for tree in trees)
        at_once = max(1, _LOGITS // (width * heaviest))
        for rows in batches([len(o) + len(t.tokens) for o, t in zip(own, trees, strict=True)], _TOKENS, at_once):
            scores = _score_trees(model, [own[row] for row in rows], [trees[row] for row in rows], prefix)
            for row, sums in zip(rows, scores, strict=True):
                lengths = [len(option) for option in options[row]]
                found[row] = [Likelihood(log_probability=s, tokens=n) for s, n in zip(sums, lengths, strict=True)]
            done += len(rows)
            if on_progress:
                on_progress(done, len(prompts))
    return found


@torch.inference_mode()
def text_likelihood(
    model: Any, texts: Sequence[Sequence[int]], *, on_progress: Progress | None = None
) -> list[Likelihood]:
    """The likelihood of each text given its first token: sum over the others in nats, and their number.

    Args:
        model: a transformers causal language model in evaluation mode.
        texts: token ids; texts of fewer than two tokens have no tokens to score.
        on_progress: called with (texts done, texts in all).
    """
    return _score_rows(model, texts, [1] * len(texts), on_progress)


def _score_trees(
    model: Any, own: Sequence[Sequence[int]], trees: Sequence[Tree], prefix: SharedPrefix | None
) -> list[list[float]]:
    """Sums of log-probabilities, per prompt and option, in one call."""
    start = prefix.length if prefix else 0
    ids, real = pad_left([[*prompt, *tree.tokens] for prompt, tree in zip(own, trees, strict=True)], model.device)
    mask, positions = visible(real, ids.shape[1]), torch.zeros_like(ids)
    for row, (prompt, tree) in enumerate(zip(own, trees, strict=True)):
        nodes, first = len(tree.tokens), ids.shape[1] - len(tree.tokens)
        mask[row, 0, first:, first:] = tree.seen()
        depths = tree.seen().sum(-1)
        positions[row, first - len(prompt) : first] = torch.arange(start, start + len(prompt))
        if nodes:
            positions[row, first:] = start + len(prompt) - 1 + depths
    keep = max(len(tree.tokens) for tree in trees) + 1
    shared = {"shared_prefix": prefix} if prefix else {}
    logits = model(
        input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=keep, **shared
    ).logits
    totals = logits.float().logsumexp(-1).double().cpu()
    scores = []
    for row, tree in enumerate(trees):
        root = keep - 1 - len(tree.tokens)
        flat = [step for steps in tree.steps for step in steps]
        at = torch.tensor([root + node for node, _ in flat], dtype=torch.long)
        tokens = torch.tensor([token for _, token in flat], dtype=torch.long)
        steps = logits[row, at.to(logits.device), tokens.to(logits.device)].double().cpu() - totals[row, at]
        parts = steps.split([len(steps_of) for steps_of in tree.steps])
        scores.append([float(part.sum()) for part in parts])
    return scores


def _one_by_one(
    model: Any,
    prompts: Sequence[Sequence[int]],
    options: Sequence[Sequence[Sequence[int]]],
    on_progress: Progress | None,
) -> list[list[Likelihood]]:
    """Every option as a sequence of its own, for models that take no mask of ours."""
    rows = [[*prompt, *option] for prompt, some in zip(prompts, options, strict=True) for option in some]
    starts = [len(prompt) for prompt, some in zip(prompts, options, strict=True) for _ in some]
    flat = iter(_score_rows(model, rows, starts, on_progress))
    return [[next(flat) for _ in some] for some in options]


def _score_rows(
    model: Any, rows: Sequence[Sequence[int]], starts: Sequence[int], on_progress: Progress | None
) -> list[Likelihood]:
    """The likelihood of `rows[n]` from token `starts[n]` on, given the tokens before it."""
    found = [Likelihood(log_probability=0.0, tokens=max(0, len(r) - s)) for r, s in zip(rows, starts, strict=True)]
    long = [n for n, one in enumerate(found) if one.tokens]
    done = len(rows) - len(long)
    for group in batches([len(rows[n]) for n in long], _TOKENS // 4, 64):
        chosen = [long[k] for k in group]
        for n, score in zip(
            chosen, _score_batch(model, [rows[n] for n in chosen], [starts[n] for n in chosen]), strict=True
        ):
            found[n] = found[n].model_copy(update={"log_probability": score})
        done += len(chosen)
        if on_progress:
            on_progress(done, len(rows))
    return found


def _score_batch(model: Any, rows: Sequence[Sequence[int]], starts: Sequence[int]) -> list[float]:
    """Sums for one batch, padded on the right; long rows go through the cache in parts, so logits stay bounded."""
    from transformers import DynamicCache

    config = model.config.get_text_config()
    width, cache = max(len(row) for row in rows), DynamicCache(config=config)
    ids = torch.tensor([list(row) + [0] * (width - len(row)) for row in rows], device=model.device)
    place = torch.arange(width, device=model.device)[None]
    lengths = torch.tensor([[len(row)] for row in rows], device=model.device)
    wanted = (place >= torch.tensor([[s] for s in starts], device=model.device)) & (place < lengths)
    sums = torch.zeros(len(rows), dtype=torch.float64, device=model.device)
    step = max(1, _LOGITS // (len(rows) * config.vocab_size))
    for a in range(0, width - 1, step):
        b = min(a + step, width - 1)
        out = model(input_ids=ids[:, a:b], position_ids=place[:, a:b], past_key_values=cache, use_cache=True)
        logits = out.logits.float()
        said = logits.gather(-1, ids[:, a + 1 : b + 1, None])[..., 0] - logits.logsumexp(-1)
        sums += said.double().masked_fill(~wanted[:, a + 1 : b + 1], 0.0).sum(-1)
    result: list[float] = sums.tolist()
    return result
