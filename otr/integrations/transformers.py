"""OTR for users of transformers' Trainer: one argument more.

    from otr.integrations.transformers import compute_loss_func

    Trainer(model, args, train_dataset=dataset, compute_loss_func=compute_loss_func("otr")).train()

Training steps minimise the objective, normalised as Trainer does: the sum over the trained tokens of the whole batch by
their number. Evaluation stays cross-entropy for every objective, so that `eval_loss` can be compared.

Trainer hands logits and labels to this function and nothing that names an example, so tokens draw anew at each call
from torch's generator (`args.seed` seeds it). The logits of the whole micro-batch exist here, which the fused head of
`otr.integrations.trl` and `otr.OTRHead` avoids.
"""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from otr.loss import Objective, otr_loss
from otr.loss.objective import IGNORED, Formula, ObjectiveName, as_objective


class LossFunction(Protocol):
    """What Trainer calls after each forward pass."""

    def __call__(
        self, outputs: Mapping[str, Tensor], labels: Tensor, num_items_in_batch: Tensor | int | None = None
    ) -> Tensor: ...


def compute_loss_func(objective: Objective | ObjectiveName | Formula = "otr", seed: int = 0) -> LossFunction:
    """The `compute_loss_func` of transformers.Trainer. labels [B, T] are the model's inputs', not yet shifted.

    ValueError: an objective that needs more than logits and labels ("proximal-sft" needs an older policy).
    """
    chosen = as_objective(objective)
    if "old_log_p" in chosen.formula.needs:
        raise ValueError(f"objective {chosen.name!r} needs old_log_p, which Trainer cannot hand in; use otr.OTRHead")

    def loss(outputs: Mapping[str, Tensor], labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        logits, targets = outputs["logits"][:, :-1], labels[:, 1:]
        if not torch.is_grad_enabled():
            total = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED, reduction="sum"
            )
        else:
            total = otr_loss(logits, targets, chosen, seed=seed, reduction="sum")
        count = (targets != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        return total / torch.as_tensor(count, device=total.device).clamp(min=1)

    return loss
