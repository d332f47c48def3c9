"""The project file with every default written out, so that nothing that decides is hidden."""

from __future__ import annotations

import io
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from tunesmith.core.spec import Use
from tunesmith.project.spec import ProjectSpec


def filled(spec: ProjectSpec) -> str:
    """`spec` as YAML with each field's description as a comment above it; reads back to the same spec."""
    stream = io.StringIO()
    yaml = YAML(typ="rt", pure=True)
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(_commented(spec, 0), stream)
    return stream.getvalue()


def _commented(section: BaseModel, depth: int) -> CommentedMap:
    written = CommentedMap()
    for name, field in type(section).model_fields.items():
        key = field.alias or name
        written[key] = _value(getattr(section, name), depth + 1)
        if field.description:
            written.yaml_set_comment_before_after_key(key, before=field.description, indent=2 * depth)
    return written


def _value(value: Any, depth: int) -> Any:
    if isinstance(value, Use):
        return {"use": value.use, **value.settings}
    if isinstance(value, BaseModel):
        return _commented(value, depth)
    if isinstance(value, dict):
        return {key: _value(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_value(item, depth + 1) if not isinstance(item, BaseModel) else _flat(item) for item in value]
    return value


def _flat(item: BaseModel) -> dict[str, Any]:
    """An item of a list without comments and without settings that were left empty."""
    if isinstance(item, Use):
        return {"use": item.use, **item.settings}
    return item.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
