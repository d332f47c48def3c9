"""The section `tune` of the project file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from tunesmith.core.errors import did_you_mean
from tunesmith.core.spec import Section, Use

Auto = Literal["auto"]

OBJECTIVES: dict[str, tuple[dict[str, Any], ...]] = {
    "multi": (
        {"use": "cross_entropy", "weight": 0.6},
        {"use": "domain_alignment", "weight": 0.3},
        {"use": "teacher_consistency", "weight": 0.1},
    ),
}
"""Objectives by name: `objective: multi` is the same as the terms written out."""


def _by_name(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value not in OBJECTIVES:
        raise ValueError(f"no objective is called '{value}'. {did_you_mean(value, list(OBJECTIVES))}")
    return OBJECTIVES[value]


Terms = Annotated[tuple[Use, ...], BeforeValidator(_by_name)]


def _on_or_off(value: Any) -> Any:
    return ("off", "on")[value] if isinstance(value, bool) else value


Checkpointing = Annotated[Literal["auto", "on", "off"], BeforeValidator(_on_or_off)]
"""true and false, as older files have it (and as YAML 1.1 reads on and off), are on and off."""


class Limits(Section):
    """How much of the training data may be lost to the context before gate G2 stops the run."""

    rows_cut: float = Field(
        0.0, ge=0, le=1, description="largest share of training rows that may lose tokens to the context"
    )
    rows_untrained: float = Field(
        0.0, ge=0, le=1, description="largest share of training rows that may have nothing to train"
    )


class Speed(Section):
    """What is not computed twice or not at all, and by what; switches are there to be measured (`./dev bench`)."""

    pack: bool = Field(True, description="all rows of a micro-batch in one sequence; off: one row after the other")
    share_prefix: bool = Field(True, description="the prompt start that all rows share is computed once a micro-batch")
    cut: bool = Field(True, description="no backward pass below the lowest trained layer's input")
    states: Literal["exact", "bf16", "off"] = Field(
        "exact",
        description="states above a frozen bottom are computed once and kept on disk, exactly or in half the room",
    )
    compile: Literal["auto", "on", "off"] = Field(
        "auto",
        description="decoder layers are compiled by torch.compile; auto: where the predicted time is long enough "
        "to pay for it (10 minutes), and with fp8; what cannot be compiled runs as it is",
    )
    kernels: Literal["auto", "off"] = Field(
        "auto", description="norms, rotations and activations by Liger's kernels: on a GPU, where they are installed"
    )


class Curriculum(Section):
    """From easy to hard, and from being shown answers to being rewarded for one's own."""

    order: Literal["random", "easy_to_hard"] = Field(
        "random",
        description="easy_to_hard: rows by the base model's loss on them, in ten levels, each epoch; where answers are "
        "labels, each among the rows with its own",
    )
    supervised: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        (),
        description="share of the supervised terms in equal parts of the training; the rewarded terms have the rest; "
        "(): weights as the objective says",
    )


Rows = Literal["supervised", "text", "pairs", "judged", "prompts", "supervised_and_prompts"]


class Phase(Section):
    """One part of a training that has several; what is None is as `tune` says."""

    rows: Rows = Field(
        "supervised",
        description="what is read: conversations, plain domain text with loss on every token, pairs of a better and a "
        "worse answer, answers judged desirable or not (those of pairs among them), prompts that the model answers "
        "itself, or conversations and prompts together",
    )
    objective: Terms | None = Field(None, min_length=1, description="weighted terms of the loss, or multi")
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(None, description="its peak")
    epochs: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(None, description="passes over the rows")
    rows_per_step: Annotated[int, Field(ge=1)] | None = Field(None, description="rows, pairs or prompts of one step")


class TuneSpec(Section):
    """How the model is trained. `auto` is filled from the rule table, with its reason (`tunesmith plan`)."""

    strategy: Use = Field(
        default_factory=lambda: Use(use="lora"), description="which weights are trained, and how: a name and settings"
    )
    objective: Terms = Field(
        default_factory=lambda: (Use.model_validate({"use": "cross_entropy", "weight": 1.0}),),
        min_length=1,
        description="weighted terms of the loss; or `multi`: cross_entropy 0.6, domain_alignment 0.3, "
        "teacher_consistency 0.1",
    )
    weighting: Use = Field(
        default_factory=lambda: Use(use="fixed"),
        description="how the weights of the terms move: fixed, uncertainty, gradnorm",
    )
    curriculum: Curriculum = Field(default_factory=Curriculum, description="the order of what is learnt")
    phases: tuple[Phase, ...] = Field(
        (), description="parts of the training, one after the other; (): one, of conversations"
    )
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | Auto = Field(
        "auto", description="peak learning rate; auto: by strategy and model size"
    )
    epochs: Annotated[float, Field(gt=0, allow_inf_nan=False)] | Auto = Field(
        "auto", description="passes over the training rows; auto: by number of rows"
    )
    rows_per_step: Annotated[int, Field(ge=1)] | Auto = Field(
        "auto", description="rows of one optimiser step, whatever fits into memory at once; auto: by number of rows"
    )
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear", description="how the learning rate falls after warm-up"
    )
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps in which the learning rate rises")
    weight_decay: float = Field(0.0, ge=0, allow_inf_nan=False, description="decoupled weight decay of AdamW")
    clip_norm: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="largest norm of a step's gradient; larger ones are scaled down"
    )
    context_tokens: Annotated[int, Field(ge=2)] | Auto = Field(
        "auto",
        description="longest row in tokens; what is beyond it is cut, counted, and judged by G2; auto: the model's",
    )
    tokens_per_micro_batch: Annotated[int, Field(ge=16)] | Auto = Field(
        "auto", description="tokens in memory at once; gradients of the micro-batches of a step are added up"
    )
    precision: Literal["auto", "fp32", "bf16", "fp8"] = Field(
        "auto",
        description="type of frozen weights and of arithmetic (trained weights are always kept in float32); auto: bf16 "
        "on GPUs that compute in it, else fp32; fp8: bf16 with products in 8 bits, on an Ada or Hopper GPU or later",
    )
    activation_checkpointing: Checkpointing = Field(
        "auto",
        description="forget activations and compute them again in the backward pass: less memory, more time; auto: "
        "only where the training would not fit into memory without it, and would with it",
    )
    parallel: Literal["data", "sharded"] = Field(
        "data",
        description="with several workers (`run --workers`): data: each holds the whole model; sharded: each holds a "
        "part of every decoder layer (FSDP2), which takes less memory and more traffic",
    )
    checkpoint_every: str = Field(
        "60 s", pattern=r"^[1-9][0-9]* ?(s|steps?)$", description="how often a resumable checkpoint is written"
    )
    track: tuple[Use, ...] = Field(
        (), description="places that the curves are sent to: tensorboard, trackio, mlflow, wandb; none unless named"
    )
    limits: Limits = Field(default_factory=Limits, description="what gate G2 lets pass")
    speed: Speed = Field(default_factory=Speed, description="what is not computed twice, and by what; all on")
    reasoning: Literal["as_data"] = Field(
        "as_data", description="reasoning is trained exactly as the data has it: kept, absent or left empty"
    )
