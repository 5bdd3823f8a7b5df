"""An answer that is sent part by part: until it ends, its client has gone, or the server drains."""

import asyncio

from windlass.web.messages import Headers, Receive, Request, Send, StreamedBody

ENDING = "windlass.ending"  # in a request's state: the event that the server drains
STALL_SECONDS = 30.0  # that a client may leave a part unread before it is given up


def ending(exchange: Request) -> asyncio.Event | None:
    """The event that this request's server drains; None under a server that does not tell."""
    found: asyncio.Event | None = exchange.scope.get("state", {}).get(ENDING)
    return found


async def send_parts(
    exchange: Request, parts: StreamedBody, status: int, headers: Headers, send: Send
) -> bool:
    """Send an answer of unknown length. False where its client has gone before its end."""
    try:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        whole = exchange.scope["method"] == "HEAD" or await _pump(exchange, parts, send)
        if whole:
            await send({"type": "http.response.body", "body": b""})
        return whole
    finally:
        await parts.aclose()


async def _pump(exchange: Request, parts: StreamedBody, send: Send) -> bool:
    event = ending(exchange)
    pump = asyncio.create_task(_all(parts, send))
    gone = asyncio.create_task(_hang_up(exchange.receive))
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


async def _all(parts: StreamedBody, send: Send) -> bool:
    async for part in parts:
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await send({"type": "http.response.body", "body": part, "more_body": True})
        except TimeoutError:
            return False
    return True


async def _hang_up(receive: Receive) -> bool:
    while (await receive())["type"] == "http.request":
        pass
    return True
