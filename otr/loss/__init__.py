"""The OTR objective: the fused head (`OTRHead`), the plain loss of logits (`otr_loss`) and its `Objective`.

This folder needs torch alone (triton for the kernel) and imports nothing outside itself: it also works when copied
into another project under another name.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .head import HeadOutput as HeadOutput
    from .head import OTRHead as OTRHead
    from .head import otr_loss as otr_loss
    from .objective import Constant as Constant
    from .objective import Objective as Objective
    from .objective import register as register

_HEAD = ("HeadOutput", "OTRHead", "otr_loss")
_TABLE = ("Constant", "Objective", "register")
__all__ = ["Constant", "HeadOutput", "OTRHead", "Objective", "otr_loss", "register"]


def __getattr__(name: str) -> object:
    """Imported when first asked for: the table of objectives is read where torch must not be waited for."""
    if name in _HEAD:
        from . import head

        return getattr(head, name)
    if name in _TABLE:
        from . import objective

        return getattr(objective, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
