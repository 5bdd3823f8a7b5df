"""Progress of long work: the callback that receives it."""

from collections.abc import Callable

ProgressCallback = Callable[[float, str], None]  # (share done 0..1, what is being done)


def ignore_progress(share: float, message: str) -> None:
    """Progress callback that does nothing."""
