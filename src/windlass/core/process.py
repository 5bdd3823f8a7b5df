"""Whether another process of this machine still runs."""

import os


def is_alive(pid: int) -> bool:
    """Whether a process of this number runs, be it ours or not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
