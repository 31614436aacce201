"""Which loss is minimised, and its three constants.

Objective()                                          # the paper's main run: OTR, kappa 1.3, 256 draws, beta -0.1
Objective("otr", beta=0.01)                          # one row of Table 3
Objective("sft")                                     # cross-entropy; kappa and samples only feed the diagnostics
"""

from dataclasses import dataclass

NAMES = ("sft", "dft", "otr", "expected-otr", "tempered-dft", "beta-only")


@dataclass(frozen=True)
class Objective:
    """The loss of one token; its formulas are in `otr.loss.rows`, its plain references in `otr.loss.reference`.

    name     "sft" (Eq. 1), "dft" (Eq. 11), "otr" (Eq. 8-9), "expected-otr" (OTR with the sampling integrated out),
             "tempered-dft" (its first term with beta = 0: Eq. 12 in expectation), "beta-only" (its second term)
    kappa    temperature of the sampling policy pi' = softmax(l / kappa), Eq. 5; above 0, 1 samples the policy itself
    samples  K, the candidate tokens drawn at each position, Eq. 6; at least 1
    beta     reward of a drawn token that is not the label, Eq. 7; below 1

    ValueError names the field that is out of range.
    """

    name: str = "otr"
    kappa: float = 1.3
    samples: int = 256
    beta: float = -0.1

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"objective name: one of {', '.join(NAMES)} is needed, found {self.name!r}")
        if not 0 < self.kappa < float("inf"):
            raise ValueError(f"objective kappa: a finite number above 0 is needed, found {self.kappa}")
        if self.samples < 1:
            raise ValueError(f"objective samples: at least 1 is needed, found {self.samples}")
        if not float("-inf") < self.beta < 1:
            raise ValueError(f"objective beta: a finite number below 1 is needed, found {self.beta}")
