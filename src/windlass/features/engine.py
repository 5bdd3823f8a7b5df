"""What computes states: one interface over an engine for one machine, and one for a cluster."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from windlass.core.feature_view import FeatureView

Progress = Callable[[float, str], None]


class Engine(Protocol):
    """Runs a view's `history` over parts of events, between entering and leaving it.

    For every part it writes `into / part.name`, a Parquet file or a folder of them: what `history` gives for the
    events of that part, in any order of rows and columns; no entity is in two parts. Types are the engine's
    own; the store makes them equal.
    """

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def states(self, view: FeatureView, event_parts: Sequence[Path], into: Path) -> None:
        """Compute the states of all events of these parts. Raises FeatureError."""
