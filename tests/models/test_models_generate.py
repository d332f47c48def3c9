"""Batched generation and likelihood equal the same model asked one row at a time, and compute shared tokens once."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fakes import tiny_model_folder
from tunesmith.models.drawing import pick
from tunesmith.models.generate import Generation, batches, generate
from tunesmith.models.likelihood import Tree, option_likelihood, text_likelihood
from tunesmith.models.load import load_model
from tunesmith.models.prefix import PrefixMemory, attention, can_share, common_prefix, visible

ARCHITECTURES = ["llama", "qwen2", "qwen3", "deepseek_v2", "deepseek_v3"]
STOP = 2


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("models")
    # Wide weights: with the usual 0.02 a random model says one token for ever and equality would show little.
    return {name: load_model(tiny_model_folder(folder, name, initializer_range=0.3)) for name in ARCHITECTURES}


def words(draw: random.Random, count: int) -> list[int]:
    return [draw.randrange(4, 390) for _ in range(count)]


def prompts(count: int = 7, shared: int = 20) -> list[list[int]]:
    draw = random.Random(0)
    prefix = words(draw, shared)
    return [prefix + words(draw, draw.randrange(1, 9)) for _ in range(count)]


def alone(model: Any, prompt: list[int], tokens: int) -> list[int]:
    ids = torch.tensor([prompt])
    said = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=tokens,
        do_sample=False,
        eos_token_id=STOP,
        pad_token_id=3,
    )
    return [token for token in said[0, len(prompt) :].tolist() if token != STOP]


def log_probability(model: Any, given: list[int], text: list[int]) -> float:
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([given + text])).logits[0].double().log_softmax(-1)
    return sum(float(logits[len(given) - 1 + i, token]) for i, token in enumerate(text))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_greedy_text_equals_transformers_on_each_row_alone(models: dict[str, Any], architecture: str) -> None:
    model, asked = models[architecture], prompts()
    said = generate(model, asked, Generation(12, frozenset({STOP})))
    assert can_share(model, asked[0])
    assert [one.ids for one in said] == [alone(model, prompt, 12) for prompt in asked]
    assert model.config._attn_implementation == "sdpa"


def test_rows_without_a_common_beginning_and_single_rows(models: dict[str, Any]) -> None:
    model, draw = models["llama"], random.Random(1)
    asked = [words(draw, count) for count in (1, 9, 3)]
    assert common_prefix(asked) == []
    expected = [alone(model, prompt, 6) for prompt in asked]
    assert [one.ids for one in generate(model, asked, Generation(6, frozenset({STOP})))] == expected
    assert [generate(model, [p], Generation(6, frozenset({STOP})))[0].ids for p in asked] == expected


def test_a_model_with_sliding_windows_is_computed_in_full_and_right(tmp_path: Path) -> None:
    """A window of 8 tokens: a prefix that every row sees whole would be wrong."""
    window: dict[str, Any] = {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 0}
    folder = tiny_model_folder(tmp_path, "qwen2", initializer_range=0.3, **window)
    model, asked = load_model(folder), prompts(4)
    assert not can_share(model, asked[0])
    assert [one.ids for one in generate(model, asked, Generation(6))] == [alone(model, prompt, 6) for prompt in asked]
    options = [[[5, 6], [5, 7, 8]]] * 4
    found = option_likelihood(model, asked, options)
    for prompt, some in zip(asked, found, strict=True):
        expected = [log_probability(model, prompt, option) for option in options[0]]
        assert [one.log_probability for one in some] == pytest.approx(expected, abs=1e-4)


def test_a_window_without_kinds_of_layers_is_seen_too() -> None:
    """Mistral's config names a window of 4,096 tokens and no kinds of layers; no short trial would find it."""
    from transformers import MistralConfig, MistralForCausalLM

    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "vocab_size": 50}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    assert not can_share(MistralForCausalLM(MistralConfig(**size, **heads, sliding_window=4096)).eval(), [5] * 9)
    assert can_share(MistralForCausalLM(MistralConfig(**size, **heads, sliding_window=None)).eval(), [5] * 9)


def count_tokens(model: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens of every forward call from now on."""
    counted: list[int] = []
    embed = model.get_input_embeddings()
    forward = embed.forward

    def counting(ids: torch.Tensor) -> torch.Tensor:
        counted.append(ids.numel())
        embedded: torch.Tensor = forward(ids)
        return embedded

    monkeypatch.setattr(embed, "forward", counting)
    return counted


def test_the_shared_prompt_is_computed_once(models: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Six rows of 20 + 3 tokens in batches of 2, 4 new tokens: 20 + 3 * (2 * 3 + 3 * 2) = 56, not 6 * 23 + 18 = 156."""
    model, draw = models["llama"], random.Random(2)
    prefix = words(draw, 20)
    asked = [[*prefix, row + 4, *words(draw, 2)] for row in range(6)]
    can_share(model, prefix)
    counted = count_tokens(model, monkeypatch)
    generate(model, asked, Generation(4, rows_at_once=2))
    assert sum(counted) == 56


def test_a_remembered_prefix_is_not_computed_again(models: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """First call: prefix of 22, two rows of 2. Second: 20 of the 22 tokens are shared, two rows of 4 follow."""
    model, draw, memory = models["qwen3"], random.Random(6), PrefixMemory()
    prefix, other = words(draw, 22), words(draw, 40)
    first, second = [[*prefix, 5, 6], [*prefix, 7, 8]], [[*prefix[:20], 9, 9, 5, 6], [*prefix[:20], 8, 8, 7, 8]]
    expected = [[alone(model, prompt, 3) for prompt in asked] for asked in (first, second)]
    can_share(model, prefix)
    counted = count_tokens(model, monkeypatch)
    how = Generation(3, frozenset({STOP}))
    for asked, answers, tokens in ((first, expected[0], [22, 4]), (second, expected[1], [8])):
        assert [one.ids for one in generate(model, asked, how, memory=memory)] == answers
        assert counted[: len(tokens)] == tokens
        counted.clear()
    generate(model, [[*other, 5], [*other, 6]], how, memory=memory)
    assert counted[0] == 40


def test_finished_rows_leave_the_batch(models: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 0 stops at its first token: the calls after the prompt carry one row, not two."""
    model, asked = models["llama"], [[5, 6, 7], [8, 9, 10]]
    first, second = (alone(model, prompt, 5) for prompt in asked)
    assert first[0] not in second
    counted = count_tokens(model, monkeypatch)
    said = generate(model, asked, Generation(5, frozenset({first[0]})))
    assert counted == [6, 1, 1, 1, 1]
    assert (said[0].ids, said[0].stop) == ([], "end")
    assert (said[1].ids, said[1].stop) == (second, "length")


def test_batches_keep_to_the_budget_and_lose_no_row() -> None:
    """Budget 10: the row of 6 alone, then 4 and 3 (2 * 4 <= 10), then 3 and 2 and no third (at most 2 rows)."""
    assert list(batches([3, 6, 2, 4, 3, 1], 10, 2)) == [[1], [3, 0], [4, 2], [5]]
    assert list(batches([50], 10, 2)) == [[0]]
    assert list(batches([], 10, 2)) == []


def test_draws_do_not_depend_on_the_batch(models: dict[str, Any]) -> None:
    model, asked = models["llama"], prompts()
    together = generate(model, asked, Generation(8, temperature=1.0, top_p=0.9, seed=3))
    apart = generate(model, asked, Generation(8, temperature=1.0, top_p=0.9, seed=3, rows_at_once=2))
    other = generate(model, asked, Generation(8, temperature=1.0, top_p=0.9, seed=4))
    assert [one.ids for one in together] == [one.ids for one in apart]
    assert [one.ids for one in together] != [one.ids for one in other]


def test_a_tiny_top_p_is_greedy(models: dict[str, Any]) -> None:
    model, asked = models["llama"], prompts(3)
    drawn = generate(model, asked, Generation(8, temperature=1.0, top_p=1e-6))
    assert [one.ids for one in drawn] == [one.ids for one in generate(model, asked, Generation(8))]


def test_progress_and_edges(models: dict[str, Any]) -> None:
    told: list[tuple[int, int]] = []
    generate(models["llama"], prompts(5), Generation(2, rows_at_once=2), on_progress=lambda *done: told.append(done))
    assert told == [(2, 5), (4, 5), (5, 5)]
    assert generate(models["llama"], [], Generation(2)) == []
    assert generate(models["llama"], [[5]], Generation(0))[0].ids == []
    with pytest.raises(ValueError, match="no tokens"):
        generate(models["llama"], [[5], []], Generation(2))


def test_attention_over_prefix_and_own_tokens_is_attention_over_both() -> None:
    """Against scaled dot product over the concatenation, two query heads per key head, one padded row."""
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 4, 3, 8), torch.randn(2, 2, 3, 8), torch.randn(2, 2, 3, 6)
    prefix = (torch.randn(1, 2, 5, 8), torch.randn(1, 2, 5, 6))
    real = torch.tensor([[True, True, True], [False, True, True]])
    mask = visible(real, 3)
    keys, values = (torch.cat([p.expand(2, -1, -1, -1), o], 2) for p, o in zip(prefix, (key, value), strict=True))
    everywhere = torch.cat([torch.ones(2, 1, 3, 5, dtype=torch.bool), mask], -1)
    expected = torch.nn.functional.scaled_dot_product_attention(
        query, keys.repeat_interleave(2, 1), values.repeat_interleave(2, 1), attn_mask=everywhere
    )
    found = attention(query * 8**-0.5, key, value, mask, prefix)
    assert torch.allclose(found, expected.transpose(1, 2), atol=1e-6)


def test_the_tree_of_options_holds_each_beginning_once() -> None:
    """[1 2 3], [1 2 4 5], [6]: nodes 1, 12, 124; last tokens 3, 5, 6 are only predicted."""
    tree = Tree.of([[1, 2, 3], [1, 2, 4, 5], [6]])
    assert tree.tokens == (1, 2, 4)
    assert tree.parents == (0, 1, 2)
    assert tree.steps == (((0, 1), (1, 2), (2, 3)), ((0, 1), (1, 2), (2, 4), (3, 5)), ((0, 6),))
    assert tree.seen().tolist() == [[True, False, False], [True, True, False], [True, True, True]]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("shared", [20, 0])
def test_option_likelihood_equals_one_full_forward_each(models: dict[str, Any], architecture: str, shared: int) -> None:
    model, asked, draw = models[architecture], prompts(5, shared), random.Random(3)
    begin = words(draw, 3)
    pool = [begin + words(draw, 2), begin + words(draw, 4), words(draw, 3), begin, words(draw, 1)]
    options = [pool[: draw.randrange(1, 6)] for _ in asked]
    found = option_likelihood(model, asked, options)
    for prompt, some, scores in zip(asked, options, found, strict=True):
        expected = [log_probability(model, prompt, option) for option in some]
        assert [one.log_probability for one in scores] == pytest.approx(expected, abs=1e-4)
        assert [one.tokens for one in scores] == [len(option) for option in some]


def test_options_cost_no_more_than_their_tree(models: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefix 20, two rows of 3 own tokens, options [1 2 3] and [1 2 4] (two nodes): 20 + 2 * (3 + 2) = 30 tokens."""
    model, prefix = models["llama"], words(random.Random(4), 20)
    can_share(model, prefix)
    counted = count_tokens(model, monkeypatch)
    option_likelihood(model, [[*prefix, 5, 6, 7], [*prefix, 8, 9, 10]], [[[11, 12, 13], [11, 12, 14]]] * 2)
    assert sum(counted) == 30


@pytest.mark.parametrize("most_logits", [1 << 26, 3000])
def test_text_likelihood_equals_one_full_forward_each(
    models: dict[str, Any], monkeypatch: pytest.MonkeyPatch, most_logits: int
) -> None:
    """3000 logits are 7 tokens of this vocabulary: rows of 30 tokens go through the cache in parts."""
    monkeypatch.setattr("tunesmith.models.likelihood._LOGITS", most_logits)
    draw = random.Random(5)
    texts = [words(draw, count) for count in (0, 1, 2, 17, 30, 5)]
    found = text_likelihood(models["qwen3"], texts)
    assert [one.tokens for one in found] == [0, 0, 1, 16, 29, 4]
    expected = [log_probability(models["qwen3"], text[:1], text[1:]) if text else 0.0 for text in texts]
    assert [one.log_probability for one in found] == pytest.approx(expected, abs=1e-4)


def test_a_prompt_that_is_asked_several_times_is_computed_once(
    models: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two questions of 20 + 3 tokens, 4 times each, 3 new tokens: 20 + 2 * 3 + 8 * 2 = 42, not 20 + 8 * 3 + 8 * 2."""
    model, draw = models["llama"], random.Random(2)
    prefix = words(draw, 20)
    asked = [[*prefix, row + 4, *words(draw, 2)] for row in range(2)]
    expected = [alone(model, prompt, 3) for prompt in asked]
    can_share(model, prefix)
    counted = count_tokens(model, monkeypatch)
    said = generate(model, [prompt for prompt in asked for _ in range(4)], Generation(3))
    assert sum(counted) == 42
    assert [one.ids for one in said] == [expected[0]] * 4 + [expected[1]] * 4


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_draws_of_one_prompt_differ_and_do_not_depend_on_their_company(
    models: dict[str, Any], architecture: str
) -> None:
    """Rows of unlike length, each asked three times, in one batch and in batches of two."""
    model, asked = models[architecture], [prompt for prompt in prompts(3) for _ in range(3)]
    how = Generation(6, frozenset({STOP}), temperature=1.0, seed=5)
    together = [one.ids for one in generate(model, asked, how)]
    assert together == [one.ids for one in generate(model, asked, replace(how, rows_at_once=2))]
    assert len({tuple(ids) for ids in together[:3]}) > 1


def test_draws_have_the_probabilities_of_the_softmax() -> None:
    """Logits log(1, 2, 3, 0, 4) at temperature 1: shares 0.1, 0.2, 0.3, 0, 0.4; at 1/2 squares: 1, 4, 9, 0, 16 / 30.

    6,000 draws each: a share's standard error is at most 0.0065, and 0.02 is three of them.
    """
    logits = torch.tensor([1.0, 2.0, 3.0, 0.0, 4.0]).log()[None].expand(6_000, 5)
    for temperature, wanted in ((1.0, [0.1, 0.2, 0.3, 0.0, 0.4]), (0.5, [n / 30 for n in (1, 4, 9, 0, 16)])):
        draws = [torch.Generator().manual_seed(row) for row in range(6_000)]
        drawn = pick(logits, temperature, 1.0, draws)
        shares = [drawn.count(token) / 6_000 for token in range(5)]
        assert shares == pytest.approx(wanted, abs=0.02) and shares[3] == 0


def test_the_token_that_ended_an_answer_is_told(models: dict[str, Any]) -> None:
    model = models["llama"]
    first = alone(model, [5, 6, 7], 2)[0]
    ended, cut = (generate(model, [[5, 6, 7]], Generation(2, stops))[0] for stops in (frozenset({first}), frozenset()))
    assert (ended.ids, ended.stop, ended.stop_id) == ([], "end", first)
    assert (len(cut.ids), cut.stop, cut.stop_id) == (2, "length", None)
