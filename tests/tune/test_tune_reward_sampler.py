"""Sampling while training: what is asked, judged, packed, told and remembered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from reward_fakes import ENDS, Says, examples_of, row_of_example
from tune_fakes import job_of, tiny_base

from tunesmith.core.errors import Problem, UserError
from tunesmith.core.events import Event, Events
from tunesmith.core.types import Answer, Example, Score
from tunesmith.models.chat import Chat
from tunesmith.models.generate import generate
from tunesmith.models.load import load_model
from tunesmith.tune.batches import Plan, shared_prefix
from tunesmith.tune.forward import Forward, PackedForward, choose_forward
from tunesmith.tune.objective import TERMS
from tunesmith.tune.optimise import trained_weights
from tunesmith.tune.rollouts import grouped
from tunesmith.tune.rules import STRATEGIES
from tunesmith.tune.sampling import Asking, Sampler
from tunesmith.tune.watch import DEAD_SAMPLINGS

LORA = {"use": "lora", "rank": 4, "alpha": 8, "upper": 0.5, "dropout": 0.1}
PROMPTS, SAMPLES, LONGEST = 5, 4, 6


@dataclass
class Bench:
    """A sampler over a tiny model whose adapter has random weights."""

    sampler: Sampler
    forward: Forward
    heard: list[Event]

    def weights(self) -> dict[str, torch.Tensor]:
        return trained_weights(self.sampler.job.model)


def bench(
    folder: Path, scorer: Any = None, *, mixed: bool = False, pack: bool = True, context: int = 200, **settings: Any
) -> Bench:
    """Settings are those of the term, `architecture`, and `full`: all weights are trained, there is no adapter."""
    architecture = settings.pop("architecture", "llama")
    base = tiny_base(folder, architecture, initializer_range=0.3)
    strategy = {**LORA, "dropout": 0.0} if architecture == "deepseek_v3" else LORA  # routed experts take no dropout
    model = load_model(Path(base.path))
    full = settings.pop("full", False)
    adapted = model if full else STRATEGIES.build(strategy).apply(model.requires_grad_(False), seed=0)
    torch.manual_seed(3)
    for weight in [] if full else trained_weights(adapted).values():
        torch.nn.init.normal_(weight, std=0.05)
    examples = examples_of(PROMPTS)
    rows = [row_of_example(Chat.of(base.path), example) for example in examples]
    plan = Plan(rows, rows_per_step=2, epochs=2, prefix=shared_prefix(rows), micro_tokens=10_000, seed=0)
    forward, _ = choose_forward(adapted, rows, pack=pack)
    heard: list[Event] = []
    job = job_of(
        adapted,
        forward,
        plan,
        folder / "phase",
        events=Events(heard.append),
        examples=lambda: {example.id: example for example in examples},
        scorer=lambda _: scorer or Says(ENDS),
        base_path=Path(base.path),
    )
    told = {"samples": SAMPLES, "at_most_tokens": LONGEST, **settings}
    term = TERMS.build({"use": "policy_gradient", "reward": [{"use": "says"}], **told})
    return Bench(Sampler(plan, job, Asking(term, mixed, context)), forward, heard)


def test_every_answer_is_a_row_behind_its_prompt(tmp_path: Path) -> None:
    """5 prompts in samplings of 2: 3 an epoch; of a sampling 2 x 4 answers, one micro-batch for each group."""
    made = bench(tmp_path)
    sampler, chat = made.sampler, made.sampler.chat
    assert sampler.steps == 6 and sampler.steps_per_epoch == 3
    step, batches = sampler.work(0)
    assert len(step.items) == 8 and all(row.part == "sampled" for row in step.items)
    for group in grouped(step.items):
        example = sampler.job.examples()[group[0].id]
        prompt = tuple(chat.prompt(example.prompt))
        for row in group:
            start = len(prompt)
            assert row.id == example.id and row.ids[:start] == prompt
            assert row.trained == tuple(range(start, len(row.ids))) and 1 <= len(row.trained) <= LONGEST
            assert row.about.ended == (row.ids[-1] in chat.stop_ids)
            said = [i for i in row.ids[start:] if i not in chat.stop_ids]
            assert row.about.reward == float(ENDS in chat.tokenizer.decode(said))
        assert sum(row.about.advantage for row in group) == pytest.approx(0, abs=1e-9)
    alive = [group for group in grouped(step.items) if any(row.about.advantage for row in group)]
    assert [len(batch.items) for batch in batches] == [SAMPLES] * len(alive) and alive
    for batch in batches:
        assert batch.rows == (-1,) * SAMPLES
        longest = max(row.trained[0] for row in batch.items)
        assert longest - 1 <= batch.layout.prefix <= longest  # the prompt stands there once


def test_sampling_follows_from_the_seed_and_the_sampling_alone(tmp_path: Path) -> None:
    first, second = bench(tmp_path / "a").sampler, bench(tmp_path / "b").sampler
    torch.manual_seed(17)
    state = torch.get_rng_state()
    assert first.work(1)[0].items == first.work(1)[0].items
    assert torch.equal(torch.get_rng_state(), state)  # dropout's stream goes on as if nothing had been sampled
    second.work(0)
    assert second.work(1)[0].items == first.work(1)[0].items
    assert second.work(0)[0].items != first.work(1)[0].items


def test_micro_batches_keep_to_the_limit(tmp_path: Path) -> None:
    sampler = bench(tmp_path, kl=0.1).sampler
    whole, [first, *_] = sampler.work(0)
    small, cut = sampler.work(0, first.layout.prefix + 2 * LONGEST)
    assert small.items == whole.items and len(cut) > len(sampler.work(0)[1])
    assert sorted(row.id for batch in cut for row in batch.items) == sorted(row.id for row in whole.items)
    assert all(batch.ids.shape[1] <= first.layout.prefix + 2 * LONGEST for batch in cut)


@pytest.mark.parametrize("pack", [True, False])
def test_the_model_is_as_it_was_after_sampling(tmp_path: Path, pack: bool) -> None:
    made = bench(tmp_path, kl=0.1, updates=2, pack=pack)
    model = made.sampler.job.model
    attention = model.config._attn_implementation
    training = [module.training for module in model.modules()]
    weights = {name: weight.clone() for name, weight in made.weights().items()}
    made.sampler.work(0)
    assert model.config._attn_implementation == attention
    assert [module.training for module in model.modules()] == training and any(training)
    assert all(torch.equal(weight, weights[name]) for name, weight in made.weights().items())
    assert isinstance(made.forward, PackedForward) == pack


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "deepseek_v3"])
def test_old_and_reference_likelihoods_are_those_of_the_policy_and_of_the_beginning(
    tmp_path: Path, architecture: str
) -> None:
    """Nothing has been trained: both are the model's own, at the temperature of sampling."""
    made = bench(tmp_path, kl=0.1, updates=2, temperature=0.7, architecture=architecture)
    row = made.sampler.work(0)[0].items[0]
    model = made.sampler.job.model.eval()
    plain = load_model(made.sampler.job.base_path)
    assert row.about.old == pytest.approx(row.about.reference, abs=1e-6)
    model.set_attn_implementation("sdpa")
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([row.ids])).logits[0].float() / 0.7
        untrained = plain(input_ids=torch.tensor([row.ids])).logits[0].float() / 0.7
    said = [logits.log_softmax(-1)[place - 1, row.ids[place]].item() for place in row.trained]
    other = [untrained.log_softmax(-1)[place - 1, row.ids[place]].item() for place in row.trained]
    assert row.about.old == pytest.approx(said, abs=1e-4) and said != pytest.approx(other, abs=1e-2)


def test_the_reference_stays_where_the_phase_began(tmp_path: Path) -> None:
    made = bench(tmp_path, kl=0.1, updates=2)
    with torch.no_grad():
        for weight in made.weights().values():
            weight.mul_(3)
    row = made.sampler.work(0)[0].items[0]
    assert row.about.old != pytest.approx(row.about.reference, abs=1e-2)


def test_a_model_that_is_trained_in_full_is_its_own_reference(tmp_path: Path) -> None:
    made = bench(tmp_path, kl=0.1, updates=2, full=True)
    weights = {name: weight.clone() for name, weight in made.weights().items()}
    row = made.sampler.work(0)[0].items[0]
    assert row.about.old == row.about.reference
    with torch.no_grad():
        made.weights()["model.norm.weight"].mul_(0.5)
    moved = made.sampler.work(2)[0].items[0]
    assert moved.about.old != pytest.approx(moved.about.reference, abs=1e-2)
    assert all(
        torch.equal(weight, weights[name] * (0.5 if name == "model.norm.weight" else 1))
        for name, weight in made.weights().items()
    )


def test_general_rows_go_along_and_supervised_ones_do_not(tmp_path: Path) -> None:
    """Prompts alone with replay: of the plan's rows a step has its 2 general ones, and no prompt is made of them."""
    made = bench(tmp_path)
    plan = made.sampler.plan
    general = [replace(row, id=f"general-{row.id}", part="general") for row in plan.rows[:3]]
    replaying = replace(
        plan,
        rows=[*plan.rows, *general],
        units=[(number,) for number in range(PROMPTS)],
        replayed=range(PROMPTS, PROMPTS + 3),
        replay_rows=2,
    )
    sampler = Sampler(replaying, made.sampler.job, made.sampler.asking)
    step, batches = sampler.work(0)
    assert (step.rows(("general",)), step.rows(("supervised",)), step.rows(("sampled",))) == (2, 0, 8)
    assert len(sampler.prompts) == PROMPTS and sampler.steps == 6
    assert {row.part for row in batches[0].items} == {"general"}


def test_a_sampling_is_kept_for_its_updates_and_through_a_kill(tmp_path: Path) -> None:
    """updates 3: steps 0, 1 and 2 have the same answers, though the weights move; a resumed run has them too."""
    made, resumed = bench(tmp_path / "a", kl=0.1, updates=3), bench(tmp_path / "b", kl=0.1, updates=3)
    assert made.sampler.steps == 18
    items = made.sampler.work(0)[0].items
    with torch.no_grad():
        for weight in made.weights().values():
            weight.mul_(1.5)
    assert made.sampler.work(2)[0].items == items
    resumed.sampler.restore(made.sampler.tensors())
    assert resumed.sampler.work(1)[0].items == items
    with torch.no_grad():
        for name, weight in resumed.weights().items():
            weight.copy_(made.weights()[name])
    assert resumed.sampler.work(3)[0].items == made.sampler.work(3)[0].items != items


def test_going_back_forgets_the_answers_of_weights_that_are_gone(tmp_path: Path) -> None:
    made = bench(tmp_path)
    start = made.sampler.tensors()
    items = made.sampler.work(0)[0].items
    with torch.no_grad():
        for weight in made.weights().values():
            weight.mul_(4)
    assert made.sampler.work(0)[0].items == items
    made.sampler.restore(start)
    assert made.sampler.work(0)[0].items != items


def test_supervised_rows_go_along_in_every_step(tmp_path: Path) -> None:
    """5 rows in steps of 2 are 3 steps an epoch; with updates 2 two steps share a sampling of 3 prompts."""
    sampler = bench(tmp_path, mixed=True, prompts_per_step=3, updates=2).sampler
    assert sampler.steps == 6 and sampler.steps_per_epoch == 3
    steps = [sampler.work(number) for number in range(3)]
    for (step, batches), own in zip(steps, (2, 2, 1), strict=True):
        assert step.rows(("supervised",)) == own and len(step.items) - own in (3 * SAMPLES, 2 * SAMPLES)
        assert [row for batch in batches for row in batch.items if row.part == "supervised"]
    assert [row for row in steps[0][0].items if row.part == "sampled"] == [
        row for row in steps[1][0].items if row.part == "sampled"
    ]


class Broken:
    """A scorer that fails on one prompt, has no word on another, and says 1 or 0 to the rest."""

    def score(self, example: Example, answer: Answer) -> Score:
        if example.id == "ex-0":
            raise ValueError("cannot read it")
        if example.id == "ex-1":
            return Score(value=None, unscored="no-reference")
        return Says(ENDS).score(example, answer)


def test_answers_without_a_score_are_counted_and_told_and_not_trained(tmp_path: Path) -> None:
    made = bench(tmp_path, Broken(), kl=0.1, prompts_per_step=PROMPTS, updates=2)
    step, batches = made.sampler.work(0)
    unscored = [row for row in step.items if row.part == "unscored"]
    assert {row.id for row in unscored} == {"ex-0", "ex-1"} and len(unscored) == 2 * SAMPLES
    assert not {row.id for batch in batches for row in batch.items} & {"ex-0", "ex-1"}
    [warning] = [event for event in made.heard if event.kind == "warning"]
    assert warning.data["unscored"] == {
        "says: ValueError: cannot read it": SAMPLES,
        "says: no-reference": SAMPLES,
    }
    resumed = bench(tmp_path / "b", Broken(), kl=0.1, prompts_per_step=PROMPTS, updates=2)
    resumed.sampler.restore(made.sampler.tensors())
    back = resumed.sampler.work(1)[0].items
    assert [(row.ids, row.part) for row in back] == [(row.ids, row.part) for row in step.items]


class Always:
    """A scorer that says the same to everything."""

    def __init__(self, value: float | None) -> None:
        self.value = value

    def score(self, example: Example, answer: Answer) -> Score:
        return Score(value=self.value, unscored="" if self.value is not None else "no-reference")


@pytest.mark.parametrize(
    ("value", "cause", "words"),
    [
        (0.0, "all-zero", "too hard for this model, or the scorer never matches"),
        (1.0, "all-one", "too easy"),
        (0.5, "all-alike", "does not tell its answers apart"),
        (None, "unscored", "no answer could be scored"),
    ],
)
def test_a_run_that_learns_nothing_from_its_rewards_is_told_why(
    tmp_path: Path, value: float | None, cause: str, words: str
) -> None:
    made = bench(tmp_path, Always(value), samples=2, at_most_tokens=2)
    for number in range(DEAD_SAMPLINGS + 2):
        assert made.sampler.work(number)[1] == []  # nothing to learn from, nothing computed
    [warning] = [event for event in made.heard if event.kind == "warning" and "cause" in event.data]
    assert warning.data["cause"] == cause and words in warning.message
    example = made.sampler.job.examples()[warning.data["row"]]
    assert warning.data["reference"] == example.reference and repr(warning.data["answer"]) in warning.message
    assert int(made.sampler.tensors()["state"][0]) == DEAD_SAMPLINGS + 2


def test_prompts_that_cannot_be_sampled_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no prompt can be sampled: 5 longer than 14 tokens"):
        bench(tmp_path, context=20)
    made = bench(tmp_path / "b")
    lengths = sorted(len(prompt.ids) for prompt in made.sampler.prompts)
    short = bench(tmp_path / "c", context=lengths[-2] + LONGEST)
    [warning] = [event for event in short.heard if event.kind == "warning"]
    assert lengths[-1] > lengths[-2] and sum(warning.data["dropped"].values()) == 1
    assert len(short.sampler.prompts) == PROMPTS - 1


def test_every_unknown_scorer_is_told_at_once(tmp_path: Path) -> None:
    made = bench(tmp_path)

    def scorer(use: Any) -> Any:
        raise UserError(Problem("unknown-component", f"there is no '{use['use']}' among the scorers"))

    job = replace(made.sampler.job, scorer=scorer)
    term = TERMS.build({"use": "policy_gradient", "reward": [{"use": "exact"}, {"use": "rouje", "weight": 2}]})
    with pytest.raises(UserError) as error:
        Sampler(made.sampler.plan, job, Asking(term, False, 200))
    told = [problem.message.split("'")[1] for problem in error.value.problems]
    assert told == ["exact", "rouje"]


def test_out_of_memory_while_sampling_halves_the_cache_and_gives_the_same_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = bench(tmp_path / "a")
    small = bench(tmp_path / "b")

    def tight(model: Any, prompts: Any, how: Any, **others: Any) -> Any:
        if how.token_budget > 5_000:
            raise torch.OutOfMemoryError("no room")
        return generate(model, prompts, how, **others)

    wanted = plain.sampler.work(0)[0].items
    monkeypatch.setattr("tunesmith.tune.sampling.generate", tight)
    assert small.sampler.work(0)[0].items == wanted
    assert [event.data["tokens"] for event in small.heard if event.kind == "incident"] == [8_192, 4_096]
    assert int(small.sampler.tensors()["state"][1]) == 4_096
