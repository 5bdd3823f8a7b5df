"""An answer that is sent part by part: until it ends, its client has gone, or the server drains."""

import asyncio

from windlass.web.messages import Headers, Receive, Request, Send, StreamedBody

SHUTDOWN_EVENT = "windlass.ending"  # in a request's state: the event that the server drains
STALL_SECONDS = 30.0  # that a client may leave a part unread before it is given up


def shutdown_event(request: Request) -> asyncio.Event | None:
    """The event that this request's server drains; None under a server that does not tell."""
    found: asyncio.Event | None = request.scope.get("state", {}).get(SHUTDOWN_EVENT)
    return found


async def send_stream(
    request: Request, parts: StreamedBody, status: int, headers: Headers, send: Send
) -> bool:
    """Send an answer of unknown length. False where its client has gone before its end."""
    try:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        whole = request.scope["method"] == "HEAD" or await _pump(request, parts, send)
        if whole:
            await send({"type": "http.response.body", "body": b""})
        return whole
    finally:
        await parts.aclose()


async def _pump(request: Request, parts: StreamedBody, send: Send) -> bool:
    event = shutdown_event(request)
    pump = asyncio.create_task(_send_all(parts, send))
    gone = asyncio.create_task(_disconnected(request.receive))
    watched = [pump, gone] + ([] if event is None else [asyncio.create_task(event.wait())])
    try:
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        if pump.done():
            return pump.result()
        return not gone.done()
    finally:
        for task in watched:
            task.cancel()
        await asyncio.gather(*watched, return_exceptions=True)


async def _send_all(parts: StreamedBody, send: Send) -> bool:
    async for part in parts:
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await send({"type": "http.response.body", "body": part, "more_body": True})
        except TimeoutError:
            return False
    return True


async def _disconnected(receive: Receive) -> bool:
    while (await receive())["type"] == "http.request":
        pass
    return True
