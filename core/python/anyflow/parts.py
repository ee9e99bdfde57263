"""Cuts rows into parts, each of which is a call to the engine."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.ipc as ipc

from anyflow.arguments import column_names
from anyflow.errors import wrong
from anyflow.inputs import no_rows
from anyflow.sources import Source

#: Rows of a part: the engine names as many failed rows in an answer, and joins the rows of several parts to its batches.
PART_ROWS = 256
#: Bytes of a part, if its rows are large.
_PART_BYTES = 32 << 20
#: Mean bytes of cells that are not copied unless they are asked for, as for the program.
_LARGE_CELL_BYTES = 16 << 10
#: The column of row keys, unless another one is named.
_DEFAULT_KEY = "id"
#: What is kept with all columns.
_EVERYTHING = "*"


@dataclass(frozen=True)
class Part:
    """Rows that follow one another."""

    #: The number of the first one.
    first: int
    #: How many.
    rows: int
    #: The rows themselves; ``None`` for a pipeline without inputs.
    table: pa.Table | None


def parts_of(source: Source | None, rows: int | None) -> Iterator[Part]:
    """The parts of the rows, at least one.

    Args:
        source: The rows, ``None`` for a pipeline without inputs.
        rows: Their number; with a source, the maximum.

    Raises:
        FilesError: The source has no rows.
    """
    if source is None:
        total = rows or 0
        for first in range(0, total, PART_ROWS):
            yield Part(first, min(PART_ROWS, total - first), None)
        return
    first = 0
    for table in _regrouped(source.tables, rows):
        yield Part(first, table.num_rows, table)
        first += table.num_rows
    if first == 0:
        raise no_rows(source.name)


def _regrouped(tables: Iterator[pa.Table], most: int | None) -> Iterator[pa.Table]:
    """Tables of `PART_ROWS` rows, the last one of fewer."""
    waiting: pa.Table | None = None
    left = most
    for table in tables:
        table = table if left is None else table.slice(0, left)
        left = None if left is None else left - table.num_rows
        waiting = table if waiting is None else pa.concat_tables([waiting, table])
        step = max(1, min(PART_ROWS, _PART_BYTES * waiting.num_rows // max(1, waiting.nbytes)))
        whole = waiting.num_rows - waiting.num_rows % step
        for at in range(0, whole, step):
            yield waiting.slice(at, step)
        waiting = waiting.slice(whole)
        if left == 0:
            break
    if waiting is not None and waiting.num_rows:
        yield waiting


class Columns:
    """What the engine reads of the rows, and what is copied to the result.

    Args:
        plan: The pipeline.
        first: The first part.
        key: Column of row keys.
        keep: Columns to copy. By default all but large files that the pipeline reads.

    Raises:
        FilesError: A column that `key` or `keep` names is missing.
    """

    def __init__(self, plan: Mapping[str, Any], first: pa.Table, key: str | None, keep: Sequence[str] | None) -> None:
        names = first.column_names
        keep = column_names(keep)
        for name in [*([key] if key is not None else []), *(keep or [])]:
            if name not in (*names, _EVERYTHING):
                text = f"the rows have no column {name!r}; they have {', '.join(names)}"
                raise wrong("data.unknown-column", text)
        read = {reading["column"] for reading in plan["inputs"].values()}
        #: The column of keys.
        self.key = _DEFAULT_KEY if key is None and _has_keys(first) else key
        self._read = [name for name in names if name in read or name == self.key]
        made = plan["outputs"]
        if keep is None:
            kept = [name for name in names if name not in read or not _is_large(first, name)]
        else:
            kept = names if _EVERYTHING in keep else keep
        self._kept = [name for name in kept if name not in made]

    def read(self, table: pa.Table) -> pa.Buffer:
        """The columns that the engine reads, as an Arrow stream."""
        read = table.select(self._read)
        sink = pa.BufferOutputStream()
        with ipc.new_stream(sink, read.schema) as writer:
            writer.write_table(read)
        return sink.getvalue()

    def kept(self, table: pa.Table, failed: set[int]) -> pa.Table:
        """The columns that are copied, without the failed rows."""
        kept = table.select(self._kept)
        if not failed:
            return kept
        return kept.take(pa.array([row for row in range(table.num_rows) if row not in failed], pa.int64()))


def _has_keys(table: pa.Table) -> bool:
    return _DEFAULT_KEY in table.column_names and not pa.types.is_null(table.schema.field(_DEFAULT_KEY).type)


def _is_large(table: pa.Table, name: str) -> bool:
    column = table[name]
    return _is_file(column.type) and column.nbytes > _LARGE_CELL_BYTES * table.num_rows


def _is_file(kind: pa.DataType) -> bool:
    """True for bytes, for structs with bytes as `datasets` writes them, and for lists of both."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _is_file(kind.value_type)
    if pa.types.is_struct(kind):
        return any(kind.field(at).name == "bytes" for at in range(kind.num_fields))
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
