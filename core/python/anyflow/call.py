"""A call to an engine that stays."""

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from anyflow.errors import AnyflowError, Cancelled, error_from_report
from anyflow.frames import Frames
from anyflow.process import closed
from anyflow.service import Service

#: Who must act -> the exit code that a command would have.
_FAULTS: Mapping[str, int] = {"run": 1, "user": 2, "plugin": 3, "internal": 1}

#: Hears an event with the bytes that follow it.
Heard = Callable[[Mapping[str, Any], pa.Buffer | None], None]


@dataclass(frozen=True)
class Answer:
    """The end of a call."""

    #: Its figures.
    result: Mapping[str, Any]
    #: Rows as an Arrow stream.
    rows: pa.Buffer | None


class Call:
    """A call, which can be cancelled from another thread."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._stream: socket.socket | None = None
        self._is_cancelled = False

    def make(
        self, version: int, request: Mapping[str, Any], heard: Heard | None = None, rows: pa.Buffer | None = None
    ) -> Answer:
        """Sends a request and waits for the answer.

        Args:
            version: Of the protocol.
            request: The request.
            heard: Called with the events before the last one.
            rows: The bytes that follow the request.

        Raises:
            AnyflowError: The engine refused or failed the request, or died.
            Cancelled: By `cancel`.
        """
        with self._service.wording.applied():
            return self._make(version, request, heard, rows)

    def _make(
        self, version: int, request: Mapping[str, Any], heard: Heard | None, rows: pa.Buffer | None
    ) -> Answer:
        process = self._service.start()
        stream = process.connect()
        try:
            with self._lock:
                self._stream = stream
            self._refuse_if_ended()
            return _answer(Frames(stream, version), request, heard, rows)
        except OSError as lost:
            self._refuse_if_ended()
            raise process.ending() from lost
        except AnyflowError:
            # The engine reports the end of its client as an error, and its own end in words for a job with an output.
            self._refuse_if_ended()
            raise
        finally:
            with self._lock:
                self._stream = None
            with contextlib.suppress(OSError):
                # A process that was forked meanwhile holds the connection, too.
                stream.shutdown(socket.SHUT_RDWR)
            stream.close()

    def cancel(self) -> None:
        """Closes the connection: the rows leave the engine before their next step."""
        with self._lock, contextlib.suppress(OSError):
            self._is_cancelled = True
            if self._stream is not None:
                self._stream.shutdown(socket.SHUT_RDWR)

    def _refuse_if_ended(self) -> None:
        if self._is_cancelled:
            raise Cancelled()
        if self._service.is_closed:
            raise closed()


def _answer(frames: Frames, request: Mapping[str, Any], heard: Heard | None, rows: pa.Buffer | None) -> Answer:
    # An engine that refuses a request reads no rows, and says why.
    with contextlib.suppress(OSError):
        frames.write(request, rows)
    made: pa.Buffer | None = None
    while True:
        event = frames.read()
        attached = frames.attached(event["bytes"]) if event["event"] in ("rows", "preview") else None
        match event["event"]:
            case "done":
                return Answer(event["result"], made)
            case "failed":
                fault = event["fault"]
                raise error_from_report({"code": fault, "message": event["text"], "exit_code": _FAULTS.get(fault, 1)})
            case "rows":
                made = attached
            case _ if heard is not None:
                heard(event, attached)
            case _:
                pass
