"""Rows of every kind give the output of the same Parquet file."""

import os
import subprocess
import sys
import unittest
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyflow
import pyarrow as pa
import pyarrow.parquet as pq
from anyflow.inputs import as_files
from project import NUMBERS, SAME, needs


def rows() -> pa.Table:
    return pq.read_table(NUMBERS / "rows.parquet").replace_schema_metadata()


class Case(unittest.TestCase):
    def check(self, data: Any) -> None:
        made = anyflow.run(NUMBERS / "pipeline.yaml", data, **SAME)
        expected = anyflow.run(NUMBERS / "pipeline.yaml", NUMBERS / "rows.parquet", **SAME)
        self.assertEqual(len(made), 24)
        self.assertEqual(made.to_table().to_pylist(), expected.to_table().to_pylist())


class Inputs(Case):
    def test_paths(self) -> None:
        self.check(str(NUMBERS / "rows.parquet"))
        self.check([NUMBERS / "rows.parquet"])

    def test_a_table(self) -> None:
        self.check(rows())

    def test_batches_one_after_another(self) -> None:
        self.check(batch for batch in rows().to_batches(max_chunksize=5))
        self.check(rows().to_batches(max_chunksize=7))

    def test_a_reader(self) -> None:
        self.check(pa.RecordBatchReader.from_stream(rows()))

    def test_the_output_of_another_run(self) -> None:
        self.check(anyflow.run(NUMBERS / "pipeline.yaml", rows(), **SAME))

    def test_other_things_are_refused(self) -> None:
        for wrong in (7, [7], [b"bytes"]):
            with self.subTest(wrong), self.assertRaises(TypeError):
                anyflow.run(NUMBERS / "pipeline.yaml", wrong)  # pyright: ignore[reportArgumentType]


class Batches(unittest.TestCase):
    """A run of files and an engine refuse the same data, in the same words."""

    def refused(self, data: Callable[[], Any]) -> str:
        messages: set[str] = set()
        with anyflow.Engine(threads=1) as engine:
            for run in (anyflow.run, engine.run):
                with self.assertRaises(anyflow.FilesError) as caught:
                    run(NUMBERS / "pipeline.yaml", data())
                messages.add(str(caught.exception))
        self.assertEqual(len(messages), 1, messages)
        return messages.pop()

    def test_data_without_rows(self) -> None:
        empty = rows().slice(0, 0)
        for data in ([], empty, iter([]), empty.to_batches(), pa.RecordBatchReader.from_stream(empty)):
            with self.subTest(data):
                self.assertIn("there are no rows to run", self.refused(lambda data=data: data))

    def test_batches_with_other_columns(self) -> None:
        first = pa.RecordBatch.from_pydict({"value": [1.0], "label": [1]})
        cases: list[tuple[Any, list[str]]] = [
            ({"value": [1.0], "label": [1], "more": [2]}, ["batch 1", "it has 'more' besides"]),
            ({"label": [1]}, ["batch 1", "it lacks 'value'", "give every batch value (double), label (int64)"]),
            ({"value": ["one"], "label": [1]}, ["batch 1", "'value' is string"]),
        ]
        for second, said in cases:
            with self.subTest(second):
                batches = [first, pa.RecordBatch.from_pydict(second)]
                message = self.refused(lambda batches=batches: iter(batches))
                for part in said:
                    self.assertIn(part, message)

    def test_the_order_of_columns_may_differ(self) -> None:
        batches = [pa.RecordBatch.from_pydict(one) for one in ({"value": [1.0], "a": [1]}, {"a": [2], "value": [2.0]})]
        made = anyflow.run(NUMBERS / "pipeline.yaml", batches, **SAME).to_table()
        self.assertEqual(made["a"].to_pylist(), [1, 2])


@needs("pandas")
class Pandas(Case):
    def test_a_frame(self) -> None:
        self.check(rows().to_pandas())

    def test_the_index_is_no_column(self) -> None:
        frame = rows().to_pandas()
        frame.index = range(100, 124)
        self.check(frame.sort_values("value"))


@needs("polars")
class Polars(Case):
    def test_a_frame(self) -> None:
        import polars

        self.check(polars.DataFrame(rows()))

    def test_text_in_views(self) -> None:
        import polars

        frame = polars.DataFrame({"value": [1.0, 2.0], "word": ["one", "two"], "code": [b"1", None]})
        made = anyflow.run(NUMBERS / "pipeline.yaml", frame, **SAME).to_table()
        self.assertEqual(made["word"].to_pylist(), ["one", "two"])
        self.assertEqual(made["code"].to_pylist(), [b"1", None])

    def test_text_within_other_types(self) -> None:
        import polars

        columns: dict[str, Any] = {
            "texts": [["a", "b"], None],
            "deep": [[["c"], []], [[]]],
            "pair": polars.Series([["d", "e"], ["f", "g"]], dtype=polars.Array(polars.String, 2)),
            "struct": [{"text": "h", "code": b"i"}, {"text": None, "code": b""}],
            "structs": [[{"text": "j"}], []],
            "kind": polars.Series(["k", "l"], dtype=polars.Categorical),
            "kinds": polars.Series([["m"], ["n", "m"]], dtype=polars.List(polars.Categorical)),
            "level": polars.Series(["o", "p"], dtype=polars.Enum(["o", "p"])),
        }
        frame = polars.DataFrame({"value": [1.0, 2.0], **columns})
        expected = pa.table(frame).to_pydict()
        with anyflow.Engine(threads=1) as engine:
            for run in (anyflow.run, engine.run):
                made = run(NUMBERS / "pipeline.yaml", frame).to_table()
                for name in columns:
                    self.assertEqual(made[name].to_pylist(), expected[name], name)

    def test_files_in_a_frame(self) -> None:
        made = anyflow.run(anyflow.PIPELINES / "mld/joint.yaml", rows=2, threads=1, joint__sampler__steps=2)
        speak = anyflow.PIPELINES / "mld/image-to-audio.yaml"
        with anyflow.Engine(threads=1) as engine:
            for run in (anyflow.run, engine.run):
                spoken = run(speak, made.to_polars(), joint__sampler__steps=2)
                direct = run(speak, made, joint__sampler__steps=2)
                self.assertEqual(spoken.to_table().to_pylist(), direct.to_table().to_pylist())


@needs("datasets")
class HuggingFace(Case):
    def test_a_dataset_in_its_order(self) -> None:
        import datasets

        backwards = datasets.Dataset.from_dict({name: rows()[name].to_pylist()[::-1] for name in rows().column_names})
        self.check(backwards.select(range(23, -1, -1)))

    def test_files_are_embedded(self) -> None:
        import datasets
        import PIL.Image

        with TemporaryDirectory() as folder:
            file = Path(folder) / "dot.png"
            with file.open("wb") as out:
                PIL.Image.new("L", (2, 2)).save(out, format="png")
            features = datasets.Features({"image": datasets.Image()})
            images = datasets.Dataset.from_dict({"image": [str(file)]}, features=features)
            with as_files(images) as [parquet]:
                cell = pq.read_table(parquet)["image"].to_pylist()[0]
            self.assertEqual(cell, {"bytes": file.read_bytes(), "path": "dot.png"})


class Memory(unittest.TestCase):
    #: Writes 256 batches of 1 MB; prints by how many MB the peak of memory grew.
    SCRIPT = """
import os, resource
import pyarrow as pa
from anyflow.inputs import as_files

def batches():
    for _ in range(256):
        yield pa.RecordBatch.from_pydict({"cell": [os.urandom(1 << 20)]})

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

with as_files(pa.RecordBatch.from_pydict({"cell": [os.urandom(40 << 20)]}) for _ in range(2)):
    before = peak()
with as_files(batches()) as [file]:
    assert os.path.getsize(file) > 256 << 20
print(peak() - before)
"""

    def test_batches_are_not_collected(self) -> None:
        done = subprocess.run([sys.executable, "-c", self.SCRIPT], env=os.environ, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertLess(int(done.stdout), 64)


if __name__ == "__main__":
    unittest.main()
