"""Paths and addresses: what a name means is the same everywhere."""

import os
import unittest
from pathlib import Path
from tempfile import TemporaryDirectory

import anyflow
import pyarrow as pa
import pyarrow.parquet as pq
from anyflow.places import absolute, place_of
from project import NUMBERS, SAME, copied, needs
from store import put, store

PIPELINE = NUMBERS / "pipeline.yaml"


class Names(unittest.TestCase):
    def test_addresses_stay(self) -> None:
        for name in ("s3://bucket/rows", "az://box/a b", "https://host/rows.parquet", "rows.parquet#test", "r*.parquet"):
            self.assertEqual(place_of(name), name)
        self.assertEqual(absolute("s3://bucket/rows"), "s3://bucket/rows")
        self.assertEqual(absolute("rows"), str(Path.cwd() / "rows"))

    def test_the_address_of_a_file_is_its_path(self) -> None:
        for address in ("file:///a/b%20c", "file://localhost/a/b c", "file:/a/b c"):
            self.assertEqual(place_of(address), "/a/b c")
        with self.assertRaises(anyflow.FilesError) as caught:
            place_of("file://elsewhere/rows")
        self.assertIn("elsewhere", str(caught.exception))

    def test_an_address_that_pathlib_has_changed_is_refused(self) -> None:
        for path in (Path("s3://bucket/rows"), Path("https://host/rows.parquet")):
            with self.subTest(path), self.assertRaises(anyflow.FilesError) as caught:
                anyflow.run(PIPELINE, path)
            self.assertIn("as text", str(caught.exception))


class Files(unittest.TestCase):
    """Every name of the same rows gives the same result, in a run of files and in an engine."""

    def test_names_mean_the_same_everywhere(self) -> None:
        with TemporaryDirectory() as folder, anyflow.Engine(threads=1) as engine:
            place = Path(folder)
            table = pq.read_table(NUMBERS / "rows.parquet")
            pq.write_table(table.slice(0, 10), place / "rows-1.parquet")
            pq.write_table(table.slice(10), place / "rows-2.parquet")
            out = place / "out"
            expected = anyflow.run(PIPELINE, NUMBERS / "rows.parquet", out, **SAME).to_table()["value"].to_pylist()
            for data in (f"{place}/rows-*.par*", f"file://{place}/rows-?.parquet", out, f"file://{out}"):
                with self.subTest(data):
                    for made in (anyflow.run(PIPELINE, data, **SAME), engine.run(PIPELINE, data)):
                        self.assertEqual(made.to_table()["value"].to_pylist(), expected)

    def test_outputs_and_pipelines_may_be_addresses_of_files(self) -> None:
        with copied() as project, anyflow.Engine(threads=1) as engine:
            file, out = f"file://{project}/pipeline.yaml", f"file://{project}/out"
            made = anyflow.run(file, project / "rows.parquet", out, **SAME)
            self.assertEqual((made.path, len(anyflow.Output(out))), (project / "out", 24))
            self.assertEqual(len(engine.run(file, made)), 24)
            self.assertEqual(anyflow.check(file, input=f"file://{project}/rows.parquet").kind, "pipeline")
            trained = anyflow.train(f"file://{project}/train.yaml", f"file://{project}/made", threads=1, diffusion__steps=4)
            self.assertTrue((trained.path / "model.safetensors").is_file())

    def test_files_with_other_columns_are_refused_everywhere(self) -> None:
        with TemporaryDirectory() as folder, anyflow.Engine(threads=1) as engine:
            pq.write_table(pa.table({"value": [1.0]}), Path(folder) / "a.parquet")
            pq.write_table(pa.table({"value": [1.0], "more": [1]}), Path(folder) / "b.parquet")
            for run in (anyflow.run, engine.run):
                with self.assertRaises(anyflow.FilesError) as caught:
                    run(PIPELINE, folder)
                self.assertEqual(caught.exception.code, "data.schema-mismatch")

    def test_an_engine_refuses_columns_of_folder_names(self) -> None:
        with TemporaryDirectory() as folder, anyflow.Engine(threads=1) as engine:
            (Path(folder) / "label=1").mkdir()
            pq.write_table(pa.table({"value": [1.0]}), Path(folder) / "label=1/rows.parquet")
            with self.assertRaises(anyflow.FilesError) as caught:
                engine.run(PIPELINE, folder)
            self.assertIn("label", str(caught.exception))
            self.assertEqual(anyflow.run(PIPELINE, folder).to_table()["label"].to_pylist(), [1])

    def test_stores_that_cannot_be_read_are_named(self) -> None:
        with self.assertRaises(anyflow.FilesError) as caught:
            anyflow.Output("ftp://host/out")
        self.assertEqual(caught.exception.code, "data.address")
        self.assertIn("s3", str(caught.exception))


@needs("moto")
class Stores(unittest.TestCase):
    def test_rows_and_results_in_a_store(self) -> None:
        rows = pq.read_table(NUMBERS / "rows.parquet")
        value = [float("nan") if row == 4 else float(row) for row in range(24)]
        rows = pa.table({"value": value, "label": rows["label"]})
        with store() as bucket, copied() as project, anyflow.Engine(threads=1) as engine:
            self.addCleanup(os.chdir, Path.cwd())
            os.chdir(project)
            before = sorted(project.iterdir())
            put(rows, f"{bucket}/rows/a.parquet")
            made = anyflow.run(PIPELINE, f"{bucket}/rows", f"{bucket}/out", shard_rows=8, **SAME)
            self.assertEqual(sorted(project.iterdir()), before, "nothing is written here")
            local = anyflow.run(PIPELINE, rows, shard_rows=8, **SAME)
            for opened in (made, anyflow.Output(f"{bucket}/out"), anyflow.Output(f"{bucket}/out/")):
                self.assertEqual((len(opened), opened[3]), (23, local[3]))
                self.assertTrue(opened.to_table().equals(local.to_table()))
                self.assertEqual(opened.failures.to_pylist(), local.failures.to_pylist())
            self.assertEqual((made.address, len(made.files)), (f"{bucket}/out", 3))
            self.assertTrue(made.files[0].startswith(f"{bucket}/out/data/"), made.files)
            again = anyflow.run(PIPELINE, f"{bucket}/rows", f"{bucket}/out", shard_rows=8, **SAME)
            self.assertEqual(len(again), 23)
            for data in (f"{bucket}/rows", f"{bucket}/rows/*.parquet"):
                self.assertEqual(engine.run(PIPELINE, data).to_table()["value"].to_pylist(), made.to_table()["value"].to_pylist())
            for result in (engine.run(PIPELINE, made), anyflow.run(PIPELINE, made, **SAME)):
                self.assertEqual(len(result), 23)

    def test_failures_in_a_store_are_told(self) -> None:
        with store() as bucket:
            with self.assertRaises(anyflow.RunError) as caught:
                anyflow.run(PIPELINE, pa.table({"value": [float("nan")]}), f"{bucket}/bad", **SAME)
            self.assertEqual(caught.exception.failed, 1)
            self.assertIn(f"{bucket}/bad", str(caught.exception))
            with self.assertRaises(anyflow.FilesError) as refused:
                anyflow.Output(f"{bucket}/none")
            self.assertEqual(refused.exception.code, "unfinished")
            made = anyflow.Output(f"{bucket}/bad")
            self.assertRaises(anyflow.FilesError, lambda: made.path)

    def test_a_store_that_does_not_answer_is_an_error_with_a_remedy(self) -> None:
        with store() as bucket:
            address = f"{bucket}/out"
            with self.assertRaises(anyflow.RunError) as caught:
                os.environ["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"
                anyflow.Output(address)
        self.assertIn("credentials in the environment", str(caught.exception))


@needs("moto")
@needs("datasets")
class HuggingFace(unittest.TestCase):
    def test_a_dataset_of_hugging_face(self) -> None:
        with store() as bucket:
            made = anyflow.run(PIPELINE, NUMBERS / "rows.parquet", f"{bucket}/out", **SAME)
            self.assertEqual(made.to_datasets().num_rows, 24)


if __name__ == "__main__":
    unittest.main()
