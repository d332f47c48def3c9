"""LoRA on a band of depth: low-rank updates on the upper layers, everything else frozen."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from tunesmith.models.roles import DENSE_ROLES, Role


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters on the upper layers (Hu et al. 2021, arXiv:2106.09685, eq. 3), made by PEFT.

    The layers below the band are frozen and stay without adapter: no gradient goes through them, and their states
    are computed once a run.

    Args:
        rank: r of the update B A; `auto`: from the rule table.
        alpha: the update is scaled by alpha / rank; `auto`: from the rule table.
        dropout: probability of dropping an adapter's input.
        roles: linear layers that are adapted; see `models.roles`.
        upper: share of the layers, counted from the top, that are adapted; 1: all. At least one layer is.
    """

    rank: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    alpha: Annotated[float, Field(gt=0)] | Literal["auto"] = "auto"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    roles: Annotated[tuple[Role, ...], Field(min_length=1)] = DENSE_ROLES
    upper: Annotated[float, Field(gt=0, le=1)] = 0.5

    def border(self, layers: int) -> int:
        """Number of the lowest adapted layer of `layers`: 30 layers and upper 0.5 give 15."""
        return layers - max(1, math.ceil(layers * self.upper - 1e-9))

    def apply(self, model: Any, *, seed: int) -> Any:
        """`model` with a fresh adapter, a PEFT model whose adapter weights alone are trained.

        A is random (Kaiming, from `seed`), B is zero: the model answers as before. Modules stay in evaluation
        mode but for the adapter's dropout. torch's global random state is left as it was.

        Raises:
            ValueError: rank or alpha is still `auto`; no weight has the roles; dropout is asked for where weights are
                adapted by name (models with routed experts).
        """
        import torch
        from peft import LoraConfig

        from tunesmith.models.adapters import put_on
        from tunesmith.models.roles import targets

        if isinstance(self.rank, str) or isinstance(self.alpha, str):
            raise ValueError("rank and alpha must be filled from the rule table first")
        layers = model.config.get_text_config().num_hidden_layers
        found = targets(model, self.roles, range(self.border(layers), layers))
        if found.parameters and self.dropout:
            raise ValueError("dropout cannot be used on models with routed experts; set tune.strategy.dropout to 0")
        config = LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=list(found.modules),
            target_parameters=list(found.parameters) or None,
            task_type="CAUSAL_LM",
            bias="none",
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            adapted = put_on(model, config)
        adapted.eval()
        for name, module in adapted.named_modules():
            if name.rpartition(".")[2] == "lora_dropout":
                module.train()
        return adapted

    def settings(self) -> dict[str, Any]:
        """The settings as JSON values, with the component's name."""
        return {"use": "lora", **asdict(self), "roles": list(self.roles)}
