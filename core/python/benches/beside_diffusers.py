"""Anyflow beside diffusers on a tiny Stable Diffusion folder: lines of user code, time to the first image, rows per second.

    ANYFLOW_PROGRAM=target/debug/anyflow PYTHONPATH=core/python:tests/goldens VENV/bin/python core/python/benches/beside_diffusers.py

VENV has torch 2.11, diffusers, transformers, blake3, Pillow and pyarrow. The folder is that of `tests/goldens/published.py`: all
parts of Stable Diffusion 1.5, with few channels. 40 % of the captions repeat others. Both sides use one thread, the sampler of
the folder and the same number of steps. Each side has a process of its own: the time to the first image begins with it, and the
same process then makes the images of all captions. `LOAD` and `RUN` are the whole user code; harness and folder are not counted.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PIPELINE = """anyflow: 1
name: text-to-image
model: model.yaml
inputs: {caption: {modality: text}}
nodes:
  told: {embed: clip/text, from: caption}
  made: {diffuse: [image], condition: {told: 1.0}, guidance: {kind: cfg, scale: 7.5}}
  result: {decode: vae/kl, from: made.image}
outputs: {image: result}
"""
OURS_LOAD = """
import anyflow
import pyarrow
anyflow.adopt("sd15", "model.yaml")
engine = anyflow.Engine(threads=1)
pipeline = engine.load("pipeline.yaml", made__sampler__steps=steps)
"""
OURS_RUN = """
made = engine.run(pipeline, pyarrow.table({"caption": captions}))
images = [row["image"].to_pil() for row in made]
"""
THEIRS_LOAD = """
import torch
from diffusers import StableDiffusionPipeline
torch.set_num_threads(1)
pipe = StableDiffusionPipeline.from_pretrained("sd15", safety_checker=None)
"""
THEIRS_RUN = """
images = []
for first in range(0, len(captions), batch):
    images += pipe(captions[first : first + batch], num_inference_steps=steps).images
"""
#: What a side runs; the clock is that of the machine, so that it begins with the process.
HARNESS = """
import json, sys, time, warnings
load, run, given, began = json.loads(sys.stdin.read())
names = dict(given, captions=given["captions"][:1])
exec(load, names)
if "pipe" in names: names["pipe"].set_progress_bar_config(disable=True)
exec(run, names)
first = time.time() - began
names["captions"] = given["captions"]
exec(run, names)
started = time.perf_counter()
exec(run, names)
seconds = time.perf_counter() - started
assert len(names["images"]) == len(given["captions"]) and names["images"][-1].size == (8, 8)
if "engine" in names: names["engine"].close()
print(json.dumps({"first": first, "rows_per_second": len(given["captions"]) / seconds}))
"""


def captions(count: int) -> list[str]:
    """Captions of which 40 % repeat others."""
    others = [f"{('red', 'blue', 'old', 'tiny')[n % 4]} bird {n}" for n in range(count * 6 // 10)]
    return [others[n % len(others)] for n in range(count)]


def side(folder: Path, load: str, run: str, given: dict[str, Any]) -> dict[str, float]:
    """The figures of one process."""
    # A closed output of the user's files would be found again.
    (folder / "model.yaml").unlink(missing_ok=True)
    task = json.dumps([load, run, given, time.time()])
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", HARNESS], cwd=folder, input=task, env=variables, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def lines(*texts: str) -> int:
    """The number of lines of code."""
    return sum(bool(line.strip()) for text in texts for line in text.splitlines())


def main() -> None:
    """Prints the figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--captions", type=int, default=256)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 64, 256])
    given = parser.parse_args()
    task = {"captions": captions(given.captions), "steps": given.steps}
    with TemporaryDirectory() as name:
        folder = Path(name)
        save = "import published, sys; published.sd15()[0].save_pretrained(sys.argv[1])"
        subprocess.run([sys.executable, "-c", save, str(folder / "sd15")], check=True, stdout=subprocess.DEVNULL)
        (folder / "pipeline.yaml").write_text(PIPELINE)
        ours: list[dict[str, float]] = []
        theirs: dict[int, list[dict[str, float]]] = {batch: [] for batch in given.batches}
        for _ in range(given.repeat):
            ours.append(side(folder, OURS_LOAD, OURS_RUN, task))
            for batch, found in theirs.items():
                found.append(side(folder, THEIRS_LOAD, THEIRS_RUN, {**task, "batch": batch}))

    def median(found: list[dict[str, float]], key: str) -> float:
        return round(statistics.median(one[key] for one in found), 3)

    best = max(theirs.values(), key=lambda found: median(found, "rows_per_second"))
    figures = {
        "captions": given.captions,
        "different": len(set(task["captions"])),
        "steps": given.steps,
        "lines": {"anyflow": {"python": lines(OURS_LOAD, OURS_RUN), "yaml": lines(PIPELINE)}, "diffusers": lines(THEIRS_LOAD, THEIRS_RUN)},
        "first_image_seconds": {"anyflow": median(ours, "first"), "diffusers": median(best, "first")},
        "rows_per_second": {
            "anyflow": median(ours, "rows_per_second"),
            **{f"diffusers, batches of {batch}": median(found, "rows_per_second") for batch, found in theirs.items()},
        },
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
