"""Rows that an engine made, in memory."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.ipc as ipc

from anyflow.arguments import column_names
from anyflow.optional import package
from anyflow.rows import Rows, features_of

if TYPE_CHECKING:
    import datasets


class Made(Rows):
    """Rows in memory, in the order of the data.

    Args:
        table: The rows.
        failures: The rows that failed, as the engine names them.
        result: Figures: ``rows``, ``failed``, ``seconds``.
    """

    def __init__(
        self, table: pa.Table, failures: Sequence[Mapping[str, Any]] = (), result: Mapping[str, Any] | None = None
    ) -> None:
        self._table = table
        self._failures = failures
        #: The figures of the run.
        self.result: Mapping[str, Any] = result or {}

    @property
    def failures(self) -> pa.Table:
        """The rows that failed: key, row number, node, code and reason of each."""
        text = ("row_key", "node", "code", "text")
        columns = {name: pa.array([failure[name] for failure in self._failures], pa.string()) for name in text}
        numbers = pa.array([failure["row"] for failure in self._failures], pa.uint64())
        return pa.table({"row_key": columns.pop("row_key"), "row": numbers, **columns})

    def to_dataset(self) -> ds.Dataset:
        """The rows as a dataset of pyarrow."""
        return ds.dataset(self._table)

    def to_table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows as a table of pyarrow, without a copy."""
        wanted = column_names(columns)
        return self._table if wanted is None else self._table.select(wanted)

    def to_datasets(self) -> "datasets.Dataset":
        """The rows as a dataset of Hugging Face, with images, sounds and classes as its features."""
        datasets = package("datasets", "to_datasets()")
        return datasets.Dataset(self._table)

    def __len__(self) -> int:
        return self._table.num_rows

    def __repr__(self) -> str:
        return f"Made(rows={len(self)}, failed={len(self._failures)}, columns={self._table.column_names})"


@dataclass(frozen=True)
class Preview:
    """The outputs of a pipeline if the diffusion of a node ended now."""

    #: The node.
    node: str
    #: The numbers of the rows.
    numbers: Sequence[int]
    #: Network calls so far.
    step: int
    #: Network calls in all.
    steps: int
    #: The rows, with those outputs that depend on this node alone.
    rows: Made


def opened(buffer: pa.Buffer) -> pa.Table:
    """The table of an Arrow stream, in the memory of the stream."""
    return ipc.open_stream(buffer).read_all()


def joined(kept: pa.Table | None, made: pa.Table) -> pa.Table:
    """The columns of both; the features of both are in the metadata."""
    if kept is None or not kept.column_names:
        return made
    features = {**features_of(kept.schema), **features_of(made.schema)}
    names = [*kept.column_names, *made.column_names]
    stated = json.dumps({"info": {"features": {name: features[name] for name in names if name in features}}})
    metadata = {**(kept.schema.metadata or {}), b"huggingface": stated.encode()}
    # The types of a pandas frame name columns that are not here.
    metadata.pop(b"pandas", None)
    schema = pa.schema([*kept.schema, *made.schema], metadata=metadata)
    return pa.Table.from_arrays([*kept.columns, *made.columns], schema=schema)


def previewed(event: Mapping[str, Any], buffer: pa.Buffer) -> Preview:
    """The preview of an event."""
    return Preview(event["node"], event["rows"], event["step"], event["steps"], Made(opened(buffer)))
