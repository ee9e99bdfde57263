"""Makes Parquet files of rows in memory, in which the program reads them."""

import itertools
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import pyarrow as pa
import pyarrow.parquet as pq

from anyflow.errors import FilesError, wrong
from anyflow.folders import TemporaryFolder
from anyflow.places import StrPath, place_of
from anyflow.plain import fitted

#: What messages call rows in memory.
IN_MEMORY = "the data"
#: Bytes of Arrow data per row group: what is held in memory at once, here and by a reader.
_GROUP_BYTES = 32 << 20


@runtime_checkable
class ArrowStream(Protocol):
    """Rows with the Arrow PyCapsule interface: tables of pyarrow, frames of pandas and polars, relations of DuckDB."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Exports the rows."""
        ...


@runtime_checkable
class HuggingFaceDataset(Protocol):
    """A ``datasets.Dataset`` or ``datasets.IterableDataset``."""

    @property
    def features(self) -> Any:
        """The types of the columns."""
        ...

    def with_format(self, type: str) -> Any:
        """The same rows in another format."""
        ...


#: Rows: one path or several, Arrow data, a dataset of Hugging Face, or record batches one after another.
Data = StrPath | Sequence[StrPath] | ArrowStream | HuggingFaceDataset | Iterable[pa.RecordBatch]


@contextmanager
def as_files(data: Data | None) -> Generator[list[str], None, None]:
    """The rows as paths that the program reads; a temporary file is removed at the end of the context.

    Raises:
        TypeError: The data is nothing that `Data` names.
        FilesError: It is empty, or its batches have different columns.
    """
    places = [] if data is None else places_of(data)
    if places is not None:
        yield places
        return
    folder = TemporaryFolder()
    try:
        file = folder.path / "rows.parquet"
        _write(fitted(batches_of(data)), file)
        yield [str(file)]
    finally:
        folder.remove()


def places_of(data: Data) -> list[str] | None:
    """The paths and addresses that the data is; ``None`` for rows in memory.

    Raises:
        FilesError: There are none, or one is wrong.
    """
    if isinstance(data, str | os.PathLike):
        return [place_of(data)]
    if not isinstance(data, Sequence) or not all(isinstance(one, str | os.PathLike) for one in data):
        return None
    if not data:
        raise no_rows("an empty list of paths or record batches")
    return [place_of(one) for one in cast("Sequence[StrPath]", data)]


def batches_of(data: Any) -> Iterator[pa.RecordBatch]:
    """The batches of rows in memory.

    Raises:
        TypeError: The data is nothing that `Data` names.
    """
    if isinstance(data, HuggingFaceDataset):
        yield from _embedded(data)
    elif isinstance(data, ArrowStream):
        yield from pa.RecordBatchReader.from_stream(data)
    elif isinstance(data, Iterable):
        for batch in cast("Iterable[Any]", data):
            if not isinstance(batch, pa.RecordBatch):
                raise TypeError(f"expected record batches of pyarrow, found {type(batch).__name__}")
            yield batch
    else:
        raise TypeError(f"expected paths, Arrow data, a dataset or record batches, found {type(data).__name__}")


def no_rows(name: str) -> FilesError:
    """The exception for data without rows, as the program words it.

    Args:
        name: What messages call the data.
    """
    return wrong("usage", f"there are no rows to run: {name} has 0")


def _embedded(data: HuggingFaceDataset) -> Iterator[pa.RecordBatch]:
    """The rows with the contents of files that cells only name: the program reads no files outside of its input."""
    from datasets.table import embed_table_storage

    for table in data.with_format("arrow").iter(batch_size=1000):
        if data.features is not None:
            table = table.cast(data.features.arrow_schema)
        yield from embed_table_storage(table).to_batches()


def _write(tables: Iterator[pa.Table], file: Path) -> None:
    """Writes the rows while they come, about `_GROUP_BYTES` of them at once."""
    first = next(tables, None)
    if first is None:
        raise no_rows(IN_MEMORY)
    with pq.ParquetWriter(file, first.schema, compression="zstd", compression_level=1) as writer:
        for group in _groups(itertools.chain([first], tables)):
            table = pa.concat_tables(group)
            rows = max(1, _GROUP_BYTES * table.num_rows // max(1, table.nbytes))
            writer.write_table(table, row_group_size=rows)


def _groups(tables: Iterable[pa.Table]) -> Iterator[list[pa.Table]]:
    group: list[pa.Table] = []
    size = 0
    for table in tables:
        group.append(table)
        size += table.nbytes
        if size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
