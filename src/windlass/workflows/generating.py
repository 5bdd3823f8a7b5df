"""Raw events that a project makes up itself: what `generate.py` in its folder writes."""

import sys
from importlib import import_module
from pathlib import Path

from windlass.core.loading import told
from windlass.errors import FeatureError, WindlassError

CLIENTS, SEED = 2_000, 7


def generate(folder: Path, out: Path, clients: int = CLIENTS, seed: int = SEED) -> int:
    """Have the project in `folder` write raw events of so many clients to `out` (CSV or Parquet); their number.

    It runs the project's code in this process. Raises FeatureError where there is no `generate.py`, or it
    fails, and what it raises of ours.
    """
    if not (folder / "generate.py").is_file():
        raise FeatureError(
            f"There is no generate.py in {folder} to make events up. Name a raw file: --data FILE."
        )
    sys.path.insert(0, str(folder))
    try:
        rows: int = import_module("generate").generate(clients, seed, out)
    except WindlassError:
        raise
    except Exception as error:
        raise FeatureError(f"{folder / 'generate.py'} failed: {told(error)}") from error
    finally:
        sys.path.remove(str(folder))
    return rows
