"""OTR for users of TRL's SFTTrainer: the same arguments and data, one more argument.

    from trl import SFTConfig
    from otr.integrations.trl import OTRTrainer
    from otr.loss import Objective

    trainer = OTRTrainer("Qwen/Qwen3-0.6B-Base", SFTConfig("out"), train_dataset=dataset, objective=Objective())
    trainer.train()

In goes whatever SFTTrainer takes; out comes the same checkpoint. Training steps minimise the objective, normalised as
TRL does (sum over the trained tokens of the whole batch, by their number), and log per token: nll, gt_probability,
gt_count, entropy, beta_share. Evaluation is left to TRL, so `eval_loss` stays the cross-entropy for every objective.

TRL hands no example numbers to the loss. An example is therefore named by its own tokens, so that it draws the same
candidates at a step whatever it is padded to, packed with or accumulated over. Equal examples in one step draw alike.

Written for and tested with TRL 1.16, an optional dependency.
"""

import functools
import types
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from trl import SFTTrainer

from otr.errors import UserError
from otr.loss import Objective, OTRHead
from otr.loss.draws import token_keys
from otr.loss.head import LOGITS_BUDGET, PER_TOKEN
from otr.loss.objective import Formula, ObjectiveName, as_objective

# A model that changes its logits after the head; the fused head would train another model than the one saved.
_LOGIT_CHANGES = ("final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling")


class OTRTrainer(SFTTrainer):  # type: ignore[misc]
    """TRL's SFTTrainer with the OTR loss, or any other `Objective`.

    objective      what to minimise, an Objective or its name; "otr" has kappa 1.3, 256 draws and beta -0.1
    logits_budget  bytes of logits held at a time
    The other arguments are SFTTrainer's; `args.seed` also seeds the draws.

    UserError: a setting that would silently train something else (another loss_type, label smoothing, a router loss,
    DeepSpeed, sharded sequences, a head with a bias or a model that rescales its logits).
    """

    def __init__(
        self,
        *args: object,
        objective: Objective | ObjectiveName | Formula = "otr",
        logits_budget: float = LOGITS_BUDGET,
        **kwargs: object,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._sums: list[float] | None = None  # tokens, then the statistics summed over them, since the last log
        model = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        _refuse(self, model)
        chosen = as_objective(objective)
        if "old_log_p" in chosen.formula.needs:
            raise UserError(f"OTRTrainer: objective {chosen.name!r} needs an older policy; use otr.OTRHead in a loop")
        _add_head(model, chosen, self.args.seed, logits_budget)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor | tuple[Tensor, object]:
        """The loss of one micro-batch; TRL's own cross-entropy outside training or where outputs are asked for."""
        if return_outputs or not self.model.training:
            plain: Tensor | tuple[Tensor, object] = super().compute_loss(
                model, inputs, return_outputs, num_items_in_batch
            )
            return plain
        # Through the model's own call: DDP and FSDP do their work around it.
        out = model(**inputs, otr_step=self.state.global_step)
        tokens = out["tokens"] if num_items_in_batch is None else num_items_in_batch
        loss: Tensor = out["loss"] / torch.as_tensor(tokens, device=out["loss"].device).clamp(min=1)
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            # The count is that of all ranks, whose gradients DDP averages.
            loss = loss * self.accelerator.num_processes
        self._record(inputs, out)
        return loss

    def _record(self, inputs: dict[str, Tensor], out: dict[str, Tensor]) -> None:
        """Add this micro-batch's statistics to those that the next log shows."""
        seen = (
            inputs["attention_mask"].sum()
            if "attention_mask" in inputs
            else inputs["input_ids"].new_tensor(inputs["input_ids"].numel())
        )
        local = torch.stack([out["tokens"], *(out[name] for name in PER_TOKEN), seen.double()])
        *sums, count = self.accelerator.gather(local[None]).sum(0).tolist()
        self._sums = sums if self._sums is None else [old + new for old, new in zip(self._sums, sums, strict=True)]
        self._total_train_tokens += int(count)
        self._metrics["train"]["num_tokens"] = [self._total_train_tokens]

    def log(self, logs: dict[str, float], *args: object, **kwargs: object) -> None:
        """Adds means over the tokens since the last log, not of the micro-batches' means."""
        if self._sums is not None and self.model.training:
            tokens, *sums = self._sums
            logs = logs | {name: value / max(tokens, 1) for name, value in zip(PER_TOKEN, sums, strict=True)}
            self._sums = None
        super().log(logs, *args, **kwargs)


def _add_head(model: Any, objective: Objective, seed: int, logits_budget: float) -> None:
    """Give `model` a call `model(..., labels=labels, otr_step=step)` that returns HeadOutput as a dict; every other
    call stays what it was."""
    original = model.forward

    @functools.wraps(type(model).forward)
    def forward(self: Any, *args: Any, otr_step: int | None = None, **kwargs: Any) -> Any:
        if otr_step is None:
            return original(*args, **kwargs)
        labels = kwargs.pop("labels")
        hidden = self.base_model(*args, **{**kwargs, "use_cache": False}).last_hidden_state[:, :-1]
        weight = self.get_output_embeddings().weight
        if isinstance(weight, DTensor):  # FSDP2 gathers around its own modules' calls only
            weight = weight.full_tensor()
        if torch.is_autocast_enabled(hidden.device.type):  # as a linear layer would
            hidden = hidden.to(torch.get_autocast_dtype(hidden.device.type))
        examples, positions = identities(kwargs["input_ids"], kwargs.get("attention_mask"), kwargs.get("position_ids"))
        head = OTRHead(weight, objective, seed, logits_budget)
        vectors = (labels[:, 1:], examples[:, :-1], positions[:, :-1])
        return vars(head(hidden.flatten(0, 1), *(vector.flatten() for vector in vectors), step=otr_step))

    model.forward = types.MethodType(forward, model)


def identities(input_ids: Tensor, attention_mask: Tensor | None, position_ids: Tensor | None) -> tuple[Tensor, Tensor]:
    """(examples, positions) of each token, [B, T] int64: a hash of the example's tokens, and the token's place in it.

    input_ids [B, T]; attention_mask [B, T] (1 where a token is) or None where nothing is padded; position_ids [B, T]
    or None; where they are given each 0 starts an example, as in TRL's packed and padding-free batches.
    """
    real = torch.ones_like(input_ids) if attention_mask is None else attention_mask.long()
    positions = real.cumsum(1) - 1 if position_ids is None else position_ids.long().expand_as(input_ids)
    starts = (positions == 0) & (real == 1)
    starts[:, 0] = True
    example = starts.flatten().cumsum(0) - 1
    # A sum modulo 2^64 of one hash a token: the same wherever padding stands.
    hashes = token_keys(0, 0, input_ids, positions) * real
    sums = torch.zeros(input_ids.numel(), dtype=torch.int64, device=input_ids.device)
    sums.index_add_(0, example, hashes.flatten())
    return sums[example].view_as(input_ids), positions


def _refuse(trainer: Any, model: Any) -> None:
    args, config, head = trainer.args, model.config.get_text_config(), model.get_output_embeddings()
    parallelism = trainer.accelerator.parallelism_config
    sharded = parallelism is not None and (parallelism.cp_enabled or parallelism.sp_enabled or parallelism.tp_enabled)
    changed = [name for name in _LOGIT_CHANGES if getattr(config, name, None) not in (None, 1.0)]
    problems = {
        f"args.loss_type is {args.loss_type!r}; leave 'nll' and choose by objective=": args.loss_type != "nll",
        "args.label_smoothing_factor is set; 0 is needed": args.label_smoothing_factor > 0,
        "compute_loss_func is set; leave it out": trainer.compute_loss_func is not None,
        "args.router_aux_loss_coef is set; 0 is needed": trainer.aux_loss_enabled,
        "DeepSpeed is on; use FSDP or DDP": trainer.is_deepspeed_enabled,
        "context, sequence or tensor parallelism is on; use FSDP or DDP": sharded,
        "the LM head has a bias; one without is needed": getattr(head, "bias", None) is not None,
        f"the model changes its logits after the head ({', '.join(changed)}); it is not supported": bool(changed),
    }
    for problem, found in problems.items():
        if found:
            raise UserError(f"OTRTrainer: {problem}")
