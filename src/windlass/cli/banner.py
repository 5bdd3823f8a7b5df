"""The text that `windlass serve` prints at its start: its URL, and commands to try."""

import json
import shlex
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from threading import Thread
from typing import TYPE_CHECKING

from windlass.errors import WindlassError
from windlass.features.online.store import online_store
from windlass.serving.targets import ServiceRole
from windlass.settings import Settings
from windlass.workflows.project_lookup import open_registry

if TYPE_CHECKING:
    from windlass.core.bundle import Bundle
    from windlass.core.feature_view import ViewRecord
    from windlass.serving.targets import ServeTarget

TIMEOUT_SECONDS = 1.0  # for which a feature store may hold up the start
_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - to listen on, not to connect to


def banner(
    served: "Sequence[ServeTarget]",
    settings: Settings,
    host: str,
    port: int,
    only: ServiceRole | None = None,
) -> str:
    """Returns several lines, with commands that can be pasted; with `only`, for one of the two services."""
    base = f"http://{'127.0.0.1' if host in _ANY_ADDRESS else host}:{port}"
    lines = [f"Serving on {base} (stop with Ctrl+C). API documentation: {base}/docs"]
    if settings.auth:
        lines.append("Requests need a key: KEY=$(windlass keys create --name NAME --role predict)")
    lines += [_bundle_line(target, target.bundle) for target in served if target.bundle is not None]
    key = ' -H "X-API-Key: $KEY"' if settings.auth else ""
    lines.append("Try:")
    for target in served:
        url = f"{base}/{target.project}" if len(served) > 1 else base
        features = f"  curl {url}/features/{{}}{key}"
        predict = f"  curl -X POST {url}/predict/{{}}{key}"
        bundle = target.bundle or _production_bundle(target.project, settings)
        if only is ServiceRole.FEATURES:
            by_id = [features]
        elif bundle is None:
            approve = f'windlass approve {target.project} --reason "…"'
            lines.append(f"  {approve}  # nothing of it is in production")
            by_id = [features] if only is None else []
        else:
            row = json.dumps(bundle.json("golden.json")["rows"][0])
            json_type = "-H 'Content-Type: application/json'"
            lines.append(f"  curl {url}/predict{key} {json_type} -d {shlex.quote(row)}")
            by_id = [features, predict] if only is None else [predict]
        if target.view is not None:
            lines += entity_lines(target.project, target.view, settings, by_id)
    return "\n".join([*lines, f"  curl {base}/status{key}"])


def _bundle_line(target: "ServeTarget", bundle: "Bundle") -> str:
    if target.named is not None:
        text = f"{target.project} {bundle.version} is served, whatever the registry decides."
        return f"{text} {target.warning or ''}".rstrip()
    text = (
        f"{bundle.manifest.project} is served from the folder {bundle.path}, without a registry:"
        " its version does not change."
    )
    gates = bundle.manifest.gates
    return text if all(gate.passed for gate in gates) else f"{text} Not every gate passed."


def entity_lines(
    project: str,
    view: "ViewRecord",
    settings: Settings,
    lines: Sequence[str],
    timeout: float = TIMEOUT_SECONDS,
) -> Iterator[str]:
    """Yields these lines with the id of an entity in the online store; how to fill the store where it is empty.

    Yields nothing where the store does not respond in time: the server logs why.
    """
    ids: list[str | None] = []
    lookup = Thread(target=_find_entity, args=(project, view, settings, ids), daemon=True)
    lookup.start()
    lookup.join(timeout)
    if ids == [None]:
        yield f"  windlass features build {project} && windlass features materialise {project}  # no features yet"
    elif ids:
        yield from (line.format(ids[0]) for line in lines)


def _find_entity(
    project: str, view: "ViewRecord", settings: Settings, ids: list[str | None]
) -> None:
    """Appends the id of an entity in the online store, as URLs have it; None where it is empty, nothing on errors."""
    with suppress(WindlassError), closing(online_store(settings, view, project)) as store:
        entity, stored_ids = store.any_entity(), store.entity_ids()
        ids.append(None if entity is None or stored_ids is None else stored_ids.segment(entity))


def _production_bundle(project: str, settings: Settings) -> "Bundle | None":
    """Returns the production bundle; None also where it cannot be read, which the server logs."""
    try:
        with open_registry(settings) as registry:
            version = registry.production(project)
            return None if version is None else registry.fetch(version)
    except WindlassError:
        return None
