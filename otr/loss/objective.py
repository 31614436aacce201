"""The objectives: one table that the experiment file, the torch rows, the kernel, the references and the tests read.

Objective()                                          # the paper's main run: OTR, kappa 1.3, 256 draws, beta -0.1
Objective("otr", beta=0.01)                          # one row of Table 3
Objective("sft")                                     # cross-entropy; kappa and samples only feed the diagnostics

A `Formula` is one row of the table. With p = softmax(l), pi' = softmax(l / kappa), x the label and q = pi'(x), every
objective without sampling is

    L = -A log p_x - B sum_a pi'_a log p_a        dL/dl_i = A (p_i - [i = x]) + B (p_i - pi'_i)

and differs in A and B alone, which are functions of a token's statistics and carry no gradient.

Nothing here imports torch: experiment files are read on machines that must not wait for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from . import reference

if TYPE_CHECKING:
    from torch import Tensor

ObjectiveName = Literal["sft", "dft", "otr", "expected-otr", "tempered-dft", "beta-only"]
NAMES: tuple[ObjectiveName, ...] = get_args(ObjectiveName)


@dataclass(frozen=True)
class Objective:
    """The loss of one token: a formula of the table and its three constants.

    name     "sft" (Eq. 1), "dft" (Eq. 11), "otr" (Eq. 8-9), "expected-otr" (OTR with the sampling integrated out),
             "tempered-dft" (its first term with beta = 0: Eq. 12 in expectation), "beta-only" (its second term)
    kappa    temperature of the sampling policy pi' = softmax(l / kappa), Eq. 5; above 0, 1 samples the policy itself
    samples  K, the candidate tokens drawn at each position, Eq. 6; at least 1
    beta     reward of a drawn token that is not the label, Eq. 7; below 1

    ValueError names the field that is out of range.
    """

    name: ObjectiveName = "otr"
    kappa: float = 1.3
    samples: int = 256
    beta: float = -0.1

    def __post_init__(self) -> None:
        if self.name not in FORMULAS:
            raise ValueError(f"objective name: one of {', '.join(FORMULAS)} is needed, found {self.name!r}")
        if not 0 < self.kappa < float("inf"):
            raise ValueError(f"objective kappa: a finite number above 0 is needed, found {self.kappa}")
        if not isinstance(self.samples, int) or self.samples < 1:
            raise ValueError(f"objective samples: a whole number of at least 1 is needed, found {self.samples}")
        if not float("-inf") < self.beta < 1:
            raise ValueError(f"objective beta: a finite number below 1 is needed, found {self.beta}")

    @property
    def formula(self) -> "Formula":
        return FORMULAS[self.name]


@dataclass
class TokenStatistics:
    """What A and B may read of n tokens: columns of one shape, without gradient."""

    p: "Tensor"  # pi(x)
    log_p: "Tensor"
    q: "Tensor"  # pi'(x); filled where the formula needs it


# A or B of n tokens: a column like those of TokenStatistics, or one number for all.
Coefficient = Callable[[TokenStatistics, Objective], "Tensor | float"]
# (logits [n, V], labels [n], objective, candidates [n, K]) -> losses [n], float64, gradients left to autograd.
Reference = Callable[["Tensor", "Tensor", Objective, "Tensor"], "Tensor"]


@dataclass(frozen=True)
class Formula:
    """One objective: its equation, where it comes from, A and B, and a reference of another make to test them by."""

    equation: str
    source: str
    reference: Reference
    pull: Coefficient | None = None  # A; None for 0
    spread: Coefficient | None = None  # B; None for 0, which saves a pass over pi'
    needs_q: bool = False  # A or B read q
    sampled: bool = False  # OTR: K draws take the place of A and B

    @property
    def needs_mass(self) -> bool:
        """Whether pi' is computed even without diagnostics."""
        return self.needs_q or self.sampled or self.spread is not None


FORMULAS: dict[str, Formula] = {
    "sft": Formula(
        equation="L = -log p_x",
        source="Eq. 1",
        pull=lambda token, objective: 1.0,
        reference=lambda logits, labels, objective, candidates: reference.sft(logits, labels),
    ),
    "dft": Formula(
        equation="L = -sg(p_x) log p_x",
        source="Eq. 11",
        pull=lambda token, objective: token.p,
        reference=lambda logits, labels, objective, candidates: reference.dft(logits, labels),
    ),
    "otr": Formula(
        equation="L = -(1/K) sum_j R(a_j) log p(a_j), a_j ~ pi'",
        source="Eq. 8 and 9",
        sampled=True,
        reference=lambda logits, labels, objective, candidates: reference.otr(
            logits, labels, candidates, objective.beta
        ),
    ),
    # N_gt has the mean K q and the draws of token i have the mean K pi'_i.
    "expected-otr": Formula(
        equation="L = -(1 - beta) sg(q) log p_x - beta sum_a sg(pi'_a) log p_a",
        source="the mean of Eq. 8 over the draws",
        pull=lambda token, objective: (1 - objective.beta) * token.q,
        spread=lambda token, objective: objective.beta,
        needs_q=True,
        reference=lambda logits, labels, objective, candidates: reference.expected_otr(
            logits, labels, objective.kappa, objective.beta
        ),
    ),
    "tempered-dft": Formula(
        equation="L = -sg(q) log p_x",
        source="the mean of Eq. 12 over the draws",
        pull=lambda token, objective: token.q,
        needs_q=True,
        reference=lambda logits, labels, objective, candidates: reference.tempered_dft(logits, labels, objective.kappa),
    ),
    "beta-only": Formula(
        equation="L = -beta sum_a sg(pi'_a) log p_a",
        source="the second term of expected OTR, which moves p from (beta < 0) or to pi'",
        spread=lambda token, objective: objective.beta,
        reference=lambda logits, labels, objective, candidates: reference.beta_only(
            logits, labels, objective.kappa, objective.beta
        ),
    ),
}
