"""The interval of a share that was counted."""

from math import sqrt

Z_95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share, by E. B. Wilson (1927), JASA 22:209-212: holds near 0 and 1."""
    share = right / total
    spread = Z_95 * sqrt(share * (1 - share) / total + Z_95**2 / (4 * total**2))
    centre, scale = share + Z_95**2 / (2 * total), 1 + Z_95**2 / total
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
