"""Who writes the new rows, what it may cost, and whether it can be asked at all."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from tunesmith.core.errors import Problem
from tunesmith.core.spec import Section
from tunesmith.models.spec import ModelSpec


class Endpoint(Section):
    """An endpoint that speaks OpenAI's chat completions."""

    url: str = Field(
        pattern=r"^https?://[^\s/]+", description="address up to and with `/v1`; nothing else is ever asked"
    )
    key: str = Field(
        "",
        pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$",
        description="name of the environment variable that holds the key; empty: none is sent",
    )
    temperature: float = Field(0.0, ge=0.0, le=2.0, description="of the draws (0: the likeliest answer)")
    seconds: float = Field(
        60.0, gt=0.0, description="wall time of one request; a slower one is given up and tried again"
    )
    retries: int = Field(3, ge=0, le=20, description="further tries after a failure, after 0.5, 1, 2, ... 30 seconds")
    at_once: int = Field(4, ge=1, le=256, description="requests under way at the same time")
    per_minute: int = Field(0, ge=0, description="most requests in a minute; 0: no limit")


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
