"""The objectives: one table that the experiment file, the torch rows, the kernel, the references and the tests read.

Objective()                                          # the paper's main run: OTR, kappa 1.3, 256 draws, beta -0.1
Objective("otr", beta=0.01)                          # one row of Table 3
Objective("power", alpha=0.5)                        # another objective of the table and a constant of its own
register("half", A=lambda token, objective: 0.5)     # one more objective, from outside; then Objective("half")

A `Formula` is one row of the table. With p = softmax(l), pi' = softmax(l / kappa), x the label and q = pi'(x), every
objective has one of two forms:

    closed    dL/dl_i = A (p_i - [i = x]) + B (p_i - pi'_i)      A, B: functions of a token's statistics, no gradient
    sampled   L = -(1/K) sum_j R(a_j) log p(a_j),  a_j ~ pi'     R: reward of a drawn token; 1 for the label itself

The loss of a closed form is -A log p_x - B sum_a pi'_a log p_a, unless the formula gives another function with the same
gradient. A sampled form with a baseline subtracts from each reward the mean of the other K - 1 (leave one out) and adds
the subtracted part back in expectation, so that the mean gradient stays the same at every kappa.

Nothing here imports torch: experiment files are read on machines that must not wait for it.
"""

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from . import reference

if TYPE_CHECKING:
    from torch import Tensor

ObjectiveName = Literal[
    "sft", "dft", "otr", "expected-otr", "tempered-dft", "beta-only",
    "power", "focal", "proximal-sft", "otr-baseline", "otr-rao-blackwell", "otr-top-k", "otr-threshold",
]  # fmt: skip
IGNORED = -100
"""The label of a token that is not trained, as torch's cross_entropy has it."""
NAMES: tuple[ObjectiveName, ...] = get_args(ObjectiveName)
# A statistic that costs a pass over the vocabulary or K random numbers, or (old_log_p) that the caller hands in.
Statistic = Literal["q", "entropy", "hits", "old_log_p"]


class Constant(NamedTuple):
    """A number that an objective reads by its name, with the closed range of its values."""

    default: float
    low: float = -math.inf
    high: float = math.inf


class TokenStatistics:
    """What A, B and the loss may read of n tokens: columns of one shape, without gradient, float32 or float64.

    p and log_p, pi(x) of the label, are always there. The others are there if the formula names them in `needs`.
    """

    p: "Tensor"
    log_p: "Tensor"
    q: "Tensor"  # pi'(x)
    entropy: "Tensor"  # of pi, in nats
    hits: "Tensor"  # N_gt / K: the share of K draws from pi' that are the label
    old_log_p: "Tensor"  # log pi_old(x), as the caller handed it in

    def __init__(self, **columns: "Tensor") -> None:
        vars(self).update(columns)

    def __getattr__(self, name: str) -> "Tensor":
        raise AttributeError(f"the objective reads {name!r} of a token; name it in `needs` when registering it")


class Candidates:
    """The m drawn tokens of some rows that are not their row's label: what a reward may read, each [m]."""

    def __init__(
        self,
        token: "Callable[[], Tensor]",
        label: "Callable[[], Tensor]",
        p: "Callable[[], Tensor]",
        label_p: "Callable[[], Tensor]",
        in_top: "Callable[[int], Tensor]",
    ) -> None:
        self._token, self._label, self._p, self._label_p, self._in_top = token, label, p, label_p, in_top

    @property
    def token(self) -> "Tensor":
        """a, int64"""
        return self._token()

    @property
    def label(self) -> "Tensor":
        """x, int64"""
        return self._label()

    @property
    def p(self) -> "Tensor":
        """pi(a)"""
        return self._p()

    @property
    def label_p(self) -> "Tensor":
        """pi(x)"""
        return self._label_p()

    def in_top(self, k: int) -> "Tensor":
        """bool: at most k - 1 tokens of the vocabulary are more probable than a."""
        return self._in_top(k)


@dataclass(frozen=True, init=False)
class Objective:
    """The loss of one token: a formula of the table and its constants.

    name       of the formula: see docs/loss.md, or FORMULAS; a Formula that `register` returned will do
    kappa      temperature of the sampling policy pi' = softmax(l / kappa), Eq. 5; above 0, 1 samples the policy itself
    samples    K, the candidate tokens drawn at each position, Eq. 6; at least 1. Closed forms draw for analysis alone
    beta       reward of a drawn token that is not the label, Eq. 7; below 1
    constants  those of the formula, by their names: Objective("focal", gamma=2.0). Read as `objective.gamma`

    ValueError names the field that is unknown or out of range.
    """

    name: str
    kappa: float
    samples: int
    beta: float
    constants: Mapping[str, float] = field(hash=False)

    def __init__(
        self,
        name: "ObjectiveName | Formula" = "otr",
        kappa: float = 1.3,
        samples: int = 256,
        beta: float = -0.1,
        **constants: float,
    ) -> None:
        formula = name if isinstance(name, Formula) else FORMULAS.get(name)
        if formula is None:
            raise ValueError(f"objective name: one of {', '.join(FORMULAS)} is needed, found {name!r}")
        _check_number("kappa", kappa)
        if not 0 < kappa < math.inf:
            raise ValueError(f"objective kappa: a finite number above 0 is needed, found {kappa}")
        least = 2 if formula.baseline else 1
        if not isinstance(samples, int) or isinstance(samples, bool) or samples < least:
            raise ValueError(f"objective samples: a whole number of at least {least} is needed, found {samples!r}")
        _check_number("beta", beta)
        if not -math.inf < beta < 1:
            raise ValueError(f"objective beta: a finite number below 1 is needed, found {beta}")
        constants |= constants.pop("constants", {})  # type: ignore[arg-type]  # as dataclasses.replace hands them over
        values = {"name": formula.name, "kappa": kappa, "samples": samples, "beta": beta}
        for key, value in (values | {"constants": formula.complete(constants)}).items():
            object.__setattr__(self, key, value)

    def __getattr__(self, name: str) -> float:
        constants: Mapping[str, float] = vars(self).get("constants", {})
        if name not in constants:
            raise AttributeError(f"objective has no constant {name!r}; it has kappa, samples, beta{_listed(constants)}")
        return constants[name]

    @property
    def formula(self) -> "Formula":
        return FORMULAS[self.name]


# A, B or the loss of n tokens: a column like those of TokenStatistics, or one number for all.
Coefficient = Callable[[TokenStatistics, Objective], "Tensor | float"]
# R of m drawn tokens, [m] or one number for all.
Reward = Callable[[Candidates, Objective], "Tensor | float"]
# (logits [n, V], labels [n], objective, candidates [n, K], old_log_p [n]) -> losses [n], float64 and differentiable.
Reference = Callable[["Tensor", "Tensor", Objective, "Tensor", "Tensor"], "Tensor"]


@dataclass(frozen=True)
class Formula:
    """One row of the table. A closed form has A, B or both, a sampled one has a reward."""

    name: str
    equation: str = ""
    source: str = ""
    A: Coefficient | None = None  # None stands for 0
    B: Coefficient | None = None  # None stands for 0 and saves a pass over pi'
    loss: Coefficient | None = None  # None: -A log p_x - B sum_a pi'_a log p_a
    reward: Reward | None = None
    baseline: bool = False  # of a sampled form: leave one out
    needs: frozenset[Statistic] = frozenset()
    constants: Mapping[str, Constant] = field(default_factory=dict)
    reads_beta: bool = True
    reference: Reference | None = None  # of another make, to test by

    @property
    def sampled(self) -> bool:
        return self.reward is not None

    @property
    def needs_mass(self) -> bool:
        """Whether pi' is computed even without diagnostics."""
        return self.sampled or self.B is not None or bool({"q", "hits"} & self.needs)

    def complete(self, given: Mapping[str, float]) -> dict[str, float]:
        """The formula's constants: those given, checked, and the default of every other one."""
        for name, value in given.items():
            if name not in self.constants:
                raise ValueError(
                    f"objective {self.name}: no constant {name!r}; it has kappa, samples, beta{_listed(self.constants)}"
                )
            _check_number(name, value)
            _, low, high = self.constants[name]
            if not low <= value <= high or math.isinf(value):
                raise ValueError(f"objective {name}: a finite number from {low:g} to {high:g} is needed, found {value}")
        return {name: given.get(name, constant.default) for name, constant in self.constants.items()}


def register(
    name: str,
    *,
    A: Coefficient | None = None,
    B: Coefficient | None = None,
    loss: Coefficient | None = None,
    reward: "Reward | Tensor | None" = None,
    baseline: bool = False,
    needs: Collection[Statistic] = (),
    constants: Mapping[str, float | Constant] | None = None,
    equation: str = "",
    source: str = "",
    reference: Reference | None = None,
) -> Formula:
    """Add an objective to the table; from then on `Objective(name)` and experiment files know it.

        register("power", A=lambda token, objective: (objective.alpha * token.log_p).exp(), constants={"alpha": 1.0})
        register("near", reward=lambda drawn, objective: 0.5 * (drawn.token // 10 == drawn.label // 10))
        register("table", reward=table)          # [V, V]: table[x, a], the reward of a where the label is x

    A, B       (token, objective) -> a column of the token's statistics' shape, or a number; elementwise, in torch
    loss       the same for the loss itself, where it is not -A log p_x - B sum_a pi'_a log p_a; changes no gradient
    reward     makes a sampled objective: (candidates, objective) -> [m] rewards of drawn tokens other than the label,
               whose reward is 1; or a table [V, V]
    baseline   of a sampled objective: subtract the mean reward of the other draws (leave one out)
    needs      what A, B and loss read besides p and log_p: "q", "entropy", "hits", "old_log_p"
    constants  the objective's own, with their defaults (or Constant(default, low, high))
    reference  (logits, labels, objective, candidates, old_log_p) -> [n] float64 losses; `check_objective` compares

    Works on every device. On a GPU, closed forms run in the Triton kernel and sampled ones in the torch rows, which
    give the same results and take longer. ValueError: a name that is taken, or neither or both of A, B and reward.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise ValueError(f"register: a name of small letters, digits and single hyphens is needed, found {name!r}")
    if name in FORMULAS:
        raise ValueError(f"register: the objective {name!r} exists; choose another name")
    closed = A is not None or B is not None
    if closed == (reward is not None):
        raise ValueError(
            f"register: objective {name!r} needs either A or B (a closed form) or a reward (a sampled one)"
        )
    if not closed and (needs or loss):
        raise ValueError(f"register: objective {name!r} has a reward; loss and needs belong to A and B")
    if closed and baseline:
        raise ValueError(f"register: objective {name!r} has no reward; a baseline needs one")
    unknown = set(needs) - set(get_args(Statistic))
    if unknown:
        raise ValueError(
            f"register: needs: {', '.join(get_args(Statistic))} are known, found {', '.join(sorted(unknown))}"
        )
    if reward is not None and not callable(reward):
        reward = _Table(reward)
    own = {key: value if isinstance(value, Constant) else Constant(value) for key, value in (constants or {}).items()}
    FORMULAS[name] = Formula(
        name, equation, source, A, B, loss, reward, baseline, frozenset(needs), own, reference=reference
    )
    return FORMULAS[name]


class _Table:
    """A table of rewards [V, V] as a function of the candidates."""

    def __init__(self, table: "Tensor") -> None:
        if table.dim() != 2 or table.shape[0] != table.shape[1]:
            raise ValueError(f"register: a table of rewards is [V, V], found {list(table.shape)}")
        self.table = table

    def __call__(self, candidates: Candidates, objective: Objective) -> "Tensor":
        if self.table.device != candidates.token.device:
            self.table = self.table.to(candidates.token.device)
        return self.table[candidates.label, candidates.token]


def as_objective(objective: "Objective | ObjectiveName | Formula | None") -> Objective:
    """The Objective of that name with its default constants; None stands for OTR."""
    if objective is None:
        return Objective()
    return objective if isinstance(objective, Objective) else Objective(objective)


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"objective {name}: a number is needed, found {value!r}")


def _listed(names: Collection[str]) -> str:
    return "".join(f", {name}" for name in names)


def _power(token: TokenStatistics, objective: Objective) -> "Tensor":
    return (objective.alpha * token.log_p).exp()


def _power_loss(token: TokenStatistics, objective: Objective) -> "Tensor":
    if objective.alpha == 0:
        return -token.log_p
    return (objective.alpha * token.log_p).expm1() / -objective.alpha


def _focal(token: TokenStatistics, objective: Objective) -> "Tensor":
    """-dL/dlog p. 1 - p from log p keeps its digits for sure tokens; 1e-30 keeps 0 ** (gamma - 1) finite."""
    gamma, rest = objective.gamma, -token.log_p.expm1().clamp(max=-1e-30)
    return rest**gamma - gamma * token.p * rest ** (gamma - 1) * token.log_p


def _ratio(token: TokenStatistics, objective: Objective) -> "Tensor":
    """r = p / p_old, at most 1 + clip."""
    return (token.log_p - token.old_log_p).exp().clamp(max=1 + objective.clip)


def _proximal(token: TokenStatistics, objective: Objective) -> "Tensor":
    ratio = _ratio(token, objective)
    return ratio * (ratio < 1 + objective.clip)


def _missed(token: TokenStatistics, objective: Objective) -> "Tensor":
    """beta (1 - N_gt / K) / (1 - q): the reward of the draws that missed, spread over pi' without the label."""
    return objective.beta * (1 - token.hits) / (1 - token.q).clamp(min=1e-7)


def _top_k(drawn: Candidates, objective: Objective) -> "Tensor":
    inside = drawn.in_top(int(objective.k)).to(drawn.p.dtype)
    return objective.outside + (objective.beta - objective.outside) * inside


def _threshold(drawn: Candidates, objective: Objective) -> "Tensor":
    inside = (drawn.p >= objective.threshold).to(drawn.p.dtype)
    return objective.outside + (objective.beta - objective.outside) * inside


_BUILT_IN = (
    Formula(
        "sft",
        equation="L = -log p_x",
        source="Eq. 1",
        A=lambda token, objective: 1.0,
        reads_beta=False,
        reference=lambda logits, labels, objective, *_: reference.sft(logits, labels),
    ),
    Formula(
        "dft",
        equation="L = -sg(p_x) log p_x",
        source="Eq. 11; Wu et al., arXiv 2508.05629",
        A=lambda token, objective: token.p,
        reads_beta=False,
        reference=lambda logits, labels, objective, *_: reference.dft(logits, labels),
    ),
    Formula(
        "otr",
        equation="L = -(1/K) sum_j R(a_j) log p(a_j), a_j ~ pi'; R = 1 for x, beta elsewhere",
        source="Eq. 8 and 9",
        reward=lambda drawn, objective: objective.beta,
        reference=lambda logits, labels, objective, candidates, _: reference.otr(
            logits, labels, candidates, objective.beta
        ),
    ),
    # N_gt has the mean K q and the draws of token i have the mean K pi'_i.
    Formula(
        "expected-otr",
        equation="L = -(1 - beta) sg(q) log p_x - beta sum_a sg(pi'_a) log p_a",
        source="the mean of Eq. 8 over the draws",
        A=lambda token, objective: (1 - objective.beta) * token.q,
        B=lambda token, objective: objective.beta,
        needs=frozenset({"q"}),
        reference=lambda logits, labels, objective, *_: reference.expected_otr(
            logits, labels, objective.kappa, objective.beta
        ),
    ),
    Formula(
        "tempered-dft",
        equation="L = -sg(q) log p_x",
        source="the mean of Eq. 12 over the draws",
        A=lambda token, objective: token.q,
        needs=frozenset({"q"}),
        reads_beta=False,
        reference=lambda logits, labels, objective, *_: reference.tempered_dft(logits, labels, objective.kappa),
    ),
    Formula(
        "beta-only",
        equation="L = -beta sum_a sg(pi'_a) log p_a",
        source="the second term of expected OTR, which moves p from (beta < 0) or to pi'",
        B=lambda token, objective: objective.beta,
        reference=lambda logits, labels, objective, *_: reference.beta_only(
            logits, labels, objective.kappa, objective.beta
        ),
    ),
    Formula(
        "power",
        equation="L = (1 - p_x^alpha) / alpha; SFT at alpha = 0, DFT's gradient at alpha = 1",
        source="Li et al., arXiv 2510.00526",
        A=_power,
        loss=_power_loss,
        constants={"alpha": Constant(0.5, 0.0)},
        reads_beta=False,
        reference=lambda logits, labels, objective, *_: reference.power(logits, labels, objective.alpha),
    ),
    Formula(
        "focal",
        equation="L = -(1 - p_x)^gamma log p_x",
        source="Lin et al., arXiv 1708.02002",
        A=_focal,
        loss=lambda token, objective: (-token.log_p.expm1()) ** objective.gamma * -token.log_p,
        constants={"gamma": Constant(2.0, 0.0)},
        reads_beta=False,
        reference=lambda logits, labels, objective, *_: reference.focal(logits, labels, objective.gamma),
    ),
    Formula(
        "proximal-sft",
        equation="L = -min(r, 1 + clip), r = p_x / p_old(x), p_old the policy when the iteration began",
        source="Zhu et al., arXiv 2508.17784",
        A=_proximal,
        loss=lambda token, objective: -_ratio(token, objective),
        needs=frozenset({"old_log_p"}),
        constants={"clip": Constant(0.2, 0.0), "iteration": Constant(8, 1)},
        reads_beta=False,
        reference=lambda logits, labels, objective, candidates, old: reference.proximal_sft(
            logits, labels, old, objective.clip
        ),
    ),
    Formula(
        "otr-baseline",
        equation="L = -(1/K) sum_j (R_j - b_j) log p(a_j) - sg(mean R) sum_a sg(pi'_a) log p_a, b_j the others' mean",
        source="Eq. 8 with the leave-one-out baseline of Kool et al. 2019 (RLOO, arXiv 2402.14740)",
        reward=lambda drawn, objective: objective.beta,
        baseline=True,
        reference=lambda logits, labels, objective, candidates, _: reference.otr_baseline(
            logits, labels, candidates, objective.kappa, objective.beta
        ),
    ),
    Formula(
        "otr-rao-blackwell",
        equation="the mean of Eq. 9 over the draws that miss: A = N_gt / K - B q, B = beta (1 - N_gt / K) / (1 - q)",
        source="Eq. 9 and the Rao-Blackwell theorem: OTR's mean gradient, never more variance, no search for tokens",
        A=lambda token, objective: token.hits - _missed(token, objective) * token.q,
        B=lambda token, objective: _missed(token, objective),
        needs=frozenset({"q", "hits"}),
        reference=lambda logits, labels, objective, candidates, _: reference.otr_rao_blackwell(
            logits, labels, candidates, objective.kappa, objective.beta
        ),
    ),
    Formula(
        "otr-top-k",
        equation="Eq. 8 with R = 1 for x, beta for the k most probable tokens, `outside` elsewhere",
        source="a variant of Eq. 7",
        reward=_top_k,
        constants={"k": Constant(10, 1), "outside": Constant(0.0)},
        reference=lambda logits, labels, objective, candidates, _: reference.otr_top_k(
            logits, labels, candidates, objective.beta, int(objective.k), objective.outside
        ),
    ),
    Formula(
        "otr-threshold",
        equation="Eq. 8 with R = 1 for x, beta where p(a) >= threshold, `outside` elsewhere",
        source="a variant of Eq. 7",
        reward=_threshold,
        constants={"threshold": Constant(0.05, 0.0, 1.0), "outside": Constant(0.0)},
        reference=lambda logits, labels, objective, candidates, _: reference.otr_threshold(
            logits, labels, candidates, objective.beta, objective.threshold, objective.outside
        ),
    ),
)
FORMULAS: dict[str, Formula] = {formula.name: formula for formula in _BUILT_IN}
