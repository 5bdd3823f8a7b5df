"""The server's address and key, and the translation between operations and httpx, which both clients share."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from windlass.client.exchange import NotSentError, Request, Response
from windlass.core.error_descriptions import describe_error, missing_extra
from windlass.errors import ClientError, ServerUnreachableError

if TYPE_CHECKING:
    import httpx

TIMEOUT = 60.0  # seconds that a client waits for a connection, or for the next bytes


class ServerAddress:
    """URL of a server, the prefix of a project's routes, and the key, which no text shows."""

    def __init__(self, url: str, key: str | None, project: str | None) -> None:
        """Raises ClientError unless `url` is a URL of HTTP, and for a key that no header can hold."""
        try:
            parts = urlsplit(url)
            is_url = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            is_url = False
        if not is_url:
            raise ClientError(f"{url!r} is not the URL of a server, such as http://127.0.0.1:8000.")
        if key is not None and not (key.isascii() and key.isprintable() and key.strip() == key):
            raise ClientError("The key is not one: it has spaces, or characters beyond ASCII.")
        self.prefix = parts.path.rstrip("/") + (f"/{project}" if project else "")
        self._parts = parts._replace(path="", query="", fragment="")
        self._key = key or None

    @property
    def origin(self) -> str:
        """URL of the server, without a path."""
        return urlunsplit(self._parts)

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every request."""
        return {} if self._key is None else {"x-api-key": self._key}

    @property
    def origin_without_user(self) -> str:
        """URL of the server, without a path, a user and a password."""
        return f"{self._parts.scheme}://{self._parts.netloc.rpartition('@')[2]}"

    def __str__(self) -> str:
        key = "" if self._key is None else ", key='***'"
        return f"'{self.origin_without_user}{self.prefix}'{key}"


def import_httpx() -> Any:
    """Returns the module httpx. Raises ClientError, which says what to install."""
    try:
        import httpx
    except ModuleNotFoundError as error:
        raise ClientError(f"{missing_extra(error) or describe_error(error)}.") from error
    return httpx


def open_http(
    make: Callable[..., Any],
    address: ServerAddress,
    timeout: float | None,
    options: Mapping[str, Any],
) -> Any:
    """Returns a client of httpx, as `make` makes it. Raises ClientError for options that it does not take."""
    try:
        return make(base_url=address.origin, headers=address.headers, timeout=timeout, **options)
    except (TypeError, ValueError, OSError) as error:
        raise ClientError(f"httpx does not take these options: {error}.") from error


def build_request(http: "httpx.Client | httpx.AsyncClient", request: Request) -> "httpx.Request":
    """Returns a request as httpx sends it."""
    return http.build_request(
        request.method,
        request.path,
        params=dict(request.params) or None,
        headers=dict(request.headers),
        content=request.content or None,
    )


def to_response(response: "httpx.Response", content: bytes) -> Response:
    """Returns a response of httpx, whose content was read, as operations read it."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Response(response.status_code, headers, content)


@contextmanager
def translated_errors(address: ServerAddress) -> Iterator[None]:
    """Raises ServerUnreachableError where there is no answer, NotSentError where nothing was sent either."""
    httpx = import_httpx()
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise NotSentError(
            f"There is no connection to {address.origin_without_user} ({_reason(error)}). Check the URL, and that"
            " the server runs."
        ) from error
    except httpx.TimeoutException as error:
        raise ServerUnreachableError(
            f"{address.origin_without_user} did not answer in time ({_reason(error)}). Try again, or allow more time:"
            " Client(…, timeout=SECONDS)."
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise ServerUnreachableError(
            f"The connection to {address.origin_without_user} broke ({_reason(error)}). Try again."
        ) from error


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
