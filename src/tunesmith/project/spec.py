"""The project file as a typed value: one section per room, every default written here or in the room's spec."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tunesmith.core.spec import Section
from tunesmith.data.spec import DataSpec
from tunesmith.evaluate.spec import EvaluateSpec
from tunesmith.models.spec import ModelSpec
from tunesmith.profile.spec import ProfileSpec
from tunesmith.reason.spec import ReasonSpec
from tunesmith.tune.spec import TuneSpec

GateName = Literal["G0", "G1", "G2", "G3", "G4", "G5"]


class Lowered(Section):
    """A gate lowered to a warning."""

    warn: str = Field(min_length=10, description="why this gate may only warn; goes into the ledger and the report")


class ProjectSpec(Section):
    """A whole project file."""

    schema_: Literal[1] = Field(1, alias="schema", description="version of this file format")
    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="letters, digits, dot, dash, underscore"
    )
    seed: int = Field(0, ge=0, le=2**32 - 1, description="seed of sampling, splitting, data order and initial weights")
    profile: ProfileSpec = Field(description="the business goal in numbers")
    model: ModelSpec = Field(default_factory=ModelSpec, description="the base model")
    data: DataSpec = Field(description="sources and how they become a snapshot")
    tune: TuneSpec = Field(default_factory=TuneSpec, description="how the model is trained")
    reason: ReasonSpec = Field(default_factory=ReasonSpec, description="how the expert thinks")
    evaluate: EvaluateSpec = Field(default_factory=EvaluateSpec, description="how it is measured")
    gates: dict[GateName, Lowered] = Field(default_factory=dict, description="gates lowered to warnings, with reasons")
