"""Compares measurements with their targets: ratios, and Markdown tables for the README."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

OURS = "Windlass"
PLAIN = "FastAPI + joblib"
ECHO = "echo"
SCRIPT = "minimal script"
JSON_ROWS = "10,000 JSON rows"
ARROW_ROWS = "1,000,000 Arrow rows"
GUARD = "key and rate, a request"


@dataclass(frozen=True)
class Sample:
    """A measurement of one server under load."""

    server: str
    model: str
    connections: int
    rate: float  # requests a second
    p50: float  # ms
    p99: float  # ms
    memory: float  # MB, after the load
    started_in: float  # seconds


@dataclass(frozen=True)
class Timing:
    """A measurement of wall time."""

    what: str
    by: str
    seconds: float


@dataclass(frozen=True)
class Verdict:
    """A measured figure and its target."""

    what: str
    seen: float
    target: float
    unit: str
    at_least: bool

    @property
    def met(self) -> bool:
        """Whether the target was reached in this run."""
        return self.seen >= self.target if self.at_least else self.seen <= self.target


@dataclass
class Report:
    """All measurements of one run of the benchmark."""

    machine: dict[str, str | int]
    samples: list[Sample] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def figures(self, server: str, model: str, name: str, connections: int = 32) -> list[float]:
        """Returns one figure of one server, in the order of the turns."""
        wanted = (server, model, connections)
        samples = [
            one for one in self.samples if (one.server, one.model, one.connections) == wanted
        ]
        return [getattr(one, name) for one in samples]

    def seconds(self, what: str, by: str) -> list[float]:
        """Returns the wall times of one kind of work, in the order of the turns."""
        return [one.seconds for one in self.timings if (one.what, one.by) == (what, by)]

    def rate_ratios(self, model: str, other: str) -> list[float]:
        """Returns the ratio of our requests a second to those of another server, for each round."""
        return _ratios(self.figures(OURS, model, "rate"), self.figures(other, model, "rate"))

    def verdicts(self) -> list[Verdict]:
        """Returns the verdicts on all targets that were measured in this run."""
        batch = _ratios(self.seconds(JSON_ROWS, PLAIN), self.seconds(JSON_ROWS, OURS))
        arrow = [1_000_000 / spent for spent in self.seconds(ARROW_ROWS, OURS)]
        return [
            *_at_least(f"logreg: requests/s against {PLAIN}", self.rate_ratios("logreg", PLAIN), 8),
            *_at_least(f"logreg: requests/s against {ECHO}", self.rate_ratios("logreg", ECHO), 0.4),
            *_at_least(f"forest: requests/s against {PLAIN}", self.rate_ratios("rf", PLAIN), 60),
            *_at_least(f"{JSON_ROWS} against {PLAIN}", batch, 5),
            *_at_least(ARROW_ROWS, arrow, 500_000, "rows/s"),
            *_at_most(GUARD, [1e6 * spent for spent in self.seconds(GUARD, OURS)], 3, "µs"),
            *_at_most("start to ready", self.figures(OURS, "logreg", "started_in"), 1.3, "s"),
            *_at_most("memory of one worker", self.figures(OURS, "logreg", "memory"), 130, "MB"),
            *_at_most(f"training logreg against a {SCRIPT}", self._training("logreg"), 1.6, "x"),
            *_at_most(f"training forest against a {SCRIPT}", self._training("rf"), 1.6, "x"),
        ]

    def _training(self, model: str) -> list[float]:
        return _ratios(self.seconds(training(model), OURS), self.seconds(training(model), SCRIPT))

    def json(self) -> dict[str, Any]:
        """Returns all measurements and verdicts."""
        verdicts = [asdict(one) | {"met": one.met} for one in self.verdicts()]
        return asdict(self) | {"verdicts": verdicts}

    def markdown(self) -> str:
        """Returns the tables, and a line that describes the machine."""
        machine = self.machine
        measured = (
            f"Measured on {machine['processor']}, one core for the server and one for the load,"
            f" Python {machine['python']}. Every figure is the median of its rounds, and every ratio"
            " the median of the ratios within each round. Trust the ratios."
        )
        failures = "\n".join(f"- {failure}" for failure in self.failures)
        parts = [measured, self._servers(), self._works(), self._targets(), failures]
        return "\n\n".join(part for part in parts if part)

    def _servers(self) -> str:
        options = [(name, count) for count in (1, 32) for name in ("rate", "p50", "p99")]
        options += [("memory", 32), ("started_in", 32)]
        rows = []
        for model, server in dict.fromkeys((one.model, one.server) for one in self.samples):
            seen = [_middle(self.figures(server, model, name, count)) for name, count in options]
            rows.append([server, model, *seen, _middle(self.rate_ratios(model, server))])
        head = ["server", "model", "1 connection: requests/s", "p50 ms", "p99 ms"]
        head += ["32: requests/s", "p50 ms", "p99 ms", "memory MB", "start s", f"{OURS} is x"]
        return table(head, rows)

    def _works(self) -> str:
        pairs = dict.fromkeys((one.what, one.by) for one in self.timings)
        rows = [[what, by, _middle(self.seconds(what, by))] for what, by in pairs]
        return table(["work", "by", "seconds"], rows)

    def _targets(self) -> str:
        return targets(self.verdicts())


def targets(verdicts: Sequence[Verdict]) -> str:
    """Returns a table of measured figures and targets."""
    rows = []
    for one in verdicts:
        promised = f"{'≥' if one.at_least else '≤'} {number(one.target)} {one.unit}"
        seen = f"{number(one.seen)} {one.unit}"
        rows.append([one.what, seen, promised, "yes" if one.met else "**no**"])
    return table(["figure", "measured", "target", "met"], rows)


def training(model: str) -> str:
    """Returns the name of the timings of a training."""
    return f"training {model}"


def _ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Returns ratios within each round, so that a slow minute affects both sides."""
    return [mine / other for mine, other in zip(ours, theirs, strict=False)]


def _at_least(what: str, values: Sequence[float], target: float, unit: str = "x") -> list[Verdict]:
    return [Verdict(what, median(values), target, unit, at_least=True)] if values else []


def _at_most(what: str, values: Sequence[float], target: float, unit: str) -> list[Verdict]:
    return [Verdict(what, median(values), target, unit, at_least=False)] if values else []


def _middle(values: Sequence[float]) -> str:
    return number(median(values)) if values else "-"


def number(value: float) -> str:
    """Formats a figure for a table."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown; an empty text without rows."""
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
