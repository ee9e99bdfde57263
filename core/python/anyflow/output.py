"""The output folder of a run."""

import json
import shutil
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from anyflow.arguments import StrPath
from anyflow.errors import FilesError
from anyflow.rows import Rows

if TYPE_CHECKING:
    import datasets


class Output(Rows):
    """The finished output of a run: rows in Parquet files, which are read when they are asked for.

    Args:
        path: The output folder.
        result: The figures of the run, such as ``rows``, ``failed`` and ``rows_per_second``.
        is_temporary: Remove the folder with this object.

    Raises:
        FilesError: The folder holds no finished run.
    """

    def __init__(
        self, path: StrPath, *, result: Mapping[str, Any] | None = None, is_temporary: bool = False
    ) -> None:
        self.path = Path(path)
        manifest = self.path / "manifest.json"
        if not manifest.is_file():
            text = f"{self.path} is no finished run: it has no manifest.json; run the same command again to finish it"
            raise FilesError({"code": "unfinished", "message": text, "exit_code": 2})
        self._manifest: dict[str, Any] = json.loads(manifest.read_text())
        #: The figures of the run.
        self.result: Mapping[str, Any] = result or {}
        if is_temporary:
            weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    @property
    def files(self) -> list[Path]:
        """The Parquet files of the rows, in order."""
        return [self.path / shard["file"] for shard in self._manifest["shards"] if shard["file"]]

    @property
    def failures(self) -> pa.Table:
        """The rows that failed: key, row number, node, code and reason of each."""
        return pq.read_table(self.path / "failures.parquet")

    def to_dataset(self) -> ds.Dataset:
        """The rows as a dataset of pyarrow, which reads lazily."""
        files = [str(file) for file in self.files]
        return ds.dataset(files, format="parquet") if files else ds.dataset(pa.table({}))

    def to_datasets(self) -> "datasets.Dataset":
        """The rows as a dataset of Hugging Face, with images, sounds and classes as its features.

        `datasets` copies them into its cache, where they stay.
        """
        import datasets

        return datasets.Dataset.from_parquet([str(file) for file in self.files])

    def __fspath__(self) -> str:
        """The folder, so that the output can be the data of another run."""
        return str(self.path)

    def __len__(self) -> int:
        return self._manifest["rows"]

    def __repr__(self) -> str:
        return f"Output({str(self.path)!r}, rows={len(self)}, failed={self._manifest['failures']})"
