"""Gives record batches the columns of the first one, in types that every reader and writer takes."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import pyarrow as pa

from anyflow.errors import FilesError, wrong

#: Columns that pandas makes of the index of a frame.
_INDEX = "__index_level_"
#: Views, which not every writer of Parquet takes -> what replaces them.
_VIEWS: Mapping[pa.DataType, pa.DataType] = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}


def plain(schema: pa.Schema) -> pa.Schema:
    """The columns without the index of a pandas frame, and without views at any depth."""
    kept = [_field(field) for field in schema if not field.name.startswith(_INDEX)]
    return pa.schema(kept, metadata=schema.metadata)


def fitted(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The batches as tables with the columns of the first one.

    Raises:
        FilesError: A batch has other columns.
    """
    schema: pa.Schema | None = None
    for number, batch in enumerate(batches):
        schema = schema or plain(batch.schema)
        yield _table(batch, schema, number)


def _table(batch: pa.RecordBatch, schema: pa.Schema, number: int) -> pa.Table:
    table = pa.Table.from_batches([batch])
    if table.schema.equals(schema):
        return table
    names = [name for name in table.column_names if not name.startswith(_INDEX)]
    differences = [
        *(f"it lacks {name!r}" for name in schema.names if name not in names),
        *(f"it has {name!r} besides" for name in names if name not in schema.names),
    ]
    if differences or len(names) != len(schema.names):
        raise _other(number, ", ".join(differences) or "it has a column twice", schema)
    table = table.select(schema.names)
    try:
        return table.cast(schema)
    except (ValueError, NotImplementedError) as error:
        types = [f"{one.name!r} is {one.type}" for one in table.schema if not one.type == schema.field(one.name).type]
        raise _other(number, f"in it {', '.join(types)} ({error})", schema) from error


def _other(number: int, difference: str, schema: pa.Schema) -> FilesError:
    columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
    text = f"record batch {number}, counted from 0, does not fit the first one: {difference}; give every batch {columns}"
    return wrong("data.schema-mismatch", text)


def _field(field: pa.Field) -> pa.Field:
    return field.with_type(_type(field.type))


def _type(kind: pa.DataType) -> pa.DataType:
    """The type without views."""
    for is_one, rebuilt in _NESTED.items():
        if is_one(kind):
            return rebuilt(kind)
    return _VIEWS.get(kind, kind)


#: Nested types: a test for the type, and a function that builds it from parts without views.
_NESTED: Mapping[Callable[[pa.DataType], bool], Callable[[pa.DataType], pa.DataType]] = {
    pa.types.is_list: lambda kind: pa.list_(_field(kind.value_field)),
    pa.types.is_large_list: lambda kind: pa.large_list(_field(kind.value_field)),
    pa.types.is_fixed_size_list: lambda kind: pa.list_(_field(kind.value_field), kind.list_size),
    pa.types.is_struct: lambda kind: pa.struct([_field(kind.field(at)) for at in range(kind.num_fields)]),
    pa.types.is_map: lambda kind: pa.map_(_type(kind.key_type), _field(kind.item_field)),
    pa.types.is_dictionary: lambda kind: pa.dictionary(kind.index_type, _type(kind.value_type), kind.ordered),
}
