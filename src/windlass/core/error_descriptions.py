"""Describes errors for users: their own code's, ours, and those of a package that is not installed."""

import sysconfig
import traceback
from pathlib import Path

# folders of code that is not the user's
_LIBRARY_FOLDERS = (Path(__file__).parents[1], *map(Path, set(sysconfig.get_paths().values())))
DISTRIBUTION = "windlass-ml"
# optional dependencies of the distribution: for each extra, the modules that its packages install
EXTRAS = {
    "train": (
        "charset_normalizer",
        "cloudpickle",
        "dbos",
        "imblearn",
        "joblib",
        "onnx",
        "pandas",
        "sklearn",
        "skl2onnx",
    ),
    "mlflow": ("mlflow",),
    "features": ("duckdb", "narwhals", "pandera", "polars"),
    "postgres": ("psycopg",),
    "redis": ("redis",),
    "signing": ("cryptography",),
    "client": ("httpx",),
    "excel": ("python_calamine",),
    "boosters": ("catboost", "lightgbm", "xgboost"),
    "spark": ("pyspark",),
}


def install_command(extra: str) -> str:
    """Returns the command that installs an extra."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def missing_extra(error: BaseException) -> str | None:
    """Returns which package of an extra is not installed, and how to install it; None for any other error."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return None
    module = error.name.partition(".")[0]
    for extra, modules in EXTRAS.items():
        if module in modules:
            return f"{module} is not installed. Install it: {install_command(extra)}"
    return None


def describe_error(error: BaseException) -> str:
    """Describes an error in a user's code: its type, its message, and the user's line that raised it."""
    missing = missing_extra(error)
    if missing is not None:
        return f"{missing} ({source_line(error)})"
    text = " ".join(str(error).split())[:500]
    kind = type(error).__name__
    return f"{kind}: {text} ({source_line(error)})" if text else f"{kind} ({source_line(error)})"


def describe_fault(error: BaseException) -> str:
    """Describes an error that nothing of a user's should cause, and asks to report it."""
    missing = missing_extra(error)
    if missing is not None:
        return f"{missing}."
    return f"Unexpected {describe_error(error)}. This is a fault of Windlass; please report it."


def source_line(error: BaseException, path: Path | None = None) -> str:
    """Returns the innermost line of the traceback in `path`; without `path`, in the user's own code."""
    frames = traceback.extract_tb(error.__traceback__)
    user_frames = [frame for frame in frames if _is_user_code(Path(frame.filename), path)]
    frame = (user_frames or frames)[-1]
    return f"{Path(frame.filename).name}, line {frame.lineno}"


def _is_user_code(file: Path, path: Path | None) -> bool:
    if path is not None:
        return file == path
    return file.suffix == ".py" and not any(
        file.is_relative_to(folder) for folder in _LIBRARY_FOLDERS
    )
