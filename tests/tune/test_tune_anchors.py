"""Terms that hold the model to what it knew: figures worked by hand, what they ask of the base, what they refuse."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from tune_fakes import job_of, some_rows, tiny_base

from tunesmith.core.errors import UserError
from tunesmith.models.load import load_model
from tunesmith.tune.anchored import anchor_penalty, moved_matrices
from tunesmith.tune.batches import Plan, Row, shared_prefix
from tunesmith.tune.fisher import exact_fisher, sampled_fisher
from tunesmith.tune.forward import choose_forward
from tunesmith.tune.kernels import chunked_sum, divergence, piecewise_sum, top_log_probabilities
from tunesmith.tune.objective import TERMS, Job
from tunesmith.tune.rules import STRATEGIES

LORA = {"use": "lora", "rank": 4, "alpha": 8, "upper": 0.5}


def general_rows(count: int, *, seed: int = 9) -> list[Row]:
    return [replace(row, part="general") for row in some_rows(count, seed=seed, prefix=[11, 12])]


def adapted(tmp_path: Path, **size: Any) -> Any:
    model = load_model(Path(tiny_base(tmp_path, **size).path))
    return STRATEGIES.build(LORA).apply(model.requires_grad_(False), seed=0)


def full(tmp_path: Path, **size: Any) -> Any:
    return load_model(Path(tiny_base(tmp_path, **size).path)).requires_grad_(True)


def job(model: Any, rows: list[Row], tmp_path: Path, **fields: Any) -> Job:
    plan = Plan(rows=rows, rows_per_step=4, epochs=1, prefix=shared_prefix(rows), micro_tokens=60, seed=0)
    forward, why = choose_forward(model, rows)
    assert why == ""
    return job_of(model, forward, plan, tmp_path / "phase", **fields)


def step_value(term: Any, at: Job) -> float:
    """The term over all rows, as one step."""
    plan = Plan(at.rows, len(at.rows), 1, shared_prefix(at.rows), 100, 0)
    step, batches = plan.work(0)
    values = [term.value(at.forward.predictions(batch), step) for batch in batches]
    return sum(float(value.detach()) for value in values if value is not None)


def stir(model: Any, std: float = 0.05) -> None:
    torch.manual_seed(3)
    for weight in model.parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=std)


class TestKernels:
    def test_the_events_of_the_top_two_by_hand(self) -> None:
        """Probabilities 1/2, 1/4, 1/8, 1/8: tokens 1 and 0, and 1/4 for the others."""
        logits = torch.tensor([[0.25, 0.5, 0.125, 0.125]]).log()
        made = top_log_probabilities(logits, torch.tensor([[1, 0]])).exp()
        torch.testing.assert_close(made, torch.tensor([[0.5, 0.25, 0.25]]))

    def test_a_divergence_by_hand(self) -> None:
        """KL((1/2, 1/2) || (1/4, 3/4)) = 1/2 ln 2 + 1/2 ln(2/3) = 0.143841; of a thing from itself 0."""
        half, other = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log()
        assert float(divergence(half, other)) == pytest.approx(0.143841, abs=1e-6)
        assert float(divergence(other, other)) == 0.0

    def test_a_sum_in_chunks_has_the_value_and_the_gradient_of_the_whole(self) -> None:
        torch.manual_seed(0)
        head, states = nn.Linear(6, 9, bias=False), torch.randn(7, 6, requires_grad=True)
        ids = torch.randint(0, 9, (7, 1))

        def loss(logits: Tensor, part: slice) -> Tensor:
            return top_log_probabilities(logits, ids[part]).square().sum()

        whole = loss(head(states), slice(0, 7))
        wanted = torch.autograd.grad(whole, [states, head.weight])
        made = chunked_sum(states, head, loss, chunk_tokens=3)
        got = torch.autograd.grad(2.0 * made, [states, head.weight])
        assert float(made.detach()) == pytest.approx(float(whole.detach()), rel=1e-6)
        for ours, theirs in zip(got, wanted, strict=True):
            torch.testing.assert_close(ours, 2 * theirs, rtol=1e-5, atol=1e-6)

    def test_a_sum_in_pieces_has_the_gradient_of_the_sum(self) -> None:
        """3 a^2 + b at a = 2, b = 5: 17; gradients 12 and 1, here doubled."""
        a, b = torch.tensor(2.0, requires_grad=True), torch.tensor(5.0, requires_grad=True)
        made = piecewise_sum(iter([(3 * a.square(), [a]), (b * 1.0, [b])]))
        torch.autograd.backward(2.0 * made)
        assert float(made.detach()) == 17.0 and a.grad is not None and b.grad is not None
        assert (float(a.grad), float(b.grad)) == (24.0, 2.0)


class TestFisher:
    def softmax_regression(self) -> tuple[Tensor, Tensor, Tensor]:
        """Two positions x of a model with logits W x; F_ij = sum_n p_ni (1 - p_ni) x_nj^2 in closed form."""
        torch.manual_seed(1)
        weight, x_NJ = torch.randn(3, 2, requires_grad=True), torch.randn(2, 2)
        p_NI = (x_NJ @ weight.T).softmax(-1).detach()
        return weight, x_NJ, torch.einsum("ni,nj->ij", p_NI * (1 - p_NI), x_NJ.square())

    def test_by_enumeration_it_is_the_closed_form_of_softmax_regression(self) -> None:
        weight, x_NJ, wanted = self.softmax_regression()
        [made] = exact_fisher(x_NJ @ weight.T, nn.Identity(), [weight])
        torch.testing.assert_close(made, wanted, rtol=1e-5, atol=1e-6)

    def test_by_draws_it_comes_to_the_same_though_a_row_is_one_backward_pass(self) -> None:
        """2,000 draws; a square of the data's summed gradient would be off by the mixed terms, which do not shrink."""
        weight, x_NJ, wanted = self.softmax_regression()
        generator = torch.Generator().manual_seed(0)
        [made] = sampled_fisher(x_NJ @ weight.T, nn.Identity(), [weight], samples=2000, generator=generator)
        torch.testing.assert_close(made, wanted, rtol=0.1, atol=0.02)

    def test_of_a_small_net_it_is_the_mean_square_of_per_token_gradients(self, tmp_path: Path) -> None:
        """One layer, 1 row of 2 trained tokens; asked of the model's own plain forward, a token and label at a time."""
        model = full(tmp_path, num_hidden_layers=1, vocab_size=50)
        row = Row("ex", (11, 12, 40, 7, 9), (3, 4), "general")
        at = job(model, [replace(row, part="supervised")], tmp_path, general=lambda: [row])
        term = TERMS.build({"use": "ewc", "samples": "all"}).bind(at)
        names = [one.name for one in term.moved]
        weights = [one.base for one in term.moved]
        wanted = [torch.zeros_like(weight) for weight in weights]
        for place in row.trained:
            logs = model(input_ids=torch.tensor([row.ids[:place]])).logits[0, -1].log_softmax(-1)
            for log in logs:
                grads = torch.autograd.grad(log, weights, retain_graph=True)
                for total, grad in zip(wanted, grads, strict=True):
                    total += log.detach().exp() * grad.square() / 2
        assert "model.layers.0.self_attn.q_proj.weight" in names
        for ours, theirs in zip(term.fisher, wanted, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * float(theirs.max()))


class TestAnchors:
    def test_the_penalty_on_a_quadratic_by_hand(self) -> None:
        """w0 = (1, 2), w = (3, 1), F = (2, 4): 1/2 (2 * 4 + 4 * 1) = 6, gradient F (w - w0) = (4, -4); F = 1: 5/2."""
        model = nn.ParameterDict({"w": nn.Parameter(torch.tensor([1.0, 2.0]))})
        moved = moved_matrices(model, "ewc")
        with torch.no_grad():
            model["w"].copy_(torch.tensor([3.0, 1.0]))
        penalty = anchor_penalty(moved, [torch.tensor([2.0, 4.0])])
        torch.autograd.backward(penalty)
        assert float(penalty.detach()) == 6.0
        assert model["w"].grad is not None and model["w"].grad.tolist() == [4.0, -4.0]
        assert float(anchor_penalty(moved, [None]).detach()) == 2.5

    def test_minimising_a_loss_and_the_anchor_ends_at_the_closed_form(self) -> None:
        """Loss 1/2 h (w - b)^2 and anchor 1/2 F (w - w0)^2: w = (h b + F w0) / (h + F), here (3 * 5 + 1) / (3 + 1)."""
        model = nn.ParameterDict({"w": nn.Parameter(torch.tensor([1.0]))})
        moved = moved_matrices(model, "ewc")
        optimiser = torch.optim.SGD([model["w"]], lr=0.1)
        for _ in range(100):
            optimiser.zero_grad()
            loss = 1.5 * (model["w"] - 5).square().sum() + anchor_penalty(moved, [torch.tensor([1.0])])
            torch.autograd.backward(loss)
            optimiser.step()
        assert float(model["w"].detach()) == pytest.approx(4.0, abs=1e-5)

    def test_an_adapter_is_held_by_what_it_adds_to_the_matrix(self, tmp_path: Path) -> None:
        """1/2 |s B A|^2 with s = alpha / rank = 2, over all adapted matrices; zero at the start, A moved or not."""
        model = adapted(tmp_path)
        term = TERMS.build({"use": "l2_sp"}).bind(job(model, some_rows(2), tmp_path))
        assert float(term.penalty().detach()) == 0.0
        stir(model)
        wanted = 0.0
        for name, down in model.named_parameters():
            if "lora_A" in name:
                up = model.get_parameter(name.replace("lora_A", "lora_B"))
                wanted += float((2 * up @ down).detach().square().sum()) / 2
        assert wanted > 0 and float(term.penalty().detach()) == pytest.approx(wanted, rel=1e-5)

    @pytest.mark.parametrize("name", [n for n in STRATEGIES.names() if n != "qlora"])
    def test_it_knows_what_every_strategy_moves(self, name: str, tmp_path: Path) -> None:
        """What the anchor takes for the change is what merging adds to the base's matrices."""
        settings = {"rank": 4, "alpha": 8} if name != "full" else {}
        base = load_model(Path(tiny_base(tmp_path).path)).requires_grad_(False)
        before = {key: weight.detach().clone() for key, weight in base.named_parameters()}
        model = STRATEGIES.build({"use": name, **settings}).apply(base, seed=0)
        moved = moved_matrices(model, "l2_sp")
        stir(model)
        changes = {one.name: one.change().detach() for one in moved}
        merged = model.merge_and_unload() if hasattr(model, "peft_config") else model
        assert changes
        for key, weight in merged.named_parameters():
            if key in changes:
                torch.testing.assert_close(changes[key], weight.detach() - before[key], rtol=1e-4, atol=1e-5)
            else:
                assert torch.equal(weight.detach(), before[key]), key

    def test_the_fisher_of_an_adapted_matrix_is_that_of_the_matrix_and_is_kept(self, tmp_path: Path) -> None:
        model, rows = adapted(tmp_path), general_rows(2)
        at = job(model, some_rows(2), tmp_path, general=lambda: rows)
        flags = {name: weight.requires_grad for name, weight in model.named_parameters()}
        term = TERMS.build({"use": "ewc"}).bind(at)
        assert {name: weight.requires_grad for name, weight in model.named_parameters()} == flags
        assert all(one.base.shape == fisher.shape and float(fisher.max()) > 0
                   for one, fisher in zip(term.moved, term.fisher, strict=True))  # fmt: skip
        [(name, path)] = term.files().items()
        assert name == "fisher.safetensors"
        stir(model)  # an adapter that has moved does not matter: it is off while the base is asked
        path.unlink()
        again = TERMS.build({"use": "ewc"}).bind(replace(at, untrained=False))
        assert all(torch.equal(a, b) for a, b in zip(term.fisher, again.fisher, strict=True))

    def test_what_the_base_said_is_read_again_and_a_damaged_file_is_made_anew(self, tmp_path: Path) -> None:
        model, rows = adapted(tmp_path), general_rows(2)
        at = job(model, some_rows(2), tmp_path, general=lambda: rows)
        first = TERMS.build({"use": "ewc"}).bind(at)
        path = first.files()["fisher.safetensors"]
        before, made = [fisher.clone() for fisher in first.fisher], path.stat().st_mtime_ns
        TERMS.build({"use": "ewc"}).bind(at)
        assert path.stat().st_mtime_ns == made
        data = bytearray(path.read_bytes())
        data[-5] ^= 1
        path.write_bytes(bytes(data))
        again = TERMS.build({"use": "ewc"}).bind(at)
        assert all(torch.equal(a, b) for a, b in zip(before, again.fisher, strict=True))


class TestTeacher:
    @pytest.mark.parametrize("top", [8, "all"])
    def test_it_is_zero_at_the_start_and_grows_when_the_model_moves(self, top: Any, tmp_path: Path) -> None:
        model = adapted(tmp_path)
        at = job(model, some_rows(6), tmp_path)
        term = TERMS.build({"use": "teacher_consistency", "top": top}).bind(at)
        assert abs(step_value(term, at)) < 1e-6
        stir(model, 0.2)
        assert step_value(term, at) > 1e-3

    def test_all_is_the_kl_of_two_plain_models_and_the_top_is_at_most_that(self, tmp_path: Path) -> None:
        model, rows = adapted(tmp_path), some_rows(5)
        at = job(model, rows, tmp_path)
        terms = {top: TERMS.build({"use": "teacher_consistency", "top": top, "chunk_tokens": 3}).bind(at)
                 for top in (2, 8, "all")}  # fmt: skip
        teacher = load_model(Path(tiny_base(tmp_path).path))
        stir(model, 0.2)
        values = {top: step_value(term, at) for top, term in terms.items()}
        total, count = 0.0, sum(len(row.trained) for row in rows)
        for row in rows:
            ids, places = torch.tensor([row.read]), [place - 1 for place in row.trained]
            with torch.no_grad():
                ours, theirs = (m(input_ids=ids).logits[0, places].log_softmax(-1) for m in (plain(model), teacher))
            total += float((theirs.exp() * (theirs - ours)).sum())
        assert values["all"] == pytest.approx(total / count, rel=1e-4)
        assert 0 < values[2] < values[8] < values["all"]

    def test_in_a_later_phase_the_adapter_is_switched_off_for_the_teacher(self, tmp_path: Path) -> None:
        model = adapted(tmp_path)
        at = job(model, some_rows(4), tmp_path)
        stir(model, 0.2)
        term = TERMS.build({"use": "teacher_consistency"}).bind(replace(at, untrained=False))
        assert step_value(term, at) > 1e-3
        with model.disable_adapter():
            assert abs(step_value(term, at)) < 1e-6

    @pytest.mark.parametrize("use", ["teacher_consistency", "domain_alignment", "ewc", "l2_sp"])
    def test_a_base_that_has_moved_is_told(self, use: str, tmp_path: Path) -> None:
        at = job(full(tmp_path), some_rows(4), tmp_path, general=lambda: general_rows(1))
        with pytest.raises(UserError, match=f"{use} asks the base, and an earlier phase has trained"):
            TERMS.build({"use": use}).bind(replace(at, untrained=False))

    def test_a_trained_head_cannot_make_the_teachers_distribution(self, tmp_path: Path) -> None:
        at = job(full(tmp_path), some_rows(4), tmp_path)
        with pytest.raises(UserError, match="head-is-trained"):
            TERMS.build({"use": "teacher_consistency", "top": "all"}).bind(at)
        TERMS.build({"use": "teacher_consistency", "top": 8}).bind(at)


@pytest.mark.parametrize(
    "use", [{"use": "ewc"}, {"use": "replay"}, {"use": "teacher_consistency", "on": "general"}], ids=lambda u: u["use"]
)
def test_without_general_rows_the_remedy_is_told(use: dict[str, Any], tmp_path: Path) -> None:
    at = job(adapted(tmp_path), some_rows(4), tmp_path)
    with pytest.raises(UserError, match="split: general"):
        TERMS.build(use).bind(at)


def test_an_exact_fisher_that_would_take_days_is_refused(tmp_path: Path) -> None:
    """3,000 rows of at least one position and about 400 tokens are more than a million backward passes."""
    at = job(adapted(tmp_path), some_rows(2), tmp_path, general=lambda: general_rows(3000))
    with pytest.raises(UserError, match="fisher-too-long"):
        TERMS.build({"use": "ewc", "samples": "all"}).bind(at)


class TestDomain:
    def test_the_plain_distance_is_one_at_the_start(self, tmp_path: Path) -> None:
        """With `free: 0` the value is the mean squared distance in units of the base's own."""
        at = job(adapted(tmp_path), some_rows(6), tmp_path)
        term = TERMS.build({"use": "domain_alignment", "free": 0}).bind(at)
        assert step_value(term, at) == pytest.approx(1.0, abs=1e-4)

    def test_rows_inside_the_ball_are_not_pulled(self, tmp_path: Path) -> None:
        """By hand, from pooled states of the plain model: the mean over rows of max(0, d^2 / s^2 - 1)."""
        model, rows = adapted(tmp_path), some_rows(6)
        at = job(model, rows, tmp_path)
        value = step_value(TERMS.build({"use": "domain_alignment"}).bind(at), at)
        with torch.no_grad():
            decoder = plain(model).get_decoder()
            pooled = torch.stack([decoder(input_ids=torch.tensor([r.read])).last_hidden_state[0].mean(0) for r in rows])
        squares = (pooled - pooled.mean(0)).square().sum(1)
        wanted = (squares / squares.mean() - 1).clamp_min(0).mean()
        assert 0 < int((squares > squares.mean()).sum()) < 6
        assert value == pytest.approx(float(wanted), rel=1e-3)

    def test_rows_that_are_all_alike_have_no_domain(self, tmp_path: Path) -> None:
        at = job(adapted(tmp_path), [some_rows(1)[0]] * 3, tmp_path)
        with pytest.raises(UserError, match="training rows that differ"):
            TERMS.build({"use": "domain_alignment"}).bind(at)


def plain(model: Any) -> Any:
    """The Transformers model, run by its own attention from now on."""
    inner = model.get_base_model()
    inner.set_attn_implementation("eager")
    return inner


def test_the_divergence_of_the_top_is_a_lower_bound_in_a_case_by_hand() -> None:
    """Teacher (1/2, 1/4, 1/4), model (1/2, 1/2 - e, e), e = 1/8: token 0 alone gives KL 0, all give 1/4 ln(4/3)."""
    teacher, model = (torch.tensor([p]).log() for p in ([0.5, 0.25, 0.25], [0.5, 0.375, 0.125]))
    ids = torch.tensor([[0]])
    lumped = divergence(top_log_probabilities(teacher, ids), top_log_probabilities(model, ids))
    assert float(lumped) == pytest.approx(0.0, abs=1e-6)
    assert float(divergence(teacher, model)) == pytest.approx(0.25 * math.log(4 / 3), abs=1e-6)
