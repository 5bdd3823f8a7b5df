"""Live version of each project on disk: a worker that is replaced while the registry is unreachable restores it."""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from windlass.core.bundle import Bundle
from windlass.errors import IntegrityError


@dataclass(frozen=True)
class LiveRecord:
    """A version in production, as a worker of this server verified and loaded it. `since` is in seconds since 1970."""

    version: str
    digest: str
    since: float
    folder: str

    def bundle(self) -> Bundle:
        """Opens the bundle and verifies every file. Raises BundleError or IntegrityError."""
        bundle = Bundle.open(Path(self.folder))
        if bundle.digest != self.digest:
            raise IntegrityError(
                f"The bundle at {self.folder} is not the one that was live. Restore it."
            )
        return replace(bundle, registered_version=self.version)


class LiveStateFile:
    """File with the live version of one project, shared by the workers of one server.

    `session` differs for each start of a server: a new server must ask the registry, where decisions may have
    been taken since.
    """

    def __init__(self, folder: Path, project: str, session: str) -> None:
        self._path = folder / f"{project}.{session}.live"

    def write(self, bundle: Bundle, since: float) -> None:
        """Writes the live version.

        An OSError is ignored: the next worker then has to ask the registry.
        """
        live = LiveRecord(bundle.version, bundle.digest, since, str(bundle.path.resolve()))
        temporary = self._path.with_suffix(f".{os.getpid()}")
        try:
            temporary.write_text(json.dumps(asdict(live)))
            temporary.replace(self._path)
        except OSError:
            temporary.unlink(missing_ok=True)

    def read(self) -> LiveRecord | None:
        """Returns what was written last; None where there is nothing readable."""
        try:
            return LiveRecord(**json.loads(self._path.read_text()))
        except (OSError, ValueError, TypeError):
            return None
