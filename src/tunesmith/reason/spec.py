"""The section `reason` of the project file: how the expert thinks before it answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunesmith.core.spec import Section, Use


class SamplingSpec(Section):
    """How chains are drawn where there are several; the defaults are those of DeepSeek-R1's model card."""

    temperature: float = Field(0.6, ge=0.0, le=2.0, description="logits are divided by it; 0: the likeliest token")
    top_p: float = Field(
        0.95, gt=0.0, le=1.0, description="drawn from: the smallest set of tokens with at least this probability"
    )
    think: Literal["auto", "on", "off"] | Annotated[int, Field(ge=1)] = Field(
        "auto",
        description="reasoning in `<think>`: as the chat template has it, on, off, or on with at most so many tokens",
    )


class ReasonSpec(Section):
    """How the expert comes to its answer."""

    paths: Use = Field(default=Use(use="direct"), description="way of reasoning, a name from the shelf of paths")
    sampling: SamplingSpec = Field(SamplingSpec(), description="how chains are drawn")
    engine: Literal["exact", "bf16", "int8"] = Field(
        "exact",
        description="arithmetic of the answering model on a processor: `exact` is float32; `bf16` and `int8` (weights "
        "and activations in 8 bits, row by row) are faster and change some answers (reasoning.md, Backends)",
    )
    calculator: bool = Field(
        False,
        description="behind the sign of an equation in numbers the result is computed, and written in place of the "
        "model's own; a model that answers elsewhere (an export, another server) does not have it",
    )
    check: tuple[Use, ...] = Field((), description="what looks for mistakes in each chain")
    fuse: Use | None = Field(
        None, description="what makes one answer of several chains; null: the majority of their conclusions"
    )
    conclude: Literal[
        "auto", "number", "quantity", "option", "yes_no", "label", "set", "list", "expression", "text"
    ] = Field("auto", description="what conclusions are; `auto`: one of the profile's labels, or told by their form")
    learn_rows: int = Field(
        100, ge=0, description="most validation rows that teach fusion and stopping; 0: they keep their defaults"
    )
    abstain_below: float = Field(
        0.0, ge=0.0, le=1.0, description="no answer is given that is less likely right than this; 0: always one"
    )
    at_most_tokens: int = Field(
        default=1024, ge=1, le=131_072, description="longest chain in tokens, reasoning included; longer ones are cut"
    )
