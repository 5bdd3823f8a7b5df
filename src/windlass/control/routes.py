"""Every control route, in one table: of each project under its name, at the root too where there is one."""

from collections.abc import Sequence

from windlass.access.role import Role
from windlass.control.events import Streams
from windlass.control.jobs import Jobs
from windlass.control.office import Office
from windlass.control.refusals import refusing
from windlass.control.train import Training
from windlass.control.versions import Versions
from windlass.web.exchange import Handler
from windlass.web.routing import Route


def control_routes(names: Sequence[str], office: Office) -> list[Route]:
    """The routes of these projects of the registry."""
    streams = Streams(office.watches)
    routes = []
    for name in names:
        table = _table(name, office, streams)
        for prefix in (f"/{name}", "") if len(names) == 1 else (f"/{name}",):
            routes += [
                Route(method, f"{prefix}{path}", refusing(handler), name, path, role)
                for method, path, handler, role in table
            ]
    return routes


def _table(project: str, office: Office, streams: Streams) -> list[tuple[str, str, Handler, Role]]:
    jobs, versions = Jobs(project, office, streams), Versions(project, office)
    return [
        ("POST", "/train", Training(project, office).train, Role.TRAIN),
        ("GET", "/jobs", jobs.list, Role.TRAIN),
        ("GET", "/jobs/{job}", jobs.get, Role.TRAIN),
        ("DELETE", "/jobs/{job}", jobs.cancel, Role.TRAIN),
        ("GET", "/jobs/{job}/events", jobs.events, Role.TRAIN),
        ("GET", "/versions", versions.list, Role.PREDICT),
        ("GET", "/versions/{version}", versions.get, Role.PREDICT),
        ("GET", "/versions/{version}/compare/{other}", versions.compare, Role.PREDICT),
        ("POST", "/versions/{version}/approve", versions.approve, Role.APPROVE),
        ("POST", "/versions/{version}/reject", versions.reject, Role.APPROVE),
        ("POST", "/rollback", versions.rollback, Role.APPROVE),
        ("GET", "/decisions", versions.decisions, Role.PREDICT),
    ]
