"""Who writes the new rows, what it may cost, and whether it can be asked at all."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from tunesmith.core.errors import Problem
from tunesmith.core.spec import Section
from tunesmith.models.endpoint import Endpoint
from tunesmith.models.spec import ModelSpec


class Price(Section):
    """What a million tokens cost."""

    input: float = Field(0.0, ge=0.0, description="per million tokens of prompts")
    output: float = Field(0.0, ge=0.0, description="per million tokens of answers")
    currency: str = Field("USD", min_length=1, description="in which both are given")


class Teacher(Section):
    """The model that writes: on this machine, or behind an endpoint that the project names."""

    model: str = Field(
        min_length=1, description="as in `model.use` for a model on this machine; the endpoint's own name for its model"
    )
    endpoint: Endpoint | None = Field(None, description="where it is asked; empty: on this machine, without network")
    at_most_tokens: int = Field(512, ge=1, description="longest answer")
    at_most_prompts: int = Field(0, ge=0, description="most prompts that are asked, to bound the cost; 0: no bound")
    price: Price = Field(Price(), description="for the report of cost")

    def check(self, root: Path) -> list[Problem]:
        """What is wrong with it, without asking anything: the key is not there, or no such model."""
        if self.endpoint is None:
            from tunesmith.models.stage import check

            return [replace(problem, path="teacher") for problem in check(ModelSpec(use=self.model), root)]
        if self.endpoint.key and not os.environ.get(self.endpoint.key):
            message = f"the environment has no {self.endpoint.key}, which holds the endpoint's key"
            return [Problem("no-key", message, f"export {self.endpoint.key}=...", "teacher")]
        return []

    def outside(self, root: Path) -> dict[str, str]:
        """Digests of the model's files, where it is on this machine."""
        if self.endpoint is not None:
            return {}
        from tunesmith.models.stage import outside

        return {f"teacher {self.model} {name}": mark for name, mark in outside(ModelSpec(use=self.model), root).items()}
