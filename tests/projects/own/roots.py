"""A file beside project.py, as projects have them."""

from typing import Any

import numpy as np


def cube_roots(rows: Any) -> Any:
    """The cube root of every value."""
    return np.cbrt(rows)
