"""Sends streamed responses: until the stream ends, its client disconnects, or the server drains."""

import asyncio
from collections.abc import Coroutine

from windlass.web.messages import Receive, Request, Response, Send, StreamedBody
from windlass.web.request_head import Headers

STALL_SECONDS = 30.0  # that a client may leave a chunk unread before it is disconnected


async def send_stream(
    request: Request,
    response: Response,
    headers: Headers,
    send: Send,
    stall_seconds: float = STALL_SECONDS,
) -> bool:
    """Sends a response of unknown length, and returns False where the client disconnects before its end.

    A client that leaves a chunk unread for `stall_seconds` counts as disconnected.
    """
    body = response.stream
    assert body is not None
    try:
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        is_head = request.head.method == "HEAD"
        complete = is_head or await _pump(request, _send_all(body, send, stall_seconds))
        if complete:
            await send({"type": "http.response.body", "body": b""})
        return complete
    finally:
        await body.aclose()


async def _pump(request: Request, sending: Coroutine[None, None, bool]) -> bool:
    event = request.shutdown
    pump = asyncio.create_task(sending)
    disconnected = asyncio.create_task(_disconnected(request.receive))
    watched = [pump, disconnected] + ([] if event is None else [asyncio.create_task(event.wait())])
    try:
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        if pump.done():
            return pump.result()
        return not disconnected.done()
    finally:
        for task in watched:
            task.cancel()
        await asyncio.gather(*watched, return_exceptions=True)


async def _send_all(body: StreamedBody, send: Send, stall_seconds: float) -> bool:
    async for chunk in body:
        try:
            async with asyncio.timeout(stall_seconds):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except TimeoutError:
            return False
    return True


async def _disconnected(receive: Receive) -> bool:
    while (await receive())["type"] == "http.request":
        pass
    return True
