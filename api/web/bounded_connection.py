"""HTTP connections with bounds that uvicorn does not have: on the time that a request takes to arrive, on the size of
its headers, and on the time in which a client reads nothing of its answer. Between requests clients may pause longer.

uvicorn's own timeout covers idle connections only, and every byte restarts it: a client that sends a byte now and
then would keep its connection, and the memory for what it sent (httptools has no limit on headers), without end.
"""

from asyncio import BaseTransport, TimerHandle
from http import HTTPStatus
from typing import Any

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from api.web.errors import problem
from shared.logs import get_logger

log = get_logger(__name__)

REQUEST_SECONDS = 10.0
# So long may a client read nothing of its answer.
STALL_SECONDS = 10.0
# So long may a client pause between requests: longer than pages poll, and than proxies keep a connection (60 s is
# usual). Who closes first decides; a client that sends while the api closes loses its request.
IDLE_SECONDS = 75.0
# The request line, headers, trailers and the framing of chunks together.
HEADER_BYTES = 64 * 1024


class Connection(HttpToolsProtocol):
    """One client. A slow request gets a 408, long headers a 431, bytes that are not HTTP a 400; then it closes."""

    idle_seconds = IDLE_SECONDS

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.timeout_keep_alive = self.idle_seconds  # type: ignore[assignment]  # for call_later
        self._arrival: TimerHandle | None = None
        self._stall: TimerHandle | None = None
        self._arriving = False
        self._header_bytes = 0
        self._cycles: list[RequestResponseCycle] = []

    def connection_made(self, transport: BaseTransport) -> None:
        """Start the timer of the first request."""
        super().connection_made(transport)  # type: ignore[arg-type]  # a socket's reads and writes
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers, and disconnect every request under way: uvicorn disconnects only the last one."""
        self._received()
        self.resume_writing()
        super().connection_lost(exc)
        self._give_up()

    def data_received(self, data: bytes) -> None:
        """Parse the bytes, and count those that are not part of a body."""
        self._header_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._header_bytes > HEADER_BYTES:
            self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {HEADER_BYTES} bytes of headers"
            )
        elif self._arriving or not self._answering():
            # Leading CRLFs do not start a request, but they cancel uvicorn's keep-alive timer, so ours starts.
            self._expect_request()

    def on_message_begin(self) -> None:
        """Called when the first line of a request has arrived."""
        super().on_message_begin()
        self._received()
        self._arriving = True

    def on_headers_complete(self) -> None:
        """Called when the app starts to answer, or the request waits for those before it."""
        super().on_headers_complete()
        self._cycles = [*(cycle for cycle in self._cycles if not cycle.response_complete), self.cycle]

    def on_body(self, body: bytes) -> None:
        """Do not count a part of a body: the app bounds bodies."""
        self._header_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Called when the whole request has arrived."""
        self._received()
        self._header_bytes = 0
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Called when the client reads more slowly than the app answers."""
        super().pause_writing()
        self._watch_reading()

    def resume_writing(self) -> None:
        """Called when the client has read enough."""
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def send_400_response(self, msg: str) -> None:
        """Called when the bytes are not HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _watch_reading(self) -> None:
        unread = self.transport.get_write_buffer_size()
        self._stall = self.loop.call_later(STALL_SECONDS, self._cut_off_unless_less_than, unread)

    def _cut_off_unless_less_than(self, unread: int) -> None:
        if self.transport.get_write_buffer_size() < unread:
            self._watch_reading()
        else:
            self.transport.abort()

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_request(self) -> None:
        if self._arrival is None:
            self._arrival = self.loop.call_later(REQUEST_SECONDS, self._too_slow)

    def _received(self) -> None:
        self._arriving = False
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _too_slow(self) -> None:
        if self._arriving:
            text = f"the request did not arrive within {REQUEST_SECONDS:g} s"
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, text)
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer with an error, if it is this request's turn and no answer has begun; then close the connection."""
        if self.transport.is_closing():
            return
        log.debug("refused", status=int(status), detail=detail)
        if self._may_answer():
            self.transport.write(_raw(problem(status, detail, {"Connection": "close"})))
        self._give_up()
        self.transport.close()

    def _give_up(self) -> None:
        for cycle in self._cycles:
            # Nobody reads what the app would still send.
            cycle.disconnected = True
            cycle.message_event.set()

    def _may_answer(self) -> bool:
        if self.cycle is None:
            return True
        of_this_request = self.cycle.scope is self.scope
        done = self.cycle.response_started if of_this_request else not self.cycle.response_complete
        return not done and not self.pipeline


def _raw(response: Response) -> bytes:
    headers = b"".join(b"%s: %s\r\n" % pair for pair in response.raw_headers)
    return STATUS_LINE[response.status_code] + headers + b"\r\n" + bytes(response.body)
