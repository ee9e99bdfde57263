"""Names files and folders: a path of this machine, or an address in a store such as ``s3://bucket/rows``."""

import os
import re
from urllib.parse import unquote

from anyflow.errors import wrong

#: A path of a file or folder, or an address; text may also be what the program takes in their place, such as ``DIR#test``.
StrPath = str | os.PathLike[str]

#: An address of which `pathlib` has dropped a slash.
_SQUEEZED = re.compile(r"(s3a?|gs|az|abfss?|https?):/(?!/)")


def place_of(path: StrPath) -> str:
    """The path or address as the program takes it: a ``file://`` address is its path.

    Raises:
        FilesError: The address has lost a slash, or names a file of another machine.
    """
    place = os.fspath(path)
    if _SQUEEZED.match(place):
        remedy = "give an address as text, since pathlib drops a slash; ./ before it names a local path"
        raise wrong("data.address", f"{place} is an address with one slash; {remedy}")
    return _local(place) if place.startswith("file:/") else place


def absolute(path: StrPath) -> str:
    """The same file in every working directory.

    Raises:
        FilesError: As `place_of`.
    """
    place = place_of(path)
    return place if is_address(place) else os.path.abspath(place)


def is_address(place: str) -> bool:
    """True for an address in a store, false for a path."""
    return "://" in place


def _local(address: str) -> str:
    host, slash, path = address.removeprefix("file:").removeprefix("//").partition("/")
    if host not in ("", "localhost"):
        text = f"{address} names a file of the machine {host}; give the path where this machine sees it, as file:///PATH"
        raise wrong("data.address", text)
    return unquote(slash + path)
