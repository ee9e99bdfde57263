"""An output opens as every kind of table, and files of its cells as their types."""

import functools
import gc
import unittest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyflow
import pyarrow as pa
from project import NUMBERS, SAME, needs

GENERATE = anyflow.PIPELINES / "mld/joint.yaml"
SPEAK = anyflow.PIPELINES / "mld/image-to-audio.yaml"
FAST: dict[str, Any] = {"threads": 1, "joint__sampler__steps": 2}


@functools.cache
def digits() -> anyflow.Output:
    """Three digits as images, sounds, words and labels."""
    return anyflow.run(GENERATE, rows=3, **FAST)


def images(files: list[bytes]) -> pa.Table:
    """A table of images."""
    return pa.table({"image": files})


class Outputs(unittest.TestCase):
    def test_cells_that_are_files_have_their_types(self) -> None:
        made = digits()
        self.assertEqual(made.media, {"image": anyflow.Image, "audio": anyflow.Audio})
        row = made[0]
        self.assertEqual((row["image"].mime_type, row["audio"].mime_type), ("image/png", "audio/wav"))
        self.assertIn("data:image/png;base64,", row["image"]._repr_html_())
        self.assertIn("<audio", row["audio"]._repr_html_())
        with TemporaryDirectory() as folder:
            row["image"].save(Path(folder) / "one.png")
            self.assertEqual((Path(folder) / "one.png").read_bytes(), row["image"].data)

    def test_rows_are_in_order(self) -> None:
        made = digits()
        self.assertEqual(len(made), 3)
        self.assertEqual([row["text"] for row in made], made.to_table()["text"].to_pylist())
        self.assertEqual(made[-1], list(made)[2])
        self.assertRaises(IndexError, lambda: made[3])

    def test_a_slice_is_a_list_of_rows(self) -> None:
        made, rows = digits(), list(digits())
        for chosen in (slice(2), slice(-2, None), slice(None, None, -1), slice(1, 1), slice(9)):
            self.assertEqual(made[chosen], rows[chosen])
        self.assertEqual(anyflow.Made(made.to_table())[1:], rows[1:])

    def test_one_column_may_be_a_text(self) -> None:
        self.assertEqual(digits().to_table("text").column_names, ["text"])
        self.assertEqual(anyflow.Made(digits().to_table()).to_table("text").column_names, ["text"])
        rows = NUMBERS / "rows.parquet"
        with anyflow.Engine(threads=1) as engine:
            for run in (anyflow.run, engine.run):
                made = run(NUMBERS / "pipeline.yaml", rows, keep="label").to_table()
                self.assertEqual(made.column_names, ["label", "value", "made"])

    def test_a_table_from_the_arrow_interface(self) -> None:
        made = digits()
        self.assertTrue(pa.table(made).equals(made.to_table()))
        self.assertEqual(made.to_table(["text"]).column_names, ["text"])
        self.assertEqual(sum(batch.num_rows for batch in made.to_batches()), 3)

    def test_failed_rows_are_a_table(self) -> None:
        with TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            made = anyflow.run(SPEAK, images([digits()[0]["image"].data, b"no image"]), out, **FAST)
            self.assertEqual((len(made), made.result["failed"]), (1, 1))
            self.assertEqual(made.failures["row"].to_pylist(), [1])
            self.assertTrue(anyflow.Output(out).to_table().equals(made.to_table()))

    def test_a_run_whose_rows_all_failed_is_an_error_and_an_output_without_rows(self) -> None:
        with TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            with self.assertRaises(anyflow.AnyflowError):
                anyflow.run(SPEAK, images([b"no image"]), out, **FAST)
            made = anyflow.Output(out)
            self.assertEqual((len(made), list(made), made.to_table().num_rows), (0, [], 0))
            self.assertEqual(made.failures.num_rows, 1)

    def test_a_folder_without_a_finished_run_is_refused(self) -> None:
        with TemporaryDirectory() as folder, self.assertRaises(anyflow.FilesError) as caught:
            anyflow.Output(folder)
        self.assertEqual(caught.exception.code, "unfinished")

    def test_a_temporary_folder_goes_with_the_output(self) -> None:
        made = anyflow.run(NUMBERS / "pipeline.yaml", NUMBERS / "rows.parquet", **SAME)
        folder = made.path
        self.assertTrue(folder.is_dir())
        del made
        gc.collect()
        self.assertFalse(folder.exists())

    def test_overrides_change_the_run(self) -> None:
        def made(seed: int) -> list[anyflow.Image]:
            return [row["image"] for row in anyflow.run(GENERATE, rows=2, joint__seed=seed, **FAST)]

        self.assertEqual(made(1), made(1))
        self.assertNotEqual(made(1), made(2))


@needs("pandas")
class Pandas(unittest.TestCase):
    def test_a_frame(self) -> None:
        frame = digits().to_pandas()
        self.assertEqual(frame.shape, (3, 4))
        self.assertEqual(frame["image"][0]["bytes"][1:4], b"PNG")


@needs("polars")
class Polars(unittest.TestCase):
    def test_a_frame(self) -> None:
        self.assertEqual(digits().to_polars().height, 3)


@needs("PIL")
class Pillow(unittest.TestCase):
    def test_an_image(self) -> None:
        self.assertEqual(digits()[0]["image"].to_pil().size, (28, 28))


@needs("datasets")
class HuggingFace(unittest.TestCase):
    def test_a_dataset_with_images(self) -> None:
        opened = digits().to_datasets()
        self.assertEqual(opened.num_rows, 3)
        self.assertEqual(opened.select_columns(["image"])[0]["image"].size, (28, 28))
        self.assertEqual(type(opened.features["audio"]).__name__, "Audio")


if __name__ == "__main__":
    unittest.main()
