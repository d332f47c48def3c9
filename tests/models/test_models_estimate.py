"""Memory and time, against numbers worked out by hand and against counted ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fakes import tiny_model_folder
from tunesmith.models import catalog
from tunesmith.models.estimate import (
    Kept,
    Work,
    adapter_memory_gb,
    estimate_training,
    lora_parameters,
    memory_parts,
    packed_bytes,
    saved_numbers,
    training_operations,
)
from tunesmith.models.shape import Shape, shape_of_entry, shape_of_folder, with_weights

ATTENTION = ("query", "key", "value", "output")
TOKENS, TRAINED = 64_053, 15_052


@pytest.fixture
def smollm2() -> Shape:
    return shape_of_entry(catalog.lookup("smollm2-135m-instruct"))


def work(trainable: int, **fields: object) -> Work:
    known: dict[str, object] = {"tokens": TOKENS, "trained_tokens": TRAINED, "row_tokens": 160}
    return Work(trainable=trainable, **{**known, **fields})  # type: ignore[arg-type]


def test_shape_of_smollm2(smollm2: Shape) -> None:
    """9 heads of 64 make 576; 3 key-value heads make 192; the body is 134,515,008 - 49,152 x 576 = 106,203,456."""
    assert (smollm2.query, smollm2.key, smollm2.value, smollm2.mixed) == (576, 192, 192, 576)
    assert smollm2.body == 106_203_456


def test_weights_of_an_adapter(smollm2: Shape) -> None:
    """Rank 16 on query (576+576), key and value (576+192 each), output (576+576): 16 x 3,840 = 61,440 a layer,
    1,843,200 in 30. The feed-forward part adds 3 x (576+1,536) x 16 = 101,376 a layer.
    """
    assert lora_parameters(smollm2, 16, roles=ATTENTION) == 1_843_200
    assert lora_parameters(smollm2, 16) == 30 * (61_440 + 101_376)
    assert lora_parameters(smollm2, 8, roles=["query"], layers=15) == 8 * 1152 * 15


def test_operations_of_a_tiny_run_by_hand() -> None:
    """Body 200 of 2 layers, vocabulary 10, hidden 4, tied; 100 tokens, 20 of them trained, rows of 5, LoRA of 6
    weights: forward 100 x (2 x 200 + 2 x 5 x (4 + 4)) = 48,000; head 20 x 2 x 10 x 4 = 1,600; input gradients
    100 x (400 + 2 x 80) + 1,600 = 57,600; weight gradients 100 x 2 x 6 = 1,200. Together 108,400.
    With the upper layer alone trained, its border cached, over 3 epochs: forward 48,000 + 2 x 24,000; each epoch
    head 1,600, input gradients 28,000 + 1,600, weight gradients 1,200: 96,000 + 3 x 32,400 = 193,200.
    """
    shape = Shape("X", 240, 240, 2, 4, 4, 4, 4, 4, 8, 10, True, 64)
    base = {"tokens": 100, "trained_tokens": 20, "row_tokens": 5}
    assert training_operations(shape, work(6, **base)) == 108_400
    assert training_operations(shape, work(6, **base, lowest=1, cached=True, epochs=3)) == 193_200
    assert training_operations(shape, work(6, **base, checkpointing=True)) == 108_400 + 48_000
    assert training_operations(shape, work(6, **base, epochs=0.5)) == 54_200


@pytest.mark.parametrize(
    ("trainable", "fields", "counted"),
    [
        (1_843_200, {}, 30.6e12),
        (106_203_456, {"adapter": False}, 44.6e12),
        (13_500_000, {"lowest": 21}, 21.8e12),
    ],
)
def test_operations_agree_with_counted_ones(
    smollm2: Shape, trainable: int, fields: dict[str, object], counted: float
) -> None:
    """Counted on 400 instruction rows of SmolLM2: LoRA on all layers, full tuning, the layered 70/20/10 strategy."""
    assert training_operations(smollm2, work(trainable, **fields)) == pytest.approx(counted, rel=0.03)


def test_a_later_epoch_from_cached_states_agrees_with_the_counted_one(smollm2: Shape) -> None:
    one, two = (
        training_operations(smollm2, work(13_500_000, lowest=21, cached=True, epochs=epochs)) for epochs in (1, 2)
    )
    assert two - one == pytest.approx(12.0e12, rel=0.03)


def test_numbers_saved_for_the_backward_pass(smollm2: Shape) -> None:
    """Always 2 x 576 + 576 + 192 + 192 + 576 + 3 x 1,536 = 7,296. With adapters of rank 16 on query, key, value and
    output 576 and 576 more, and 4 x 16: 8,512. On all roles also 576 and 1,536: 10,560 and 7 x 16. Trained whole, norms
    too, 2 x 576 more: 11,712; torch's saved-tensor hooks counted 11,788.
    """
    assert saved_numbers(smollm2, Kept(1, ())) == 7_296
    assert saved_numbers(smollm2, Kept(1, ATTENTION, rank=16)) == 8_512
    assert saved_numbers(smollm2) == 10_560
    assert saved_numbers(smollm2, Kept(1, norms=True)) == 11_712 == pytest.approx(11_788, rel=0.01)


def test_memory_of_full_tuning_by_hand(smollm2: Shape) -> None:
    """Weights 134,515,008 x 4 = 0.538 GB, gradients as much, AdamW twice as much; 1,024 tokens x 30 layers x
    11,712 x 4 bytes = 1.439 GB, and two layers' worth in passing, 0.096; 256 positions x 49,152 x 12 bytes = 0.151 GB;
    0.6 GB for torch.
    """
    parts = memory_parts(
        smollm2, work(134_515_008, adapter=False, kept=(Kept(30, norms=True),), step_tokens=1024, chunk=256)
    )
    expected = {
        "weights": 0.538,
        "master": 0.0,
        "gradients": 0.538,
        "optimizer": 1.076,
        "activations": 1.439,
        "allocator": 0.096,
        "logits": 0.151,
        "runtime": 0.6,
    }
    assert parts == {name: pytest.approx(value, abs=0.0006) for name, value in expected.items()}


def test_mixed_precision_keeps_trained_weights_in_float32(smollm2: Shape) -> None:
    """All 134,515,008 are rounded to bfloat16 for each product, 2 bytes, beside their 4, with gradient and moments 18
    bytes each. An adapter's are float32 anyway, and are rounded as well: 6 bytes beside the model's 2.
    """
    half = {"weight_bytes": 2, "compute_bytes": 2}
    full = memory_parts(smollm2, work(134_515_008, adapter=False, **half))
    each = sum(full[name] for name in ("weights", "master", "gradients", "optimizer"))
    assert each == pytest.approx(134_515_008 * 18 / 1e9)
    adapted = memory_parts(smollm2, work(1_843_200, **half))
    assert adapted["master"] == 0
    assert adapted["weights"] == pytest.approx((134_515_008 * 2 + 1_843_200 * 6) / 1e9)


@pytest.mark.parametrize(
    ("measured", "trainable", "kept"),
    [
        (2.69, 1_843_200, (Kept(30, ATTENTION, rank=16),)),
        (3.25, 4_884_480, (Kept(30, rank=16),)),
        (2.27, 2_442_240, (Kept(15, rank=16),)),
        (1.75, 10_800_000, (Kept(6, ("query", "key"), rank=16), Kept(3))),
        (3.83, 106_200_000, (Kept(30, norms=True),)),  # head and embedding frozen
    ],
)
def test_the_memory_of_measured_runs_is_predicted_within_15_percent(
    smollm2: Shape, measured: float, trainable: int, kept: tuple[Kept, ...]
) -> None:
    """SmolLM2 at 866 tokens a micro-batch (16 rows in steps of 8), 204 of them trained; `measured` is the peak of the
    process in GB. LoRA on query, key, value and output; on all roles; in the upper half; layered; full.
    """
    lowest = 30 - sum(some.layers for some in kept)
    given = work(trainable, step_tokens=866, chunk=204, lowest=lowest, kept=kept, adapter=not kept[0].norms)
    assert sum(memory_parts(smollm2, given).values()) == pytest.approx(measured, rel=0.15)


def test_holes_of_malloc_by_hand(smollm2: Shape) -> None:
    """Adapters on attention keep 8,512 numbers a layer, of which half as much again is lost in 30 layers, and 2 layers'
    worth passes by: 866 x 4 x (0.5 x 30 + 2) x 8,512 = 0.501 GB. A GPU has none; activation checkpointing as many.
    """
    given = work(1_843_200, step_tokens=866, kept=(Kept(30, ATTENTION, rank=16),))
    assert memory_parts(smollm2, given)["allocator"] == pytest.approx(0.501, abs=0.0006)
    assert memory_parts(smollm2, replace(given, malloc=False))["allocator"] == 0
    assert memory_parts(smollm2, replace(given, checkpointing=True))["allocator"] == pytest.approx(0.501, abs=0.0006)


def test_an_adapter_on_the_upper_half_keeps_half_of_the_activations(smollm2: Shape) -> None:
    whole = memory_parts(smollm2, work(1_843_200))
    upper = memory_parts(smollm2, work(921_600, lowest=15))
    assert upper["activations"] == pytest.approx(whole["activations"] / 2)
    assert upper["weights"] == pytest.approx((134_515_008 * 4 + 921_600 * 4) / 1e9)


def test_time_is_operations_over_speed(smollm2: Shape) -> None:
    """30.2e12 operations at 175e9 a second and 60 % of it: 288 s, 4.8 minutes; the parts add up to the memory."""
    estimate = estimate_training(smollm2, work(1_843_200), gflops=175)
    assert estimate.minutes == pytest.approx(4.8, abs=0.05)
    assert estimate.memory_gb == pytest.approx(sum(estimate.parts_gb.values()))
    assert estimate.as_dict()["parts_gb"]["runtime"] == 0.6


def test_four_bits_by_hand() -> None:
    """1 layer, all widths 4, inner 8, 10 words, tied: 4 x 16 + 3 x 32 = 160 linear of 160 + 40 + 3 x 4 = 212.

    160 x (0.5 + 1/64 + 4/16,384) + 52 x 4 bytes = 82.54 + 208 = 290.54, 1.3705 a weight.
    """
    shape = with_weights(Shape("X", 212, 212, 1, 4, 4, 4, 4, 4, 8, 10, True, 64))
    assert sum(weight.size for weight in shape.weights) == 212
    assert packed_bytes(shape, 4) == pytest.approx(1.3705, abs=1e-4)


def test_the_weights_that_widths_tell_are_the_models_own(tmp_path: Path) -> None:
    folder = tiny_model_folder(tmp_path)
    shape = shape_of_folder(folder)
    assert sorted(with_weights(shape).weights) == sorted(with_weights(shape, folder).weights)


def test_the_numbers_of_gpt2_have_other_names(tmp_path: Path) -> None:
    shape = shape_of_folder(tiny_model_folder(tmp_path, "gpt2"))
    assert (shape.layers, shape.hidden, shape.query, shape.context) == (2, 32, 32, 512)


def test_work_that_is_no_operation_takes_time_too(smollm2: Shape) -> None:
    plain, packed = (estimate_training(smollm2, work(1_843_200, slower=s), gflops=175) for s in (1.0, 1.2))
    assert packed.minutes == pytest.approx(1.2 * plain.minutes) and packed.tera == plain.tera


def test_does_lora_on_a_7b_model_fit_in_24_gb() -> None:
    """Weights 7,615,616,512 x 2 bytes = 15.231 GB; an adapter of 40,370,176 weights (1,441,792 a layer) takes
    18 bytes each (2 of them rounded): 0.727; activations 2,048 x (28 x 3,584 + 101,888) x 2 bytes = 0.828; logits
    256 x 152,064 x 12 bytes = 0.467; runtime 0.6. Together 17.9 GB: yes. In float32 it does not.
    """
    entry = catalog.lookup("deepseek-r1-distill-qwen-7b")
    assert adapter_memory_gb(entry) == pytest.approx(17.853, abs=0.002)
    assert adapter_memory_gb(entry, weight_bytes=4) > 24
    assert adapter_memory_gb(catalog.lookup("deepseek-r1-distill-llama-70b")) > 80


def test_every_catalog_model_has_an_estimate_that_grows_with_it() -> None:
    for entry in catalog.entries():
        assert adapter_memory_gb(entry) > entry.parameters * 2 / 1e9
