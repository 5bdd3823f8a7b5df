"""The forms that tables come and go in, and which of them a client asks for."""

from windlass.web.exchange import Exchange
from windlass.web.problems import Problem

FORMS = {
    "text/csv": "csv",
    "application/vnd.apache.arrow.stream": "arrow",
    "application/vnd.apache.parquet": "parquet",
}
TYPES = {form: kind.encode() for kind, form in FORMS.items()}
_JSON = ("application/json", "application/*")


def wanted(exchange: Exchange, form: str) -> str:
    """The form that `Accept` names first; `form`, the body's own, where it leaves the choice.

    Raises Problem 406 where it names none that there is.
    """
    if exchange.accept in (b"", b"*/*"):
        return form
    for item in exchange.accept.decode("latin-1").split(","):
        kind = item.partition(";")[0].strip().lower()
        if kind in ("", "*/*"):
            return form
        if kind in _JSON:
            return "json"
        if kind in FORMS:
            return FORMS[kind]
    raise Problem(406, f"Accept one of: application/json, {', '.join(FORMS)}.")
