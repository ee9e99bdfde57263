"""Keeps an engine running."""

import os
import threading
import weakref
from collections.abc import Mapping

from anyflow.arguments import Option, options
from anyflow.process import EngineProcess, closed
from anyflow.wording import Wording


class Service:
    """Keeps an engine running: one that died is started again for the next call.

    Args:
        given: The arguments of the engine, which are options of the program.
    """

    def __init__(self, given: Mapping[str, Option]) -> None:
        self._options = options(given)
        #: Words the errors of the program.
        self.wording = Wording(list(given), {})
        self._lock = threading.Lock()
        self._process: EngineProcess | None = None
        self._is_closed = False
        _services.add(self)

    @property
    def is_closed(self) -> bool:
        """True once the engine must not run any more."""
        return self._is_closed

    def start(self) -> EngineProcess:
        """The engine, which may have to be started.

        Raises:
            AnyflowError: There is no program, or the service is closed.
        """
        with self._lock:
            if self._is_closed:
                raise closed()
            if self._process is not None and not self._process.is_alive:
                self._process.close()
                self._process = None
            if self._process is None:
                self._process = EngineProcess(self._options)
            return self._process

    def close(self) -> None:
        """Ends the engine, and with it the calls under way."""
        with self._lock:
            self._is_closed = True
            if self._process is not None:
                self._process.close()

    def forget(self) -> None:
        """Leaves the engine to the process from which this one was forked: the next call starts another one."""
        # A thread that this process does not have may hold the lock.
        self._lock = threading.Lock()
        self._process = None


#: The services of this process.
_services: "weakref.WeakSet[Service]" = weakref.WeakSet()


def _close_all() -> None:
    for service in list(_services):
        service.close()


def _forget_all() -> None:
    for service in list(_services):
        service.forget()


# With the interpreter. `atexit` would call it too late: finalizers do nothing once their own turn at the end is over.
weakref.finalize(_services, _close_all)
os.register_at_fork(after_in_child=_forget_all)
