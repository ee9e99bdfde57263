"""Rows that open as any kind of table."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import pyarrow as pa
import pyarrow.dataset as ds

from anyflow.arguments import column_names
from anyflow.media import Audio, Image, Media, Video
from anyflow.optional import package

if TYPE_CHECKING:
    import datasets
    import pandas
    import polars

#: The features of `datasets` whose cells are files.
_MEDIA: Mapping[str, type[Media]] = {"Image": Image, "Audio": Audio, "Video": Video}


class Rows(ABC):
    """Rows that a pipeline made.

    They have the Arrow PyCapsule interface, so ``pyarrow.table(rows)`` and ``polars.DataFrame(rows)`` work as well.
    """

    @abstractmethod
    def to_dataset(self) -> ds.Dataset:
        """The rows as a dataset of pyarrow."""

    @property
    @abstractmethod
    def failures(self) -> pa.Table:
        """The rows that failed: key, row number, node, code and reason of each."""

    @property
    def schema(self) -> pa.Schema:
        """Columns and types; its metadata holds the features of `datasets`."""
        return self.to_dataset().schema

    @property
    def media(self) -> dict[str, type[Media]]:
        """The columns whose cells are files, with their kind."""
        features = features_of(self.schema)
        # The feature of a list is a list.
        kinds = {name: str(feature["_type"]) for name, feature in features.items() if "_type" in feature}
        return {name: _MEDIA[kind] for name, kind in kinds.items() if kind in _MEDIA}

    def to_batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows one batch after another, in bounded memory."""
        # A generator keeps this object, and so a temporary folder.
        yield from self.to_dataset().scanner(columns=column_names(columns), batch_size=1024, batch_readahead=1).to_batches()

    def to_table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows as a table of pyarrow."""
        return self.to_dataset().to_table(columns=column_names(columns))

    def to_pandas(self, columns: Sequence[str] | None = None) -> "pandas.DataFrame":
        """The rows as a frame of pandas; a file is a dictionary of ``bytes`` and ``path``."""
        package("pandas", "to_pandas()")
        return self.to_table(columns).to_pandas()

    def to_polars(self, columns: Sequence[str] | None = None) -> "polars.DataFrame":
        """The rows as a frame of polars; a file is a struct of ``bytes`` and ``path``."""
        polars = package("polars", "to_polars()")
        return polars.DataFrame(self.to_table(columns))

    @abstractmethod
    def to_datasets(self) -> "datasets.Dataset":
        """The rows as a dataset of Hugging Face, with images, sounds and classes as its features."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        reader = pa.RecordBatchReader.from_batches(self.schema, self.to_batches())
        return reader.__arrow_c_stream__(requested_schema)

    @abstractmethod
    def __len__(self) -> int:
        """The number of rows."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows as dictionaries; a file is an `Image`, `Audio` or `Video`."""
        media = self.media
        for batch in self.to_batches():
            for row in batch.to_pylist():
                yield _opened(row, media)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        """One row as a dictionary, or a list of them for a slice; a file is an `Image`, `Audio` or `Video`."""
        chosen = range(len(self))[index]
        if isinstance(chosen, range):
            return self._taken(chosen)
        return self._taken([chosen])[0]

    def _taken(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        media = self.media
        taken = self.to_dataset().take(pa.array(numbers, pa.int64()))
        return [_opened(row, media) for row in taken.to_pylist()]


def features_of(schema: pa.Schema) -> dict[str, Any]:
    """The features of `datasets` by column, as the metadata of a schema states them."""
    stated = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    return stated.get("info", {}).get("features", {})


def _opened(row: dict[str, Any], media: Mapping[str, type[Media]]) -> dict[str, Any]:
    for name, kind in media.items():
        if row[name] is not None:
            row[name] = kind(row[name]["bytes"], row[name]["path"])
    return row
