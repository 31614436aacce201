"""The objectives as the paper writes them: float64, one line an equation, gradients left to autograd.

In go logits [n, V], labels [n] and, for OTR, the drawn tokens [n, K]; out comes the loss of each row [n]:

    logits = torch.randn(2, 8, dtype=torch.float64, requires_grad=True)
    otr(logits, labels=torch.tensor([3, 5]), candidates=torch.randint(8, (2, 256)), beta=-0.1).sum().backward()

Slow and memory-hungry on purpose: this is what `otr.loss.rows` and `otr.loss.kernel` are tested against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # tensor methods alone: `objective` reads this file where torch must not be waited for
    from torch import Tensor

    from .objective import Objective


def sft(logits: Tensor, labels: Tensor) -> Tensor:
    """-log pi(x), Eq. 1."""
    return -_log_policy(logits, labels)


def dft(logits: Tensor, labels: Tensor) -> Tensor:
    """-sg(pi(x)) log pi(x), Eq. 11."""
    log_p = _log_policy(logits, labels)
    return -log_p.exp().detach() * log_p


def otr(logits: Tensor, labels: Tensor, candidates: Tensor, beta: float) -> Tensor:
    """-(1/K) sum_j sg(R(a_j, x)) log pi(a_j), Eq. 7 and 8; candidates: the K drawn tokens a_j of each row, [n, K]."""
    log_p = logits.double().log_softmax(-1).gather(-1, candidates)
    reward = log_p.new_full(candidates.shape, beta).masked_fill(candidates == labels[:, None], 1.0)
    return -(reward * log_p).mean(-1)


def otr_by_count(logits: Tensor, labels: Tensor, candidates: Tensor, beta: float) -> Tensor:
    """-(1/K) [N_gt log pi(x) + beta sum_{a_j != x} log pi(a_j)], Eq. 9: `otr` with the label's draws counted."""
    miss = candidates != labels[:, None]
    log_p = logits.double().log_softmax(-1).gather(-1, candidates)
    others = log_p.where(miss, 0.0).sum(-1)
    return -((~miss).sum(-1) * _log_policy(logits, labels) + beta * others) / candidates.shape[-1]


def expected_otr(logits: Tensor, labels: Tensor, kappa: float, beta: float) -> Tensor:
    """-sum_a sg(pi'(a) R(a, x)) log pi(a): the mean of Eq. 8 over the draws of Eq. 6."""
    log_p = logits.double().log_softmax(-1)
    reward = log_p.new_full(logits.shape, beta).scatter_(-1, labels[:, None], 1.0)
    mass = _sampling_policy(logits, kappa)
    # A masked token (logit -inf) has no mass: 0 * -inf stands for 0.
    return -(mass * reward * log_p).where(mass > 0, 0.0).sum(-1)


def tempered_dft(logits: Tensor, labels: Tensor, kappa: float) -> Tensor:
    """-sg(pi'(x)) log pi(x): the mean of Eq. 12 over the draws."""
    return expected_otr(logits, labels, kappa, beta=0.0)


def beta_only(logits: Tensor, labels: Tensor, kappa: float, beta: float) -> Tensor:
    """-beta sum_a sg(pi'(a)) log pi(a): what expected OTR adds to (1 - beta) times the tempered DFT."""
    return expected_otr(logits, labels, kappa, beta) - (1 - beta) * tempered_dft(logits, labels, kappa)


def row_losses(logits: Tensor, labels: Tensor, objective: Objective, candidates: Tensor) -> Tensor:
    """The loss [n] of any objective; `candidates` [n, K] matters for OTR alone."""
    return objective.formula.reference(logits, labels, objective, candidates)


def _log_policy(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.double().log_softmax(-1).gather(-1, labels[:, None]).squeeze(-1)


def _sampling_policy(logits: Tensor, kappa: float) -> Tensor:
    """pi' = softmax(l / kappa), Eq. 5, without gradient."""
    return (logits.detach().double() / kappa).softmax(-1)
