"""The section `model:` of the project file."""

from __future__ import annotations

from pydantic import Field

from tunesmith.core.spec import Section


class ModelSpec(Section):
    """Which base model is tuned, and in which version."""

    use: str = Field(
        default="smollm2-135m-instruct",
        min_length=1,
        description=(
            "A catalog name, a local folder, a GGUF file or a hub id (`organisation/name`); `auto`: the largest "
            "catalog model that is on this machine and fits it. Default: the one model that comes as a package, "
            "so that it needs no hub."
        ),
    )
    revision: str | None = Field(
        default=None,
        min_length=1,
        description=(
            "Commit, tag or branch on the hub; a tag or branch is pinned to the commit it names when it is first "
            "resolved, and the commit is recorded. Default: the catalog's package where there is one, else the "
            "hub's main branch. Has no meaning for a folder or file."
        ),
    )
