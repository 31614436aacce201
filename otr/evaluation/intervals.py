"""Confidence intervals of a share.

    wilson(0, 30)        (0.0, 11.35)        none of 30: up to 11 % would not surprise
    wilson(20, 40)       (35.2, 64.8)

Wilson's score interval (Wilson 1927; scipy.stats.binomtest calls it the same), in percent. It is never empty, which
share ± 1.96 standard errors is where none or all of n are right.
"""

import math

Z = 1.959963984540054  # of a 95 % interval
Interval = tuple[float, float]


def wilson(right: float, total: float) -> Interval:
    """95 % interval, in percent, of a share seen as `right` of `total`; both may be fractions of a completion.

    ValueError unless 0 <= right <= total and total > 0.
    """
    if not 0 <= right <= total or total <= 0:
        raise ValueError(f"a share needs 0 <= right <= total, total > 0: found {right} of {total}")
    share, spread = right / total, Z * Z / total
    middle = (share + spread / 2) / (1 + spread)
    half = Z * math.sqrt(share * (1 - share) / total + spread / total / 4) / (1 + spread)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return 100 * (low if right > 0 else 0.0), 100 * (high if right < total else 1.0)


def clustered(share: float, error: float | None, problems: int, samples: int) -> Interval:
    """95 % interval, in percent, of a mean over problems with several samples each.

    share and error (its standard error, by problem) are fractions. Wilson's interval with as many completions as would
    have this error if they were independent: at least one a problem, at most all of them.
    """
    variance = share * (1 - share)
    independent = float(problems)
    if error is not None and variance > 0:
        independent = samples if error == 0 else min(max(variance / error**2, problems), samples)
    return wilson(share * independent, independent)
