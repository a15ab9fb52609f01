"""Object storage on the command line."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from clusterdb.cli.stopping import Pause
from tests.support.command_line import Shell


def test_push_list_clone_and_care(shell: Shell, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/repository"
    would = shell("push", "prod", url, "--dry-run")
    cost = r"12\.0 KiB, 6 PUT, .* sent, .* received\n"
    assert re.fullmatch(rf"would push version 3 of prod to {url}/prod: {cost}", would)
    note = shell("push", "prod", url)
    assert re.fullmatch(rf"pushed version 3 of prod to {url}/prod: {cost}", note)
    assert shell("push", "prod", url) == f"{url}/prod has version 3 of prod already\n"
    pushed = json.loads(shell("push", "prod", url, "--as", "second", "--json"))
    assert (pushed["name"], pushed["slot_count"]) == ("second", 0)
    assert [line.split()[0] for line in shell("ls", url).splitlines()[2:]] == ["prod", "second"]
    assert json.loads(shell("ls", url, "--json"))[0]["version"] == 3
    other = Shell(tmp_path / "elsewhere" / "store")
    (tmp_path / "elsewhere").mkdir()
    requests = r": (1 PUT, )?\d+ GET; .* sent, .* received\n"
    assert re.fullmatch(rf"cloned {url}/prod as dev, at version .*{requests}", other("clone", f"{url}/prod", "dev"))
    assert re.fullmatch(rf"fetched 2 pages of dev, 8\.0 KiB{requests}", other("fetch", "dev"))
    assert other("fetch", "dev") == "fetched 0 pages of dev, 0 bytes\n"
    assert other("sql", "dev", "SELECT a FROM t", "--csv") == "a\n1\n"
    assert other("clone", f"{url}/prod", "copy", "--full-copy").startswith(f"copied {url}/prod as copy, at version ")
    assert shell("sql", f"{url}/prod@3", "SELECT a FROM t", "--csv") == "a\n1\n"
    assert re.fullmatch(rf"{url}: no problems{requests}", shell("remote", "check", url))
    assert shell("remote", "rm", f"{url}/second", "--yes") == f"deleted {url}/second\n"
    note = shell("remote", "gc", url, "--keep", "1s")
    assert re.fullmatch(rf"deleted 0 objects of {url}, 0 bytes; 0 states expired: \d PUT, \d+ GET, \d LIST, .*\n", note)


def test_check_prints_problems(shell: Shell, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/repository"
    shell("push", "prod", url)
    (segment,) = (tmp_path / "repository" / "segment").iterdir()
    content = bytearray(segment.read_bytes())
    content[-1] ^= 1
    segment.write_bytes(content)
    result = shell.tried("remote", "check", url)
    assert (result.exit_code, result.output) == (1, "'prod': page 1 fails its checksum\n")


def test_push_every_ten_seconds_continues_when_the_storage_fails(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until Ctrl-C; an attempt that fails is one line."""
    repository, away = tmp_path / "repository", tmp_path / "away"
    insert = ("sql", "prod", "INSERT INTO t VALUES (2)")

    def fail() -> None:
        repository.rename(away)
        repository.touch()

    def restore() -> None:
        repository.unlink()
        away.rename(repository)

    between = iter((lambda: shell(*insert), fail, restore))

    def wait(self: Pause, seconds: float | None = None) -> bool:
        assert seconds == 10
        step = next(between, None)
        if step is None:
            raise KeyboardInterrupt
        step()
        return False

    monkeypatch.setattr(Pause, "wait", wait)
    result = shell.tried("push", "prod", f"file://{repository}", "--every", "10s")
    lines = result.output.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["pushed", "pushed"]
    assert re.fullmatch(r"clusterdb: cannot \w+ '.*': Not a directory; the next attempt follows", lines[2])
    assert lines[3].endswith("of prod already")


def test_copy_on_a_tmpfs_is_called_one(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"file://{tmp_path}/repository"
    shell("push", "prod", url)
    monkeypatch.setattr("vfs.storage.pool.file_system_of", lambda path: "tmpfs")
    first, second = shell("clone", f"{url}/prod", "dev").splitlines()
    assert first.startswith(f"copied {url}/prod as dev, at version ")
    assert second == (
        f"all pages were copied, since store '{tmp_path}/store' is on a file system in memory, which has no holes"
    )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://b/p?secret_access_key=XYZ", "'secret_access_key' is a secret.*: set AWS_SECRET_ACCESS_KEY in the env"),
        ("s3://b/p?aws_session_token=XYZ", "'aws_session_token' is a secret.*: set AWS_SESSION_TOKEN in the env"),
        ("s3://b/p?Token=XYZ", "set AWS_SESSION_TOKEN in the env"),
        ("s3://b/p?X-Amz-Signature=XYZ", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the env"),
        ("s3://b/p?sse_customer_key_base64=XYZ", "'sse_customer_key_base64' is a secret"),
        ("s3://b/p?endpoint=http://me:XYZ@host", "'endpoint' has a password"),
        ("s3://me:XYZ@b/p", "has a user or a password|names no database"),
        ("az://c/p?sas_token=XYZ", "set AZURE_STORAGE_SAS_TOKEN in the env"),
        ("az://c/p?account_key=XYZ", "set AZURE_STORAGE_ACCOUNT_KEY in the env"),
        ("gs://b/p?service_account_key=XYZ", "set GOOGLE_SERVICE_ACCOUNT_KEY in the env"),
        ("file:///nonexistent/p?password=XYZ", "'password' is a secret.*: remove it"),
    ],
)
def test_secrets_in_urls_are_refused_and_never_printed(shell: Shell, url: str, message: str) -> None:
    """Nor kept: a URL is part of the catalog."""
    commands = (["push", "prod", url], ["clone", url, "x"], ["ls", url], ["sql", url, "SELECT 1"])
    for arguments in (*commands, ["remote", "check", url], ["remote", "rm", url, "--yes"]):
        result = shell.tried(*arguments)
        text = f"{result.output}{result.exception}"
        assert result.exit_code == 1 and re.search(message, text), (arguments, text)
        assert "XYZ" not in text and "\n" not in text


BAD: list[tuple[list[str], str]] = [
    (
        ["push", "prod", "ftp://host/path"],
        "'ftp://host/path' is no URL of a repository: use one of s3://, gs://, az://",
    ),
    (["push", "prod", "file://host/path"], "use file:// and an absolute path"),
    (["push", "prod", "s3:///path"], "names no bucket: use s3://BUCKET/PATH"),
    (["push", "prod", "s3://b/p?endpint=x"], "Configuration key: 'endpint' is not valid for store 'S3'"),
    (["push", "prod", "s3://b/p?allow_http=true"], "obstore does not know one of the settings allow_http"),
    (["push", "prod", "file:///proc/nowhere"], "cannot write 'format'|cannot write '/proc/nowhere"),
    (["push", "prod", "memory://names", "--as", "a/b"], "name 'a/b'|'a/b'"),
    (["push", "nope", "file:///tmp/x"], "has no cluster 'nope'"),
    (["clone", "file:///nonexistent/repository/prod", "x"], "is no repository, or an empty one: push a cluster there"),
    (["clone", "s3://bucket", "x"], "names no database: use s3://.../NAME"),
    (["ls", "prod"], "URL lists a repository, as s3://BUCKET/PATH"),
    (["ls", "file:///nonexistent/repository"], "is no repository, or an empty one"),
    (["remote", "gc", "file:///nonexistent", "--keep", "soon"], "invalid duration 'soon'"),
    (["remote", "rm", "file:///nonexistent/x"], "remove the database 'x'"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input_is_one_line_and_changes_nothing(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    before = shell("ls", "--json")
    result = shell.tried(*arguments)
    assert result.exit_code in (1, 2)
    text = str(result.exception) if result.exit_code == 1 else result.output
    assert re.search(message, text), text
    assert shell("ls", "--json") == before


def test_names_that_are_taken_are_refused_before_anything_is_read(shell: Shell, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/repository"
    shell("push", "prod", url)
    result = shell.tried("clone", f"{url}/prod", "prod")
    assert "has a cluster 'prod' already" in str(result.exception)


def test_engine_that_does_not_answer_is_named(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials and no network: one line each."""
    monkeypatch.setattr("clusterdb.remote.objects._PATIENCE_S", 1)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    result = shell.tried("push", "prod", "s3://bucket/path?endpoint=http://127.0.0.1:9")
    assert str(result.exception).startswith("cannot read 'format' in s3://bucket/path: ")
    assert "\n" not in str(result.exception)
    assert os.environ["AWS_ACCESS_KEY_ID"] == "any"


def test_repack_says_before_and_after_what_it_does(shell: Shell, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/repository"
    shell("sql", "prod", "CREATE TABLE u (v); INSERT INTO u VALUES (randomblob(400000))")
    shell("push", "prod", url)
    assert re.fullmatch(rf"{url} has no objects to repack: .* GET; .*\n", shell("remote", "repack", url))
    shell("sql", "prod", "UPDATE u SET v = randomblob(400000)")
    shell("push", "prod", url)
    work = rf"1 object of {url} to 1 new one, .*; gc can free [34]\d\d\.\d KiB; 3 PUT, \d+ GET; .* sent, .* received\n"
    assert re.fullmatch(f"would repack {work}", shell("remote", "repack", url, "--dry-run"))
    assert re.fullmatch(f"repacked {work}", shell("remote", "repack", url))
    assert "no problems" in shell("remote", "check", url)
