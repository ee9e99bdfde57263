"""Work in threads that do not keep the interpreter from ending."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def started(
    name: str, work: Callable[_Arguments, _Result], *arguments: _Arguments.args, **named: _Arguments.kwargs
) -> "Future[_Result]":
    """Starts work in a thread of its own.

    The interpreter waits for the threads of `concurrent.futures` before it ends anything else, so before it ends the
    engine that they wait for; it does not wait for this one.

    Args:
        name: Of the thread.
        work: What to call.
        arguments: Its arguments.
        named: Its named arguments.
    """
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(work(*arguments, **named))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
