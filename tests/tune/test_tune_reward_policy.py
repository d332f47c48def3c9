"""The mathematics of rewards: groups, clipping, divergence and normalisation, by numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tune_fakes import some_rows

from tunesmith.tune.batches import Step, pack_rows, shared_prefix
from tunesmith.tune.objective import TERMS, Predictions, Running
from tunesmith.tune.policy import advantages, clipped_surrogate, kl_to_reference, shares
from tunesmith.tune.rollouts import Sampled, as_tensors, figures, from_tensors, row_of
from tunesmith.tune.tokens_likelihood import token_log_probabilities

GROUP = (1.0, 0.0, 0.0, 1.0)


def test_advantages_of_a_group() -> None:
    """Rewards 1, 0, 0, 1: mean 1/2, standard deviation 1/2; the answers are one deviation above or below."""
    assert advantages(GROUP, "group") == [1.0, -1.0, -1.0, 1.0]
    assert advantages(GROUP, "none") == [0.5, -0.5, -0.5, 0.5]
    third = advantages((1.0, 0.0, 0.0), "group")
    assert third == pytest.approx([math.sqrt(2), -math.sqrt(0.5), -math.sqrt(0.5)])


def test_a_group_with_one_reward_teaches_nothing() -> None:
    for rewards in ((1.0, 1.0, 1.0), (0.0, 0.0), (0.3, 0.3 + 1e-9), (0.7,), ()):
        assert advantages(rewards, "group") == [0.0] * len(rewards)


def test_clipping_keeps_the_smaller_side() -> None:
    """Limits 0.8 and 1.3. Good answers: 1.5 is held at 1.3, 0.5 stays. Bad ones: 0.5 is held at 0.8, 1.5 stays."""
    ratio = torch.tensor([1.5, 0.5, 0.5, 1.5, 1.0])
    advantage = torch.tensor([1.0, 1.0, -1.0, -1.0, 2.0])
    gain, held = clipped_surrogate(ratio, advantage, (0.2, 0.3))
    assert gain.tolist() == pytest.approx([1.3, 0.5, -0.8, -1.5, 2.0])
    assert held.tolist() == [True, False, True, False, False]


def test_divergence_from_the_reference() -> None:
    """p = 1/2 against p_ref = 1/4: 1/2 - log(1/2) - 1 = 0.193147; the other way 2 - log 2 - 1 = 0.306853."""
    now, reference = torch.tensor([0.5, 0.25, 0.1]).log(), torch.tensor([0.25, 0.5, 0.1]).log()
    assert kl_to_reference(now, reference).tolist() == pytest.approx([0.193147, 0.306853, 0.0], abs=1e-6)


def test_what_a_token_counts() -> None:
    """Answers of 1 and 3 tokens in a step of 2 answers, 4 tokens, sampled up to 5."""
    told = {"tokens": 4, "answers": 2, "at_most": 5}
    assert shares((1, 3), "token", **told) == [1 / 4, 1 / 4]
    assert shares((1, 3), "sequence", **told) == [1 / 2, 1 / 6]
    assert shares((1, 3), "constant", **told) == [1 / 10, 1 / 10]


@pytest.mark.parametrize("trained_head", [False, True])
def test_log_probabilities_in_chunks_are_those_of_the_whole_with_their_gradients(trained_head: bool) -> None:
    torch.manual_seed(0)
    hidden, targets = torch.randn(7, 4), torch.tensor([0, 5, 2, 2, 1, 4, 3])
    head = torch.nn.Linear(4, 6).requires_grad_(trained_head)
    outer = torch.randn(7)
    found = []
    for chunk in (2, 100):
        states = hidden.clone().requires_grad_()
        head.zero_grad()
        said = token_log_probabilities(states, targets, head, temperature=0.7, chunk_tokens=chunk)
        torch.autograd.backward((said * outer).sum())
        found.append([said.detach(), states.grad, *(weight.grad for weight in head.parameters() if trained_head)])
    states = hidden.clone().requires_grad_()
    head.zero_grad()
    said = (head(states) / 0.7).log_softmax(-1)[torch.arange(7), targets]
    torch.autograd.backward((said * outer).sum())
    found.append([said.detach(), states.grad, *(weight.grad for weight in head.parameters() if trained_head)])
    for some in found[:2]:
        for got, wanted in zip(some, found[2], strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-6)


def bound(**settings: object) -> Running:
    term = TERMS.build({"use": "policy_gradient", "reward": [{"use": "exact_match"}], **settings})
    running: Running = term.bind(None)
    return running


PROMPT = ("ex-0", (5, 9, 3, 17))
ANSWERS = ([2], [0, 2], [1, 0, 2], [0])


def one_group(old: float | None = None) -> Step:
    """Rewards 1, 0, 0, 1 for answers of 1, 2, 3 and 1 tokens over a vocabulary of 4."""
    rows = []
    for answer, reward, better in zip(ANSWERS, GROUP, advantages(GROUP, "group"), strict=True):
        told = None if old is None else (old,) * len(answer)
        about = Sampled(0, reward, better, ended=answer[-1] == 2, old=told, reference=(math.log(0.25),) * len(answer))
        rows.append(row_of(PROMPT, answer, about))
    return Step(0, 1, tuple(rows))


def uniform(step: Step) -> Predictions:
    """Logits that are all 0: every token has probability 1/4."""
    batch = pack_rows(step.items, shared_prefix(step.items))
    states = torch.zeros(batch.ids.shape[1], 4, requires_grad=True)
    return Predictions(states, batch.sources, batch, (), batch.layout.prefix, torch.nn.Identity())


def test_a_group_worked_by_hand() -> None:
    """Ratio 1; advantages 1, -1, -1, 1 over 1, 2, 3 and 1 of 7 tokens: -(1 - 2 - 3 + 1) / 7 = 3 / 7.

    Each token moves the logits of its place by advantage / 7 * (1[token] - 1/4), the loss by the negative. Summed over
    the first tokens: answer 1 pulls token 2 up, answer 2 pushes 0 down, answer 3 pushes 1 down, answer 4 pulls 0 up,
    the quarters cancel: (0, -1, 1, 0) / 7. The later tokens are those of the bad answers 2 and 3.
    """
    step = one_group()
    predictions = uniform(step)
    term = bound()
    term.begin(step)
    value = term.value(predictions, step)
    assert value is not None and value.item() == pytest.approx(3 / 7)
    torch.autograd.backward(value)
    assert predictions.states_TD.grad is not None
    first = -torch.tensor([0.0, -1.0, 1.0, 0.0]) / 7
    second = torch.tensor([-0.25, -0.25, 0.75, -0.25]) / 7  # after [0]: token 2, advantage -1
    third = torch.tensor([0.75, -0.25, -0.25, -0.25]) / 7 + torch.tensor([-0.25, -0.25, 0.75, -0.25]) / 7
    torch.testing.assert_close(predictions.states_TD.grad.sum(0), first + second + third)
    assert term.told() == {"reward": 0.5, "dead_groups": 0, "ended": 0.75, "answer_tokens": 1.75, "unscored": 0.0}


def test_a_group_with_clipping_and_divergence_worked_by_hand() -> None:
    """Sampled with probability 1/8, now 1/4: ratio 2, held at 1.2 for the good answers (2 tokens), 2 for the bad (5).

    By token: -(1.2 * 2 - 2 * 5) / 7 = 7.6 / 7. The reference says 1/4 as well, so the divergence is 0.
    By answer: -(1.2 - 2 - 2 + 1.2) / 4 = 0.4. Sums over at most 10 tokens of 4 answers: 7.6 / 40.
    """
    step = one_group(old=math.log(1 / 8))
    for length, wanted in (("token", 7.6 / 7), ("sequence", 0.4), ("constant", 7.6 / 40)):
        term = bound(updates=2, kl=0.5, length=length, at_most_tokens=10)
        term.begin(step)
        value = term.value(uniform(step), step)
        assert value is not None and value.item() == pytest.approx(wanted)
        told = term.told()
        assert told["kl"] == pytest.approx(0.0, abs=1e-6) and told["clipped"] == pytest.approx(2 / 7)


def test_figures_count_dead_groups_and_answers_without_a_score() -> None:
    """Group 0 teaches, group 1 does not; of 6 answers one has no score. Rewards 1, 0, 1, 1, 1: mean 0.8."""
    nan = float("nan")
    told = [(0, 1.0, 1.0), (0, 0.0, -1.0), (0, nan, 0.0), (1, 1.0, 0.0), (1, 1.0, 0.0), (1, 1.0, 0.0)]
    rows = [row_of(PROMPT, [4, 2], Sampled(g, r, a, ended=True)) for g, r, a in told]
    found = figures([*some_rows(2), *rows])
    assert found["reward"] == pytest.approx(0.8) and found["unscored"] == pytest.approx(1 / 6)
    assert found["dead_groups"] == 0.5 and found["answer_tokens"] == 2
    assert rows[2].trained == () and rows[2].part == "unscored"


def test_rows_survive_the_disk_bit_for_bit() -> None:
    rows = list(one_group(old=-1.7).items)
    rows.insert(1, row_of(PROMPT, [7], Sampled(0, float("nan"), 0.0, ended=False)))
    floats = [replace(row, about=replace(row.about, advantage=row.about.advantage / 3)) for row in rows]
    kept = from_tensors(as_tensors(floats, [4] * 5), [PROMPT])
    single = torch.tensor(-1.7).item()
    for row, back in zip(floats, kept, strict=True):
        assert (row.id, row.ids, row.trained, row.part) == (back.id, back.ids, back.trained, back.part)
        if row.part == "sampled":
            assert back.about.advantage == row.about.advantage and set(back.about.old) == {single}
