"""Opens rows for an engine that stays."""

from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass

import pyarrow as pa

from anyflow import program, stores
from anyflow.errors import wrong
from anyflow.inputs import IN_MEMORY, ArrowStream, Data, HuggingFaceDataset, batches_of, places_of
from anyflow.output import Output
from anyflow.plain import fitted


@dataclass(frozen=True)
class Source:
    """Rows one piece after another, each with the same columns and without views."""

    #: What messages call them.
    name: str
    #: Their number, if it is known without reading them.
    rows: int | None
    tables: Iterator[pa.Table]


def source_of(data: Data) -> Source:
    """Opens the rows.

    Raises:
        TypeError: The data is nothing that `Data` names.
        FilesError: It cannot be read.
    """
    if isinstance(data, Output):
        return Source(data.address, len(data), fitted(data.to_batches()))
    places = places_of(data)
    if places is not None:
        return _files(places)
    # The length of a list of record batches is another one.
    is_table = isinstance(data, ArrowStream | HuggingFaceDataset)
    return Source(IN_MEMORY, len(data) if is_table and isinstance(data, Sized) else None, fitted(batches_of(data)))


def _files(places: Sequence[str]) -> Source:
    """The files that the program finds: it knows patterns, splits, outputs and stores, and compares columns."""
    name = ", ".join(places)
    found = program.call(["data", "inspect", *places])
    opened = stores.dataset([stores.place(file["path"]) for file in found["files"]])
    absent = [column["name"] for column in found["columns"] if column["name"] not in opened.schema.names]
    if absent:
        remedy = "give the folder to anyflow.run, or read it with pyarrow.dataset and give an engine the rows"
        raise wrong("data.columns", f"{name}: an engine does not read columns of folder names: {', '.join(absent)}; {remedy}")
    return Source(name, found["rows"], fitted(opened.scanner().to_batches()))
