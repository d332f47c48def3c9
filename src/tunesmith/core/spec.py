"""Building blocks of the project file's typed sections."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One section of the project file: frozen, unknown keys are problems, every field has a description."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Use(BaseModel):
    """One component by name with its settings: `{use: near_duplicates, threshold: 0.85}`.

    The settings are checked by the shelf of the place where it stands, see `Shelf.problems`.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    use: str

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.__pydantic_extra__ or {})
