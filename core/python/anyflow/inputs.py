"""Makes Parquet files of rows in memory, in which the program reads them."""

import itertools
import os
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from anyflow.arguments import StrPath
from anyflow.errors import FilesError
from anyflow.output import Output

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


def as_tables(data: Data) -> Iterator[pa.Table]:
    """The rows one piece after another, with the columns of the first one and without views.

    Raises:
        TypeError: The data is nothing that `Data` names.
    """
    opened = _opened(data)
    batches = _batches(data) if opened is None else _at_least_one(opened.scanner().to_batches(), opened.schema)
    schema: pa.Schema | None = None
    for batch in batches:
        schema = schema or _plain(batch.schema)
        yield _table(batch, schema)


def number_of_rows(data: Data) -> int | None:
    """The number of rows, if it is known without reading them."""
    opened = _opened(data)
    if opened is not None:
        return opened.count_rows()
    if isinstance(data, ArrowStream | HuggingFaceDataset) and isinstance(data, Sized):
        return len(data)
    return None


def _opened(data: Data) -> ds.Dataset | None:
    """The Parquet files that the data names.

    Raises:
        FilesError: They cannot be read.
    """
    if isinstance(data, Output):
        return data.to_dataset()
    paths = _paths(data)
    if paths is None:
        return None
    if len(paths) == 1 and (Path(paths[0]) / "manifest.json").is_file():
        return Output(paths[0]).to_dataset()
    try:
        return ds.dataset(paths[0] if len(paths) == 1 else paths, format="parquet")
    except (OSError, ValueError) as error:
        text = f"{', '.join(paths)}: cannot be read ({error})"
        raise FilesError({"code": "data.missing", "message": text, "exit_code": 2}) from error


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
        reader = pa.RecordBatchReader.from_stream(data)
        yield from _at_least_one(reader, reader.schema)
    elif isinstance(data, Iterable):
        for batch in cast("Iterable[Any]", data):
            if not isinstance(batch, pa.RecordBatch):
                raise TypeError(f"expected record batches of pyarrow, found {type(batch).__name__}")
            yield batch
    else:
        raise TypeError(f"expected paths, Arrow data, a dataset or record batches, found {type(data).__name__}")


def _at_least_one(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The batches; without any, one without rows, which names the columns."""
    batches = iter(batches)
    first = next(batches, None)
    yield pa.RecordBatch.from_pylist([], schema=schema) if first is None else first
    yield from batches


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
        table = _table(batch, schema)
        group.append(table)
        size += table.nbytes
        if size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _table(batch: pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    table = pa.Table.from_batches([batch])
    return table if table.schema.equals(schema) else table.select(schema.names).cast(schema)


def _plain(schema: pa.Schema) -> pa.Schema:
    """The columns without the index of a pandas frame, and without views, which not every writer of Parquet takes."""
    views = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
    fields = [field.with_type(views.get(field.type, field.type)) for field in schema]
    kept = [field for field in fields if not field.name.startswith("__index_level_")]
    return pa.schema(kept, metadata=schema.metadata)
