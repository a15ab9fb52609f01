"""Servers in processes of their own, and unmodified clients of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

__all__ = ["ARN", "SECRET", "client", "start"]

ARN = "arn:aws:rds:us-east-1:123456789012:cluster:"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:any"


def start(store: Path, port: int = 0) -> tuple[subprocess.Popen[str], str]:
    """A server in a process of its own, and its URL."""
    command = [sys.executable, "-m", "clusterdb", "serve", "--port", str(port), "--json", "--store", str(store)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, str(json.loads(process.stdout.readline())["url"])


def client(service: str, url: str) -> Any:
    """A boto3 client that does not retry."""
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=30, read_timeout=60)
    return boto3.client(
        service, "us-east-1", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b", config=config
    )
