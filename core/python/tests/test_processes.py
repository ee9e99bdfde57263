"""The interpreter ends when its script does, and a process that is forked leaves its parent alone."""

import os
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path
from tempfile import TemporaryDirectory

import anyflow
from project import NUMBERS, processes_with

JOINT = anyflow.PIPELINES / "mld/joint.yaml"

#: Begins a run that takes far longer than the test waits.
BEGIN = """
import sys, threading, anyflow
engine = anyflow.Engine(threads=1)
begun = threading.Event()
run = engine.submit(sys.argv[1], rows=2000, joint__sampler__steps=1000, progress=lambda _: begun.set())
assert begun.wait(60)
"""
#: How a script can end without a word to the engine.
ENDS = {
    "the last line": "",
    "an exception": "raise ValueError('over')",
    "sys.exit": "sys.exit(3)",
    "an exception while it waits": "import signal; signal.alarm(1); signal.signal(14, lambda *_: 1 / 0); run.result()",
}

#: Forks in every way, ends the children in every way, and goes on in the parent.
FORK = """
import gc, multiprocessing, os, sys, threading, anyflow
import pyarrow as pa

pipeline, joint = sys.argv[1:]
data = pa.table({"value": [1.0, 2.0]})

def children():
    made.to_table()
    assert len(engine.run(pipeline, data)) == 2, "a child starts an engine of its own"
    try:
        run.result(30)
    except anyflow.RunError as error:
        assert error.code == "forked", error
    else:
        raise AssertionError("the run is the parent's")
    run.cancel()

def forked(end):
    child = os.fork()
    if child == 0:
        end()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

def collected():
    global made, engine, run
    made = engine = run = None
    gc.collect()
    os._exit(0)

def closed():
    engine.close()
    sys.exit(0)

def batches():
    yield from data.to_batches()
    forked(lambda: sys.exit(0))
    yield from data.to_batches()

made = anyflow.run(pipeline, data, threads=1)
with anyflow.Engine(threads=1) as engine:
    assert len(engine.run(pipeline, data)) == 2
    begun = threading.Event()
    run = engine.submit(joint, rows=2000, joint__sampler__steps=1000, progress=lambda _: begun.set())
    assert begun.wait(60)
    child = multiprocessing.get_context("fork").Process(target=children)
    child.start()
    child.join()
    assert child.exitcode == 0, child.exitcode
    for end in (lambda: sys.exit(0), collected, closed):
        forked(end)
    assert not run.done()
    run.cancel()
    assert len(engine.run(pipeline, data)) == 2
assert len(made.to_table()) == 2
assert len(anyflow.run(pipeline, batches(), threads=1)) == 4
print("whole")
"""

#: A child that outlives its parent.
OUTLIVE = """
import os, sys, time, anyflow
engine = anyflow.Engine(threads=1)
engine.load(sys.argv[1])
if os.fork() == 0:
    os.close(1)
    time.sleep(30)
    os._exit(0)
print("ready", flush=True)
sys.stdin.read()
"""


class Ends(unittest.TestCase):
    def test_a_script_ends_with_its_engine(self) -> None:
        for name, end in ENDS.items():
            with self.subTest(name), TemporaryDirectory() as folder:
                # The socket's folder marks the engine of this process.
                variables = {**os.environ, "TMPDIR": folder}
                command = [sys.executable, "-c", BEGIN + end, str(JOINT)]
                started = time.monotonic()
                done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=90)
                print(f"{name}: {time.monotonic() - started:.1f} s", file=sys.stderr)
                self.assertEqual(done.returncode, {"": 0, "sys.exit(3)": 3}.get(end, 1), done.stderr)
                self.assertNotIn("Fatal", done.stderr)
                self.assertNotIn("terminate", done.stderr)
                self.assertEqual(processes_with(folder), [])
                self.assertEqual(list(Path(folder).glob("anyflow-*")), [])


class Forks(unittest.TestCase):
    def test_a_child_ends_nothing_of_its_parent(self) -> None:
        command = [sys.executable, "-c", FORK, str(NUMBERS / "pipeline.yaml"), str(JOINT)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
        self.assertEqual((done.returncode, done.stdout), (0, "whole\n"), done.stderr)

    def test_a_child_does_not_keep_the_engine_of_a_parent_that_is_killed(self) -> None:
        with TemporaryDirectory() as folder:
            command = [sys.executable, "-c", OUTLIVE, str(NUMBERS / "pipeline.yaml")]
            variables = {**os.environ, "TMPDIR": folder}
            process = subprocess.Popen(
                command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
            )
            assert process.stdout is not None
            self.assertEqual(process.stdout.readline(), "ready\n")
            process.kill()
            process.communicate(timeout=20)
            deadline = time.monotonic() + 20
            while processes_with(folder) and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertEqual(processes_with(folder), [])
            # The child is all that is left of the session.
            os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    unittest.main()
