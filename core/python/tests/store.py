"""A real S3-compatible store on this machine, as the Rust tests start it."""

import contextlib
import os
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq
from project import variable

SERVER = Path(__file__).parents[3] / "tests/src/s3.py"
#: moto checks no signature, but wants to know an account.
ACCOUNT = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


@contextlib.contextmanager
def store() -> Generator[str, None, None]:
    """A store with an empty bucket, which the variables of the environment name. The address of the bucket."""
    server = subprocess.Popen(
        [sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert server.stdin is not None and server.stdout is not None
    try:
        endpoint = f"http://127.0.0.1:{int(server.stdout.readline())}"
        headers = {"Authorization": ACCOUNT}
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/bucket", method="PUT", headers=headers)).close()
        with contextlib.ExitStack() as variables:
            for name, value in {
                "AWS_ENDPOINT_URL": endpoint,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_REGION": "us-east-1",
            }.items():
                variables.enter_context(variable(name, value))
            yield "s3://bucket"
    finally:
        server.stdin.close()
        server.wait()
        server.stdout.close()


def put(table: pa.Table, address: str) -> None:
    """Writes a Parquet file into the store, without the package."""
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    pq.write_table(table, address.removeprefix("s3://"), filesystem=fs.S3FileSystem(endpoint_override=endpoint))
