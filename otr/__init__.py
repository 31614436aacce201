"""One-Token Rollout: the loss, the trainer and the reproduction of the paper's tables.

from otr import Objective, OTRHead, otr_loss
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otr.loss import Constant as Constant
    from otr.loss import HeadOutput as HeadOutput
    from otr.loss import Objective as Objective
    from otr.loss import OTRHead as OTRHead
    from otr.loss import otr_loss as otr_loss
    from otr.loss import register as register

    __version__: str

__all__ = ["Constant", "HeadOutput", "OTRHead", "Objective", "__version__", "otr_loss", "register"]


def __getattr__(name: str) -> object:
    """The loss is imported when it is first asked for: tables and dry runs must not wait for torch."""
    if name == "__version__":
        from importlib.metadata import version

        return version("otr")
    if name in __all__:
        from otr import loss

        return getattr(loss, name)
    raise AttributeError(f"module 'otr' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
