"""A run in the engine: several parts of its rows are there at a time, so that one is read while another is computed."""

import asyncio
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from anyflow.arguments import count
from anyflow.background import started
from anyflow.call import Call
from anyflow.errors import Cancelled, RunError, rows_failed
from anyflow.following import Bar
from anyflow.made import Made, joined, opened, previewed
from anyflow.parts import Columns, Part, parts_of
from anyflow.request import Request
from anyflow.service import Service
from anyflow.sources import Source, source_of

#: Parts in the engine at a time.
_MOST_PARTS = 4


@dataclass
class _Done:
    """A part that is done."""

    table: pa.Table
    failures: Sequence[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])


class Run:
    """Rows on their way through the engine: ``result()`` and ``await`` wait for them, ``cancel()`` ends them.

    `Engine.submit` makes it.
    """

    def __init__(self, service: Service, request: Request) -> None:
        self._service = service
        self._request = request
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._is_cancelled = False
        self._telling = threading.Lock()
        self._future = started("anyflow-run", self._run)

    def result(self, timeout: float | None = None) -> Made:
        """Waits for the rows. An interrupt (Ctrl-C) cancels the run.

        Raises:
            AnyflowError: The run failed; see the subclasses.
            RunError: It goes on in another process, from which this one was forked.
            Cancelled: By `cancel`.
            TimeoutError: The rows take longer than ``timeout`` seconds. They go on.
        """
        self._refuse_if_forked()
        try:
            return self._future.result(timeout)
        except KeyboardInterrupt:
            self.cancel()
            raise

    def cancel(self) -> None:
        """Cancels the run: its rows leave the engine before their next step. A run that is done stays so.

        A run of the process from which this one was forked goes on there.
        """
        if os.getpid() != self._process:
            return
        with self._lock:
            self._is_cancelled = True
            for call in self._calls:
                call.cancel()

    def done(self) -> bool:
        """True if the run has ended in any way."""
        return self._future.done()

    def __await__(self) -> Generator[Any, None, Made]:
        return self._awaited().__await__()

    async def _awaited(self) -> Made:
        self._refuse_if_forked()
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def tell(_: Future[Made]) -> None:
            # The loop may be closed meanwhile.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(ended.set)

        self._future.add_done_callback(tell)
        try:
            await ended.wait()
        except asyncio.CancelledError:
            self.cancel()
            raise
        return self._future.result()

    def _refuse_if_forked(self) -> None:
        if os.getpid() != self._process and not self._future.done():
            text = f"the run belongs to process {self._process}, from which this one was forked; submit it here"
            raise RunError({"code": "forked", "message": text, "exit_code": 1})

    def _run(self) -> Made:
        request = self._request
        plan = request.plan()
        request.check(plan)
        limit = count("rows", request.rows)
        begun = time.perf_counter()
        source = None if request.data is None else source_of(request.data)
        known = limit if source is None else source.rows
        total = known if known is None or limit is None else min(known, limit)
        nodes = [step["node"] for step in plan["steps"] if step["op"] == "diffuse"]
        with Bar(request.progress, plan["name"], total, nodes) as bar:
            done = self._parts(plan, source, limit, bar)
        failures = [failure for part in done for failure in part.failures]
        table = pa.concat_tables(part.table for part in done)
        if table.num_rows == 0:
            raise rows_failed(f"none of the {len(failures)} rows succeeded", len(failures), failures[0])
        seconds = time.perf_counter() - begun
        return Made(table, failures, {"rows": table.num_rows, "failed": len(failures), "seconds": seconds})

    def _parts(self, plan: Mapping[str, Any], source: Source | None, limit: int | None, bar: Bar) -> list[_Done]:
        """Runs the parts, in order."""
        request = self._request
        done: list[_Done] = []
        waiting: deque[Future[_Done]] = deque()
        columns: Columns | None = None
        try:
            for part in parts_of(source, limit):
                if part.table is not None and columns is None:
                    columns = Columns(plan, part.table, request.key, request.keep)
                if len(waiting) == _MOST_PARTS:
                    done.append(waiting.popleft().result())
                waiting.append(started("anyflow-part", self._part, plan, columns, part, bar))
            done.extend(future.result() for future in waiting)
        except BaseException:
            # The run has ended: nothing uses or reports the results of the other parts.
            self.cancel()
            wait(waiting)
            raise
        return done

    def _part(self, plan: Mapping[str, Any], columns: Columns | None, part: Part, bar: Bar) -> _Done:
        request = self._request
        rows = columns.read(part.table) if columns is not None and part.table is not None else None
        wanted = {
            "call": "run",
            "plan": plan,
            "rows": part.rows,
            "bytes": 0 if rows is None else rows.size,
            "preview_steps": 0 if request.on_preview is None else request.preview_steps,
            "first_row": part.first,
            "key": None if columns is None else columns.key,
        }

        def heard(event: Mapping[str, Any], attached: pa.Buffer | None) -> None:
            self._hear(event, attached, part, bar)

        with self._call() as call:
            answer = call.make(plan["format"], wanted, heard, rows)
        assert answer.rows is not None, "the engine sent no rows"
        failures = answer.result["failures"]
        kept: pa.Table | None = None
        if columns is not None and part.table is not None:
            kept = columns.kept(part.table, {failure["row"] - part.first for failure in failures})
        with self._telling:
            bar.complete(part.first, part.rows)
        return _Done(joined(kept, opened(answer.rows)), failures)

    def _hear(self, event: Mapping[str, Any], attached: pa.Buffer | None, part: Part, bar: Bar) -> None:
        with self._telling:
            if event["event"] == "step":
                bar.step(part.first, event)
            elif event["event"] == "preview" and self._request.on_preview is not None and attached is not None:
                self._request.on_preview(previewed(event, attached))

    @contextlib.contextmanager
    def _call(self) -> Generator[Call, None, None]:
        """A call that `cancel` cancels."""
        call = Call(self._service)
        with self._lock:
            if self._is_cancelled:
                raise Cancelled()
            self._calls.append(call)
        try:
            yield call
        finally:
            with self._lock:
                self._calls.remove(call)
