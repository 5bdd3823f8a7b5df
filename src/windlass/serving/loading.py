"""From a bundle to a model that may answer: loaded, proven on its golden rows, warmed; one at a time."""

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from windlass.core.bundle import Bundle
from windlass.errors import WindlassError
from windlass.serving.hosted import Hosted
from windlass.serving.model import Model

# after which a thread that computes hands the interpreter to one that waits for it
YIELD_SECONDS = 0.00005


class Loader:
    """Loads models, which will compute on `executor` where they do not on the event loop."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._turn, self._line = threading.Lock(), threading.Lock()

    def load(self, bundle: Bundle) -> Model:
        """The model of a bundle, on this thread. Raises IntegrityError or EngineError.

        Whoever asks meanwhile waits: two loads at once would hold up requests twice as much.
        """
        with self._turn, _yielding():
            return Model(bundle, self._executor)

    def load_in_line(self, bundle: Bundle) -> Model:
        """As `load`, for what no decision waits for: a decision's load comes before all of these but one."""
        with self._line:
            return self.load(bundle)


async def load_bare(hosted: Hosted, bundle: Bundle, loader: Loader) -> None:
    """Let a bundle answer that no registry decides about. A failure is kept as the reason."""
    try:
        model = await asyncio.to_thread(loader.load, bundle)
    except WindlassError as error:
        hosted.refuse(bundle.version, str(error))
    except Exception as error:  # noqa: BLE001 - whatever a bundle holds, the others go on serving
        hosted.refuse(bundle.version, f"{type(error).__name__}: {error}")
    else:
        hosted.switch(model, time.time())


@contextmanager
def _yielding() -> Iterator[None]:
    """Let the event loop in every few microseconds.

    A request gives the interpreter away as it writes to the ledger, and waits this long to have it back: with
    Python's 5 ms, 32 requests that a loop has at hand would wait 160 ms for one another.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(YIELD_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
