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


def power(logits: Tensor, labels: Tensor, alpha: float) -> Tensor:
    """(1 - pi(x)^alpha) / alpha (arXiv 2510.00526); its limit at 0 is -log pi(x)."""
    log_p = _log_policy(logits, labels)
    return (1 - (alpha * log_p).exp()) / alpha if alpha else -log_p


def focal(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """-(1 - pi(x))^gamma log pi(x) (arXiv 1708.02002); 1 - pi(x) is summed over the other tokens."""
    policy = logits.double().softmax(-1)
    others = policy.scatter(-1, labels[:, None], 0.0).sum(-1)
    return -(others**gamma) * _log_policy(logits, labels)


def proximal_sft(logits: Tensor, labels: Tensor, old_log_p: Tensor, clip: float) -> Tensor:
    """-min(r, clip(r, 1 - clip, 1 + clip)), r = pi(x) / pi_old(x): PPO with advantage 1 (arXiv 2508.17784)."""
    ratio = (_log_policy(logits, labels) - old_log_p.double()).exp()
    return -ratio.minimum(ratio.clamp(1 - clip, 1 + clip))


def otr_baseline(logits: Tensor, labels: Tensor, candidates: Tensor, kappa: float, beta: float) -> Tensor:
    """-(1/K) sum_j sg(R_j - b_j) log pi(a_j) - sg(mean R) sum_a sg(pi'(a)) log pi(a), b_j = sum_{i != j} R_i / (K - 1).

    b_j does not depend on a_j, so the subtracted part has the mean of the added one: the mean gradient is Eq. 8's.
    """
    samples = candidates.shape[-1]
    log_policy = logits.double().log_softmax(-1)
    log_p = log_policy.gather(-1, candidates)
    reward = log_p.new_full(candidates.shape, beta).masked_fill(candidates == labels[:, None], 1.0)
    others = (reward.sum(-1, keepdim=True) - reward) / (samples - 1)
    mass = _sampling_policy(logits, kappa)
    expected = (mass * log_policy).where(mass > 0, 0.0).sum(-1)
    return -((reward - others) * log_p).mean(-1) - reward.mean(-1) * expected


def otr_rao_blackwell(logits: Tensor, labels: Tensor, candidates: Tensor, kappa: float, beta: float) -> Tensor:
    """Eq. 9 with the draws that missed replaced by their mean given N_gt: each is any other token in proportion to
    pi', so -(1/K) [N_gt log pi(x) + beta (K - N_gt) sum_{a != x} sg(pi'(a)) log pi(a) / sum_{a != x} pi'(a)]."""
    share = (candidates == labels[:, None]).double().mean(-1)
    log_policy = logits.double().log_softmax(-1)
    others = _sampling_policy(logits, kappa).scatter(-1, labels[:, None], 0.0)
    expected = (others * log_policy).where(others > 0, 0.0).sum(-1) / others.sum(-1).clamp(min=1e-300)
    return -share * _log_policy(logits, labels) - beta * (1 - share) * expected


def otr_top_k(logits: Tensor, labels: Tensor, candidates: Tensor, beta: float, k: int, outside: float) -> Tensor:
    """Eq. 8 where a miss is rewarded by beta only if fewer than k tokens are more probable, else by `outside`."""
    values = logits.double().detach()
    rank = (values[:, None, :] > values.gather(-1, candidates)[:, :, None]).sum(-1)
    return _rewarded(logits, labels, candidates, rank < k, beta, outside)


def otr_threshold(
    logits: Tensor, labels: Tensor, candidates: Tensor, beta: float, threshold: float, outside: float
) -> Tensor:
    """Eq. 8 where a miss is rewarded by beta only if its probability is at least `threshold`, else by `outside`."""
    p = logits.double().detach().softmax(-1).gather(-1, candidates)
    return _rewarded(logits, labels, candidates, p >= threshold, beta, outside)


def _rewarded(
    logits: Tensor, labels: Tensor, candidates: Tensor, inside: Tensor, beta: float, outside: float
) -> Tensor:
    log_p = logits.double().log_softmax(-1).gather(-1, candidates)
    reward = log_p.new_full(candidates.shape, outside).masked_fill(inside, beta)
    reward = reward.masked_fill(candidates == labels[:, None], 1.0)
    return -(reward * log_p).mean(-1)


def row_losses(
    logits: Tensor, labels: Tensor, objective: Objective, candidates: Tensor, old_log_p: Tensor | None = None
) -> Tensor:
    """The loss [n] of any objective that has a reference. `candidates` [n, K] matters for the sampled ones alone,
    `old_log_p` [n] for those that need it (default: the log-probability itself, a ratio of 1)."""
    if objective.formula.reference is None:
        raise ValueError(f"objective {objective.name!r} was registered without a reference")
    old = _log_policy(logits, labels).detach() if old_log_p is None else old_log_p
    return objective.formula.reference(logits, labels, objective, candidates, old)


def _log_policy(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.double().log_softmax(-1).gather(-1, labels[:, None]).squeeze(-1)


def _sampling_policy(logits: Tensor, kappa: float) -> Tensor:
    """pi' = softmax(l / kappa), Eq. 5, without gradient."""
    return (logits.detach().double() / kappa).softmax(-1)
