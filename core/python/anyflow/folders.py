"""What goes with an object, in the process that made it: a fork copies the object, and what it owns stays the parent's."""

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

_Arguments = ParamSpec("_Arguments")


def ending(
    owner: object, end: Callable[_Arguments, object], /, *arguments: _Arguments.args, **named: _Arguments.kwargs
) -> "weakref.finalize[..., object]":
    """Calls ``end`` once its owner is gone, or when the result is called; in a forked process, nothing.

    Args:
        owner: Whose end it is.
        end: What to call.
        arguments: Its arguments.
        named: Its named arguments.
    """
    maker = os.getpid()

    def once() -> None:
        if os.getpid() == maker:
            end(*arguments, **named)

    return weakref.finalize(owner, once)


class TemporaryFolder:
    """A folder that goes with this object.

    Args:
        parent: Where it is. By default in the folder of temporary files.
    """

    def __init__(self, parent: str | None = None) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="anyflow-", dir=parent))
        #: Removes it now.
        self.remove = ending(self, shutil.rmtree, self.path, ignore_errors=True)
