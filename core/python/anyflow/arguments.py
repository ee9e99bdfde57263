"""Writes Python values as arguments of the program."""

import json
import operator
import os
from collections.abc import Mapping, Sequence

from anyflow.errors import wrong
from anyflow.places import StrPath, place_of

#: The value of an option.
Option = StrPath | float | bool | Sequence[str] | None

#: The options that name files or folders.
_PLACES = ("input", "output", "data")


def options(given: Mapping[str, Option]) -> list[str]:
    """The options of a command: ``shard_rows=8`` is ``--shard-rows=8``, and ``None`` is left out.

    A sequence is a repeated option, an empty one the option without a value.
    """
    arguments: list[str] = []
    for name, value in given.items():
        option = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            arguments.append(option)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            arguments.extend([f"{option}={one}" for one in value] or [option])
        elif isinstance(value, str | os.PathLike) and name in _PLACES:
            arguments.append(f"{option}={place_of(value)}")
        else:
            arguments.append(f"{option}={value}")
    return arguments


def settings(given: Mapping[str, object]) -> list[str]:
    """Values that replace those of a file: ``joint__sampler__steps=4`` is ``--set=joint.sampler.steps=4``.

    Two underscores stand for a dot, as in scikit-learn. Values are written as JSON, which YAML contains.
    """
    return [f"--set={name.replace('__', '.')}={json.dumps(value)}" for name, value in given.items()]


def column_names(columns: Sequence[str] | None) -> list[str] | None:
    """The names of columns; a text is one name."""
    return [columns] if isinstance(columns, str) else None if columns is None else list(columns)


def count(name: str, number: int | None) -> int | None:
    """An argument that is a number of something.

    Raises:
        FilesError: It is no whole number, or below 1.
    """
    if number is None:
        return None
    try:
        whole = operator.index(number)
    except TypeError:
        whole = 0
    if whole < 1:
        raise wrong("usage", f"{name} is {number!r}; give a whole number of at least 1")
    return whole
