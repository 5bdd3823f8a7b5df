"""What durable work and whatever keeps it have in common: checkpoints, and being given up."""

from collections.abc import Callable
from typing import Any

Made = dict[str, Any]
Checkpoint = Callable[
    [str, Callable[[], Made]], Made
]  # does a named step, or gives what it made before
Work = Callable[[str, Checkpoint], Made]  # carries out the job of this id


class Abandoned(BaseException):
    """This process goes on with a job no further, for a reason that the job is not to blame for."""


class Cancelled(Abandoned):
    """Somebody asked for the job to be given up."""


class Stopped(Abandoned):
    """This process was asked to end."""


class Lost(Abandoned):
    """Another worker has the job."""
