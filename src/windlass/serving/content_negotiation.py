"""Content negotiation of `/predict_batch`: table formats, their media types, and what `Accept` asks for.

Apart from `tabular`, which imports pyarrow: most servers never need it.
"""

from windlass.web.messages import Request
from windlass.web.problems import Problem

FORMATS = {
    "text/csv": "csv",
    "application/vnd.apache.arrow.stream": "arrow",
    "application/vnd.apache.parquet": "parquet",
}
MEDIA_TYPES = {form: kind.encode() for kind, form in FORMATS.items()}
_JSON = ("application/json", "application/*")


def response_format(request: Request, default: str) -> str:
    """Returns the first format that `Accept` names and we have; `default` where it accepts anything.

    Raises Problem 406 where it names none of ours.
    """
    if request.accept in (b"", b"*/*"):
        return default
    for item in request.accept.decode("latin-1").split(","):
        kind = item.partition(";")[0].strip().lower()
        if kind in ("", "*/*"):
            return default
        if kind in _JSON:
            return "json"
        if kind in FORMATS:
            return FORMATS[kind]
    raise Problem(406, f"Accept one of: application/json, {', '.join(FORMATS)}.")
