import pytest

from windlass.training.calibration import wilson


@pytest.mark.parametrize(
    (
        "right",
        "total",
        "low",
        "high",
    ),  # Newcombe (1998), Statistics in Medicine 17:857-872, table I
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_published_intervals(right: int, total: int, low: float, high: float) -> None:
    assert wilson(right, total) == pytest.approx((low, high), abs=5e-5)
    mirrored = wilson(total - right, total)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=5e-5)
