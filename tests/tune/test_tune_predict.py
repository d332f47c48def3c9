"""The estimate of a whole training, part by part, against numbers worked out by hand.

The model: 4 layers, hidden 32, inner 64, 4 heads of 8, 2 of them for keys and values (query and mixed 32, key and value
16), vocabulary V, untied. A layer's matrices have 1,024 + 512 + 512 + 1,024 + 3 x 2,048 = 9,216 weights, its norms 64;
the body is 4 x 9,280 + 32 = 37,152, a reading pass 2 x 37,152 + 4 x 64 x L = 74,304 + 256 L operations a token in rows
of L tokens, the head 64 V a position.

The rows: 8 that read 17 tokens, 6 of them the shared prefix, 2 trained; 4 a step, 2 epochs, micro-batches of 40 tokens.
A step has 44 own tokens in two micro-batches: 44 + 12 = 56; an epoch 112 tokens and 16 trained ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_tune_timing import rows_of_lengths
from tune_fakes import spec, tiny_base, tokens_of

from tunesmith.core.types import Base
from tunesmith.models.shape import shape_of_folder
from tunesmith.tune.batches import Row
from tunesmith.tune.method import Machine
from tunesmith.tune.predict import predict

LORA = {"use": "lora", "rank": 4, "alpha": 8, "upper": 0.5, "roles": ["query", "value"]}
GB = 1e9
SPEED = 100e9 * 0.6 * 60
"""Operations a minute at 100 GFLOP/s, of which training reaches 0.6."""

BODY, LENGTH, MOVED = 74_304, 17, 2 * (1024 + 512)
"""Reading a token; the rows' length; numbers of the two upper layers' query and value."""
READ = 8 * 17 * (BODY + 256 * LENGTH)
"""One pass over the 8 rows, 17 tokens each, without the head."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return tiny_base(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def head(base: Base) -> int:
    """Operations of the logits of one position: 2 x V x 32."""
    return 64 * shape_of_folder(Path(base.path)).vocabulary


def predicted(
    base: Base, tmp_path: Path, rows: list[Row] | None = None, *, workers: int = 1, disk: float = 100.0, **settings: Any
) -> dict[str, Any]:
    tokens = tokens_of(tmp_path / "tokens", rows_of_lengths([20] * 8) if rows is None else rows)
    section = spec(**{"strategy": LORA, "epochs": 2, "rows_per_step": 4, **settings})
    machine = Machine(100.0, "cpu", disk, workers)
    checkpointing = section.activation_checkpointing == "on"
    found = predict(section, base=base, rows=tokens.file("rows.parquet"), machine=machine, checkpointing=checkpointing)
    for kind in ("gb", "minutes", "disk_gb"):
        total = found[{"gb": "memory_gb"}.get(kind, kind)]
        assert sum(found[f"parts_{kind}"].values()) == pytest.approx(total), "the parts add up"
    return found


def general(count: int) -> list[Row]:
    return [Row(row.id + "g", row.ids, row.trained, "general") for row in rows_of_lengths([20] * count)]


def minutes(operations: float) -> Any:
    return pytest.approx(operations / SPEED, rel=1e-6)


def gb(count: float) -> Any:
    return pytest.approx(count / GB, rel=1e-6)


def test_the_steps_of_lora_on_the_upper_half(base: Base, tmp_path: Path, head: int) -> None:
    """Adapters: 2 layers x 4 x (64 + 48) = 896 weights. States of the frozen half: 6 + 8 x 11 = 94 tokens of 128 bytes.

    A token passes half of the layers: forward and input gradients 112 x (37,152 + 128 x 17) and 112 x (37,152 + 256
    x 17) an epoch, weight gradients 112 x 2 x 896, logits and their gradient 16 x 2 heads.
    Kept of a token: 2 x 32 + 32 + 16 + 16 + 32 + 3 x 64 = 352, 32 more for the input of query and value, 2 x 4 inside
    the adapters: 392, in 2 layers; the largest micro-batch has 28 tokens, ceil(28 x 16 / 112) = 4 of them trained.
    """
    found = predicted(base, tmp_path)
    assert found["trainable"] == 896
    times = found["parts_minutes"]
    half = BODY / 2 + 128 * LENGTH
    assert times["border states"] == minutes(112 * half)
    assert times["forward"] == minutes(2 * 112 * half)
    assert times["backward"] == minutes(2 * 112 * (half + 128 * LENGTH + 2 * 896))
    assert times["head"] == minutes(2 * 2 * 16 * head)
    assert times.keys() == {"border states", "forward", "backward", "head"}
    parts = found["moments_gb"]["steps"]
    assert parts["activations"] == gb(28 * 2 * 392 * 4)
    assert parts["gradients"] == gb(896 * 4) and parts["optimizer"] == gb(896 * 8)
    assert parts["logits"] == gb(4 * head / 64 * 12)
    saving = found["moments_gb"]["checkpoint"]
    assert saving["copies"] == 0 and saving["gradients"] == gb(896 * 4)
    disk = found["parts_disk_gb"]
    assert disk["border states"] == gb(94 * 128)
    assert disk["checkpoints"] == gb(3 * 896 * 12) and disk["checkpoint"] == gb(896 * 4)
    assert (found["tokens"], found["step_tokens"]) == (112, 28)


def test_activations_computed_again_take_less_memory_and_more_time(base: Base, tmp_path: Path) -> None:
    """The inputs of two layers and what one of them keeps: 2 x 32 + 392 = 456 instead of 784; one more forward pass."""
    found = predicted(base, tmp_path, activation_checkpointing="on")
    assert found["moments_gb"]["steps"]["activations"] == gb(28 * 456 * 4)
    assert found["parts_minutes"]["recomputation"] == found["parts_minutes"]["forward"]


def test_states_that_the_disk_has_no_room_for_are_computed_in_every_epoch(base: Base, tmp_path: Path) -> None:
    """94 x 128 = 12,032 bytes are more than half of 20,000."""
    full = predicted(base, tmp_path, disk=20_000 / GB)
    assert "border states" not in full["parts_disk_gb"] and "border states" not in full["parts_minutes"]
    assert full["parts_minutes"]["forward"] == minutes(2 * 112 * (BODY + 256 * LENGTH))
    assert "border states" not in predicted(base, tmp_path, speed={"states": "off"})["parts_disk_gb"]
    half = predicted(base, tmp_path, strategy={"use": "full"})
    assert "border states" not in half["parts_disk_gb"]


def test_a_term_that_asks_the_untrained_model_once(base: Base, tmp_path: Path, head: int) -> None:
    """16 positions of 2 x 64 + 1 numbers, 4 bytes each, or of 32 states; two terms make logits in every step."""
    terms: list[dict[str, Any]] = [{"use": "cross_entropy"}, {"use": "teacher_consistency", "weight": 0.1}]
    found = predicted(base, tmp_path, objective=terms)
    assert found["parts_minutes"]["teacher"] == minutes(READ + 16 * head)
    assert found["parts_minutes"]["head"] == minutes(2 * 2 * 2 * 16 * head)
    assert found["parts_disk_gb"]["teacher"] == found["moments_gb"]["steps"]["teacher"] == gb(16 * 129 * 4)
    terms[1]["top"] = "all"
    assert predicted(base, tmp_path, objective=terms)["parts_disk_gb"]["teacher"] == gb(16 * 32 * 4)
    aligned = predicted(base, tmp_path, objective=[{"use": "cross_entropy"}, {"use": "domain_alignment"}])
    assert aligned["parts_minutes"]["centroid"] == minutes(READ)


def test_preferences_ask_their_reference_once_and_kto_once_more(base: Base, tmp_path: Path, head: int) -> None:
    """4 pairs are 8 rows, 2 a step and epoch: as many as above; DPO and KTO share the pass that both need."""
    rows = rows_of_lengths([20] * 4)
    pairs = [*rows, *(Row(row.id, row.ids, row.trained, "rejected") for row in rows)]
    phase: dict[str, Any] = {"rows": "pairs", "objective": [{"use": "dpo"}], "rows_per_step": 2}
    found = predicted(base, tmp_path, pairs, phases=[phase])
    assert found["parts_minutes"]["reference"] == minutes(READ + 16 * head)
    phase["objective"] = [{"use": "dpo"}, {"use": "kto"}]
    both = predicted(base, tmp_path, pairs, phases=[phase])
    assert both["parts_minutes"]["reference"] == both["parts_minutes"]["crossed answers"] == minutes(READ + 16 * head)
    assert both["parts_minutes"]["head"] == pytest.approx(2 * found["parts_minutes"]["head"])


def test_ewc_holds_a_fisher_and_makes_it_first(base: Base, tmp_path: Path, head: int) -> None:
    """Query and value of two layers are moved: 3,072 numbers of 4 bytes; while it is made their gradients beside it.

    2 general rows that read 17 tokens, 4 draws: one pass, and 4 times input gradients of the upper half, weight
    gradients 2 x 3,072 a token, and three products of the head at 4 positions.
    """
    rows = [*rows_of_lengths([20] * 8), *general(2)]
    found = predicted(base, tmp_path, rows, objective=[{"use": "cross_entropy"}, {"use": "ewc"}])
    assert MOVED == 3072
    each = BODY / 2 + 256 * LENGTH + 2 * MOVED
    told = 34 * (BODY + 256 * LENGTH) + 4 * (34 * each + 4 * 3 * head)
    assert found["parts_minutes"]["fisher"] == minutes(told)
    assert found["moments_gb"]["steps"]["fisher"] == found["parts_disk_gb"]["fisher"] == gb(4 * MOVED)
    assert found["moments_gb"]["fisher"]["fisher"] == gb(8 * MOVED)
    assert found["moments_gb"]["steps"]["anchor"] == 0, "an adapter's base is there anyway"
    assert found["moments_gb"]["penalty"]["penalty"] == gb(2 * 4 * 896)


def test_l2_sp_on_full_tuning_keeps_a_copy_of_what_is_trained(base: Base, tmp_path: Path) -> None:
    """4 layers x 9,280 weights and 32 of the last norm: 37,152, embedding and head frozen."""
    found = predicted(base, tmp_path, strategy={"use": "full"}, objective=[{"use": "cross_entropy"}, {"use": "l2_sp"}])
    assert found["trainable"] == 37_152
    assert found["moments_gb"]["steps"]["anchor"] == gb(4 * 37_152)
    assert found["moments_gb"]["penalty"]["penalty"] == gb(8 * 37_152)


def test_replayed_rows_are_read_in_every_step(base: Base, tmp_path: Path) -> None:
    """A quarter of 4 rows: one general row, 11 own tokens, 2 trained; 55 tokens a step make still 2 micro-batches."""
    rows = [*rows_of_lengths([20] * 8), *general(3)]
    found = predicted(base, tmp_path, rows, objective=[{"use": "cross_entropy"}, {"use": "replay"}])
    plain = predicted(base, tmp_path)
    assert found["tokens"] == plain["tokens"] + 2 * 11
    assert found["parts_minutes"]["head"] == pytest.approx(plain["parts_minutes"]["head"] * 20 / 16)


def test_answers_are_sampled_kept_in_a_cache_and_trained_on(base: Base, tmp_path: Path, head: int) -> None:
    """8 prompts of 16 tokens, 4 a sampling, 3 answers of 5 tokens, 2 epochs: 4 samplings of 12 answers, 2 updates each.

    A row of prompt and answer has 21 tokens, all 12 fit at once: a cache of 12 x 21 x (16 + 16) x (4 + 1) numbers, and
    12 x V x 20 bytes of logits. Training reads a prompt once for its 3 answers: 4 x (16 + 15) = 124 tokens and 60
    trained ones, 8 times; likelihoods of the sampling policy and of the reference: 2 x 4 passes over 124 tokens.
    """
    reward = {"use": "policy_gradient", "reward": [{"use": "exact_match"}], "samples": 3, "at_most_tokens": 5}
    phase = {"rows": "prompts", "objective": [{**reward, "kl": 0.1, "updates": 2}]}
    found = predicted(base, tmp_path, phases=[phase])
    moment = found["moments_gb"]["sampling"]
    assert moment["cache of answers"] == gb(12 * 21 * 32 * 5 * 4)
    assert moment["logits of answers"] == gb(12 * head / 64 * 20)
    assert moment["reference"] == gb(2 * 4 * 896) and found["moments_gb"]["steps"]["reference"] == gb(4 * 896)
    times, read = found["parts_minutes"], BODY + 256 * 21
    assert times["likelihoods"] == minutes(8 * (124 * read + 60 * head))
    assert times["forward"] == minutes(8 * 124 * read), "the frozen half is run in every step: answers are new"
    assert times["head"] == minutes(8 * 2 * 60 * head)
    assert times["sampling"] > 0 and "border states" not in found["parts_disk_gb"]


def test_phases_have_the_largest_memory_and_the_sum_of_the_times(base: Base, tmp_path: Path) -> None:
    """The same phase with twice the tokens in a micro-batch, and one more epoch."""
    text = [Row(f"{row.id}t", row.ids, row.trained, "text") for row in rows_of_lengths([20] * 8)]
    rows = [*rows_of_lengths([20] * 8), *text]
    both = predicted(base, tmp_path, rows, phases=[{"rows": "text", "epochs": 1}, {"rows": "supervised"}])
    [one] = [predicted(base, tmp_path, rows, phases=[{"rows": "supervised"}])]
    first, second = both["phases"]
    assert (first["name"], second["name"]) == ("1 of 2, text", "2 of 2, supervised")
    assert second["minutes"] == pytest.approx(one["minutes"])
    assert both["minutes"] == pytest.approx(first["minutes"] + second["minutes"])
    assert both["memory_gb"] == max(sum(parts.values()) for parts in both["moments_gb"].values())
    assert set(both["moments_gb"]) >= {"1 of 2, text: steps", "2 of 2, supervised: steps"}
    assert both["parts_disk_gb"]["border states"] == pytest.approx(2 * one["parts_disk_gb"]["border states"])


def test_workers_on_one_machine_hold_the_model_each_or_share_it(base: Base, tmp_path: Path) -> None:
    """Data parallel: everything twice. Sharded: gradients and moments once; of the weights the layers', 37,152 of all
    V x 64 + 37,152, once, embedding and head twice. On a processor two workers are no faster: they share the cores.
    """
    alone = predicted(base, tmp_path, strategy={"use": "full"})
    pair = predicted(base, tmp_path, strategy={"use": "full"}, workers=2)
    shared = predicted(base, tmp_path, strategy={"use": "full"}, workers=2, parallel="sharded")
    one, two, parted = (found["moments_gb"]["steps"] for found in (alone, pair, shared))
    same = ("weights", "gradients", "optimizer", "runtime")
    assert all(two[name] == pytest.approx(2 * one[name]) for name in same)
    assert parted["gradients"] == pytest.approx(one["gradients"]) and parted["runtime"] == 2 * one["runtime"]
    rest = one["weights"] - 37_152 * 4 / GB
    assert parted["weights"] == pytest.approx(37_152 * 4 / GB + 2 * rest)
    assert pair["workers"] == 2


def test_nothing_to_train_has_an_estimate_all_the_same(base: Base, tmp_path: Path) -> None:
    """G2 says that there is nothing; G0 still judges whether the model fits."""
    found = predicted(base, tmp_path, [])
    assert found["minutes"] == 0 and found["memory_gb"] > 0.6
