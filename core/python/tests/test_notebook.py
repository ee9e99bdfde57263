"""The notebook runs from top to bottom."""

import unittest
from pathlib import Path
from typing import Any

from project import needs

NOTEBOOK = Path(__file__).parents[1] / "examples/first-rows.ipynb"


@needs("nbclient")
class Notebook(unittest.TestCase):
    def test_every_cell_runs(self) -> None:
        import nbclient
        import nbformat

        notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
        self.assertTrue(all(not cell.get("outputs") for cell in notebook.cells), "it is stored without outputs")
        nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
        shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        kinds = {kind for output in shown for kind in output.get("data", {})}
        self.assertIn("image/svg+xml", kinds, "the plan is drawn")
        self.assertTrue(any("data:image/png" in str(output) for output in shown), "an image is shown")
        self.assertTrue(any("<audio" in str(output) for output in shown), "a sound is shown")


if __name__ == "__main__":
    unittest.main()
