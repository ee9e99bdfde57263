"""Makes Parquet files of rows in memory, in which the program reads them."""

import itertools
import os
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from anyflow.arguments import StrPath

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
    """
    paths = _paths(data)
    if paths is not None:
        yield paths
        return
    with tempfile.TemporaryDirectory(prefix="anyflow-") as folder:
        file = Path(folder) / "rows.parquet"
        _write(_batches(data), file)
        yield [str(file)]


def as_table(data: Data) -> pa.Table:
    """The rows in memory.

    Raises:
        TypeError: The data is nothing that `Data` names.
    """
    paths = _paths(data)
    if paths is not None:
        return ds.dataset(paths, format="parquet").to_table()
    table = pa.Table.from_batches(list(_batches(data)))
    schema = _plain(table.schema)
    return table.select(schema.names).cast(schema)


def _paths(data: Data | None) -> list[str] | None:
    if data is None:
        return []
    if isinstance(data, str | os.PathLike):
        return [os.fspath(data)]
    if isinstance(data, Sequence) and all(isinstance(one, str | os.PathLike) for one in data):
        return [os.fspath(one) for one in cast("Sequence[StrPath]", data)]
    return None


def _batches(data: Any) -> Iterator[pa.RecordBatch]:
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


def _embedded(data: HuggingFaceDataset) -> Iterator[pa.RecordBatch]:
    """The rows with the contents of files that cells only name: the program reads no files outside of its input."""
    from datasets.table import embed_table_storage

    for table in data.with_format("arrow").iter(batch_size=1000):
        if data.features is not None:
            table = table.cast(data.features.arrow_schema)
        yield from embed_table_storage(table).to_batches()


def _write(batches: Iterator[pa.RecordBatch], file: Path) -> None:
    """Writes the rows while they come, about `_GROUP_BYTES` of them at once."""
    first = next(batches, None)
    if first is None:
        raise TypeError("no record batch came, so the columns are unknown")
    schema = _plain(first.schema)
    with pq.ParquetWriter(file, schema, compression="zstd", compression_level=1) as writer:
        for group in _groups(itertools.chain([first], batches), schema):
            table = pa.concat_tables(group)
            rows = max(1, _GROUP_BYTES * table.num_rows // max(1, table.nbytes))
            writer.write_table(table, row_group_size=rows)


def _groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[list[pa.Table]]:
    group: list[pa.Table] = []
    size = 0
    for batch in batches:
        # Only then is its size known: views have none.
        table = pa.Table.from_batches([batch]).select(schema.names).cast(schema)
        group.append(table)
        size += table.nbytes
        if size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _plain(schema: pa.Schema) -> pa.Schema:
    """The columns without the index of a pandas frame, and without views, which not every writer of Parquet takes."""
    views = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
    fields = [field.with_type(views.get(field.type, field.type)) for field in schema]
    kept = [field for field in fields if not field.name.startswith("__index_level_")]
    return pa.schema(kept, metadata=schema.metadata)
