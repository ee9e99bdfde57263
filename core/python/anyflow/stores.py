"""Reads what the program has written, on a disk or in a store, with the credentials that the program uses."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as fs
import pyarrow.parquet as pq

from anyflow.errors import RunError, wrong
from anyflow.places import is_address

#: Where the endpoint of an S3-compatible store is named, the first one first.
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


@dataclass(frozen=True)
class Place:
    """A file or folder."""

    #: Its path or address.
    name: str
    filesystem: fs.FileSystem
    #: Its path in the file system.
    path: str

    def __truediv__(self, name: str) -> "Place":
        return Place(f"{self.name}/{name}", self.filesystem, f"{self.path}/{name}")

    def read(self) -> bytes | None:
        """The content of a file; ``None`` if there is no such file.

        Raises:
            RunError: The store does not answer, or refuses.
        """
        try:
            with self.filesystem.open_input_stream(self.path) as stream:
                return stream.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            text = f"{self.name} cannot be read ({error}); check the address, and the credentials in the environment"
            raise RunError({"code": "data.store", "message": text, "exit_code": 1}) from error

    def read_table(self) -> pa.Table:
        """The rows of a Parquet file."""
        return pq.read_table(self.path, filesystem=self.filesystem)


def place(name: str) -> Place:
    """The place of a path or address.

    Raises:
        FilesError: Its store is of no kind that can be read here.
    """
    if not is_address(name):
        return Place(name, fs.LocalFileSystem(), name)
    scheme, _, path = name.partition("://")
    connect = _STORES.get(scheme)
    if connect is None:
        text = f"{name} cannot be read here: its scheme is none of {', '.join(_STORES)}; copy it to a disk or such a store"
        raise wrong("data.address", text)
    return Place(name, connect(), path.rstrip("/"))


def dataset(places: Sequence[Place]) -> ds.Dataset:
    """The rows of Parquet files with the same columns in one store; they are read when they are asked for."""
    return ds.dataset([one.path for one in places], format="parquet", filesystem=places[0].filesystem)


def _s3() -> fs.FileSystem:
    # Credentials and session come from the same variables, which pyarrow reads on its own.
    given: dict[str, Any] = {"region": _first("AWS_REGION", "AWS_DEFAULT_REGION"), "endpoint_override": _first(*_ENDPOINTS)}
    is_public = os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in ("1", "true", "on", "yes", "y")
    return fs.S3FileSystem(anonymous=is_public, **{name: value for name, value in given.items() if value})


def _azure() -> fs.FileSystem:
    given = {"account_key": "AZURE_STORAGE_ACCOUNT_KEY", "sas_token": "AZURE_STORAGE_SAS_TOKEN"}
    secrets = {name: os.environ[variable] for name, variable in given.items() if os.environ.get(variable)}
    return fs.AzureFileSystem(os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", ""), **secrets)


def _first(*variables: str) -> str | None:
    return next((os.environ[name] for name in variables if os.environ.get(name)), None)


#: Scheme of an address -> connects to its store.
_STORES: Mapping[str, Callable[[], fs.FileSystem]] = {
    "s3": _s3,
    "s3a": _s3,
    "gs": lambda: fs.GcsFileSystem(),
    "az": _azure,
    "abfs": _azure,
    "abfss": _azure,
}
