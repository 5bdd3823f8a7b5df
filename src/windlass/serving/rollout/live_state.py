"""What is live in a server, on disk: a worker that is replaced while the registry is away goes on with it."""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from windlass.core.bundle import Bundle
from windlass.errors import IntegrityError


@dataclass(frozen=True)
class LiveRecord:
    """A version that the registry had in production, as a worker of this server found and verified it."""

    version: str
    digest: str
    since: float
    folder: str

    def bundle(self) -> Bundle:
        """The bundle, every file verified. Raises BundleError or IntegrityError."""
        bundle = Bundle.open(Path(self.folder))
        if bundle.digest != self.digest:
            raise IntegrityError(
                f"The bundle at {self.folder} is not the one that was live. Restore it."
            )
        return replace(bundle, registered_version=self.version)


class LiveStateFile:
    """One project of one server. `folder` is the server's own; `session` is another each time it is started.

    A server that is started afresh must ask the registry, for much may have been decided meanwhile.
    """

    def __init__(self, folder: Path, project: str, session: str) -> None:
        self._path = folder / f"{project}.{session}.live"

    def write(self, bundle: Bundle, since: float) -> None:
        """Remember a version; where the disk does not let us, the next worker has to ask."""
        live = LiveRecord(bundle.version, bundle.digest, since, str(bundle.path.resolve()))
        aside = self._path.with_suffix(f".{os.getpid()}")
        try:
            aside.write_text(json.dumps(asdict(live)))
            aside.replace(self._path)
        except OSError:
            aside.unlink(missing_ok=True)

    def read(self) -> LiveRecord | None:
        """What was written last, if anything was."""
        try:
            return LiveRecord(**json.loads(self._path.read_text()))
        except (OSError, ValueError, TypeError):
            return None
