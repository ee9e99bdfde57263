"""The output folder of a run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds

from anyflow import stores
from anyflow.errors import wrong
from anyflow.folders import TemporaryFolder
from anyflow.optional import package
from anyflow.places import StrPath, is_address, place_of
from anyflow.rows import Rows

if TYPE_CHECKING:
    import datasets

#: The file that the program writes last.
_MANIFEST = "manifest.json"
#: The rows that failed.
FAILURES = "failures.parquet"


class Output(Rows):
    """The finished output of a run: rows in Parquet files, which are read when they are asked for.

    Args:
        path: The output folder, or its address in a store such as ``s3://bucket/out``.
        result: The figures of the run, such as ``rows``, ``failed`` and ``rows_per_second``.
        folder: A temporary folder that goes with this object.

    Raises:
        FilesError: The folder holds no finished run.
        RunError: The store does not answer, or refuses.
    """

    def __init__(
        self, path: StrPath, *, result: Mapping[str, Any] | None = None, folder: TemporaryFolder | None = None
    ) -> None:
        #: The folder: a path or an address.
        self.address = place_of(path)
        self._place = stores.place(self.address)
        manifest = (self._place / _MANIFEST).read()
        if manifest is None:
            text = f"{self.address} is no finished run: it has no {_MANIFEST}; run the same command again to finish it"
            raise wrong("unfinished", text)
        self._manifest: dict[str, Any] = json.loads(manifest)
        #: The figures of the run.
        self.result: Mapping[str, Any] = result or {}
        self._folder = folder

    @property
    def path(self) -> Path:
        """The folder on a disk.

        Raises:
            FilesError: It is in a store.
        """
        if is_address(self.address):
            raise wrong("data.address", f"{self.address} is in a store and has no path on this machine; use `address`")
        return Path(self.address)

    @property
    def files(self) -> list[str]:
        """Paths or addresses of the Parquet files of the rows, in order."""
        return [one.name for one in self._shards()]

    @property
    def failures(self) -> pa.Table:
        """The rows that failed: key, row number, node, code and reason of each."""
        return (self._place / FAILURES).read_table()

    def to_dataset(self) -> ds.Dataset:
        """The rows as a dataset of pyarrow, which reads lazily."""
        shards = self._shards()
        return stores.dataset(shards) if shards else ds.dataset(pa.table({}))

    def to_datasets(self) -> "datasets.Dataset":
        """The rows as a dataset of Hugging Face, with images, sounds and classes as its features.

        `datasets` copies them into its cache, where they stay. Rows of a store are read into memory.
        """
        datasets = package("datasets", "to_datasets()")
        if is_address(self.address):
            return datasets.Dataset(self.to_table())
        return datasets.Dataset.from_parquet(self.files)

    def __fspath__(self) -> str:
        """The folder, so that the output can be the data of another run."""
        return self.address

    def __len__(self) -> int:
        return self._manifest["rows"]

    def __repr__(self) -> str:
        return f"Output({self.address!r}, rows={len(self)}, failed={self._manifest['failures']})"

    def _shards(self) -> list[stores.Place]:
        return [self._place / shard["file"] for shard in self._manifest["shards"] if shard["file"]]


def is_finished(output: str) -> bool:
    """True if a folder holds a finished run."""
    return (stores.place(output) / _MANIFEST).read() is not None
