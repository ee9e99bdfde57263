"""Writes Python values as arguments of the program."""

import json
import os
from collections.abc import Mapping, Sequence

#: A path of a file or folder; text may also be what the program takes in place of a path, such as ``DIR#test``.
StrPath = str | os.PathLike[str]

#: The value of an option.
Option = StrPath | float | bool | Sequence[str] | None


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
        else:
            arguments.append(f"{option}={os.fspath(value) if isinstance(value, os.PathLike) else value}")
    return arguments


def settings(given: Mapping[str, object]) -> list[str]:
    """Values that replace those of a file: ``joint__sampler__steps=4`` is ``--set=joint.sampler.steps=4``.

    Two underscores stand for a dot, as in scikit-learn. Values are written as JSON, which YAML contains.
    """
    return [f"--set={name.replace('__', '.')}={json.dumps(value)}" for name, value in given.items()]
