"""The section `reason` of the project file: how the expert thinks before it answers."""

from __future__ import annotations

from pydantic import Field

from tunesmith.core.spec import Section, Use


class ReasonSpec(Section):
    """How the expert comes to its answer."""

    paths: Use = Field(default=Use(use="direct"), description="way of reasoning, a name from the shelf of paths")
    at_most_tokens: int = Field(
        default=1024, ge=1, le=131_072, description="longest answer in tokens, reasoning included; longer ones are cut"
    )
