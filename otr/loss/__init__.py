"""The OTR objective: the fused head (`OTRHead`), the plain loss of logits (`otr_loss`) and its `Objective`."""

from otr.loss.head import HeadOutput, OTRHead, otr_loss
from otr.loss.objective import Objective

__all__ = ["HeadOutput", "OTRHead", "Objective", "otr_loss"]
