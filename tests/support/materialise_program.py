"""A program that materialises parts: `python -m tests.support.materialise_program HOME URL FOLDER NUMBER [KILLED_AT]`.

It kills itself, as `kill -9` does, when it comes to the part of that number.
"""

import os
import signal
import sys
from pathlib import Path

from tests.support.loan_view import PROJECT_VIEW
from tests.support.online_parts import snapshot_of

from windlass.features.online.materialise import materialise
from windlass.features.online.store import online_store
from windlass.settings import Settings


def main() -> None:
    """Do what the arguments say, and print how many parts had been written before."""
    home, url, folder, number, *killed_at = sys.argv[1:]
    store = online_store(Settings(home=Path(home), online_url=url or None), PROJECT_VIEW, "credit")

    def report(_: float, message: str) -> None:
        if killed_at and message.startswith(f"part {killed_at[0]} "):
            os.kill(os.getpid(), signal.SIGKILL)

    parts = list(Path(folder).iterdir())
    snapshot = snapshot_of(int(number), float(number))
    done = materialise(store, PROJECT_VIEW, parts, snapshot, report, batch=10)
    sys.stdout.write(f"{done.resumed}\n")
    store.close()


if __name__ == "__main__":
    main()
