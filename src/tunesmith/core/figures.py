"""A measured value as people read it, the same in reasons, report and command line."""

from __future__ import annotations


def figure(value: float, unit: str, *, sign: bool = False) -> str:
    """A value with the digits that its unit deserves: 0.412, 0.999, 812 ms, 43.1 tokens/s."""
    plus = "+" if sign else ""
    if unit == "ms":
        return f"{value:{plus}.0f} ms"
    if unit == "tokens/s":
        return f"{value:{plus}.1f} tokens/s"
    if unit == "tokens":
        return f"{value:{plus}.1f} tokens"
    if unit == "cost":
        return f"{value:{plus}.4g}"
    if unit == "nats":
        return f"{value:{plus}.4f} nats"
    return f"{value:{plus}.3f}"
