"""One-Token Rollout: the loss, the trainer and the reproduction of the paper's tables.

from otr import Objective, OTRHead, otr_loss
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otr.loss import Objective as Objective
    from otr.loss import OTRHead as OTRHead
    from otr.loss import otr_loss as otr_loss

__all__ = ["OTRHead", "Objective", "otr_loss"]


def __getattr__(name: str) -> Any:
    """The loss is imported when it is first asked for: tables and dry runs must not wait for torch."""
    if name in __all__:
        from otr import loss

        return getattr(loss, name)
    raise AttributeError(f"module 'otr' has no attribute '{name}'")
