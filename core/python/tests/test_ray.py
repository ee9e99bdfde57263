"""A local Ray cluster with two workers maps rows as the command line does."""

import os
import unittest
from typing import Any

import anyflow
import anyflow.ray
import pyarrow as pa
from project import needs


#: Draws and speaks a digit; the noise of a row makes each another.
PIPELINE = anyflow.PIPELINES / "mld/label-to-image-audio.yaml"

#: Options that make the same bytes, if the batches are the shards of the run.
OPTIONS: dict[str, Any] = {"threads": 1, "batch_rows": 4, "joint__sampler__steps": 2}


def rows(count: int) -> pa.Table:
    return pa.table({"id": list(range(count)), "label": [n % 2 for n in range(count)]})


class Batches(unittest.TestCase):
    def test_batches_do_not_change_the_rows(self) -> None:
        mapped = anyflow.ray.Anyflow(PIPELINE, **OPTIONS)
        parts = [mapped(rows(16).slice(at, 4)) for at in range(0, 16, 4)]
        whole = anyflow.run(PIPELINE, rows(16), shard_rows=4, **OPTIONS)
        self.assertTrue([row for part in parts for row in part.to_pylist()] == whole.to_table().to_pylist())
        images = {row["image"].data for row in whole}
        self.assertEqual(len(images), 16, "the noise of each row is its own")

    def test_rows_without_keys_are_refused(self) -> None:
        with self.assertRaises(anyflow.FilesError) as caught:
            anyflow.ray.Anyflow(PIPELINE)(pa.table({"value": [1.0]}))
        self.assertEqual(caught.exception.code, "key")

    def test_failed_rows_are_counted(self) -> None:
        mapped = anyflow.ray.Anyflow(PIPELINE, **OPTIONS)
        with self.assertWarnsRegex(UserWarning, "1 of 2 rows failed"):
            made = mapped(pa.table({"id": [0, 1], "label": [7, 10]}))
        self.assertEqual(made["id"].to_pylist(), [0])


@needs("ray")
class Cluster(unittest.TestCase):
    def test_actors_make_the_rows_of_the_command_line(self) -> None:
        import ray
        import ray.data

        variables = {name: value for name, value in os.environ.items() if name.startswith(("ANYFLOW_", "PYTHONPATH"))}
        ray.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": variables})
        try:
            mapped = ray.data.from_arrow(rows(32)).map_batches(
                anyflow.ray.Anyflow,
                fn_constructor_args=[str(PIPELINE)],
                fn_constructor_kwargs=OPTIONS,
                batch_format="pyarrow",
                batch_size=8,
                concurrency=2,
            )
            made = pa.table(mapped.to_pandas()).sort_by("id")
        finally:
            ray.shutdown()
        whole = anyflow.run(PIPELINE, rows(32), shard_rows=8, **OPTIONS).to_table()
        self.assertTrue(made.select(whole.column_names).to_pylist() == whole.to_pylist())


if __name__ == "__main__":
    unittest.main()
