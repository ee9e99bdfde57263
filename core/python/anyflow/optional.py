"""Packages that only some functions need."""

import importlib
import importlib.util
from typing import Any

from anyflow.errors import AnyflowError


def package(name: str, what: str, install: str | None = None) -> Any:
    """Imports a package.

    Args:
        name: What to import.
        what: What needs it.
        install: What pip installs, if that has another name.

    Raises:
        AnyflowError: It is not installed.
    """
    root = name.partition(".")[0]
    if importlib.util.find_spec(root) is None:
        text = f"{what} needs the package {root}, which this Python does not have: pip install {install or root}"
        raise AnyflowError({"code": "package", "message": text, "exit_code": 1})
    return importlib.import_module(name)
