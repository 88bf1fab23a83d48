"""Ray on a cluster of this machine with two workers."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import executor_work as work
from potstill.errors import ExtraMissing, MissingError, RefusedError
from potstill.executors import ray_cluster
from potstill.executors.executor import Cancelled, open_executor

# Not importorskip: Ray has to be imported by the executor, which tells it first to keep to the loopback.
has_ray = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not has_ray, reason="needs the extra `ray`: pip install 'potstill[ray]'")


@pytest.fixture(scope="module")
def cluster():
    with pytest.MonkeyPatch.context() as patch:
        # Workers import the functions of the tests.
        patch.setenv("PYTHONPATH", str(Path(work.__file__).parent))
        with open_executor("ray", num_workers=2) as executor:
            yield executor


@needs_ray
@pytest.mark.slow
class TestCluster:
    def test_it_has_the_workers_asked_for(self, cluster):
        assert cluster.num_workers == 2

    def test_results_come_in_the_order_of_the_items_and_each_is_told(self, cluster):
        told = []
        results = cluster.map(work.square_slowly_at_first, range(9), on_done=told.append)
        assert results == [number * number for number in range(9)]
        assert sorted(told) == list(range(9))

    def test_work_is_done_in_other_processes(self, cluster):
        assert os.getpid() not in cluster.map(work.process_id, range(4))

    def test_a_refusal_is_the_refusal_it_was_in_the_worker(self, cluster):
        with pytest.raises(RefusedError, match=r"^3 is refused\.$"):
            cluster.map(work.refuse_three, range(9))

    def test_a_mistake_of_ours_comes_with_the_traceback_of_the_worker(self, cluster):
        with pytest.raises(RuntimeError, match=r"return 1 / number[\s\S]*ZeroDivisionError"):
            cluster.map(work.divide_by, [0])

    def test_an_item_whose_worker_was_killed_is_done_again(self, cluster, tmp_path):
        items = [str(tmp_path / name) for name in "abc"]
        assert cluster.map(work.die_once, items) == ["a", "b", "c"]

    def test_a_worker_that_is_killed_twice_over_an_item_is_an_error_and_not_a_wait(self, cluster):
        started = time.monotonic()
        with pytest.raises(MissingError, match="lost item 0 .*Most often"):
            cluster.map(work.die, [0])
        assert time.monotonic() - started < 60

    def test_settled_objects_live_in_processes_of_their_own_and_keep_what_they_were_asked(self, cluster):
        counters = cluster.settle(work.Counter, [10, 20, 30, -1])
        assert [outcome.value() for outcome in counters.ask("add", 1)[:3]] == [11, 21, 31]
        *counted, refused = counters.ask("add", 1)
        assert [outcome.value() for outcome in counted] == [12, 22, 32]
        with pytest.raises(RefusedError, match="starts at 0"):
            refused.value()
        counters.close()

    def test_an_object_whose_process_dies_over_a_question_answers_with_an_error_and_not_a_wait(self, cluster):
        counters = cluster.settle(work.Counter, [10])
        (outcome,) = counters.ask("die")
        with pytest.raises(MissingError, match="lost actor 0"):
            outcome.value()
        counters.close()

    def test_nothing_listens_beyond_the_loopback_and_there_is_no_dashboard(self, cluster):
        import ray

        assert {node["NodeManagerAddress"] for node in ray.nodes()} == {"127.0.0.1"}
        listening = [line.split()[1] for line in listening_sockets_of_ray()]
        assert listening
        # As in /proc/net: 127.0.0.1 in reversed bytes, or mapped into IPv6.
        assert {address.split(":")[0][-8:] for address in listening} == {"0100007F"}
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", 8265), timeout=1):
            pass

    def test_it_sends_no_statistics_and_wants_a_token(self, cluster):
        (settings,) = cluster.map(work.environment, [("RAY_USAGE_STATS_ENABLED", "RAY_AUTH_MODE")])
        assert settings == ["0", "token"]
        assert "RAY_AUTH_TOKEN" not in os.environ

    def test_cancel_ends_what_is_worked_on(self, cluster, tmp_path):
        file = tmp_path / "pid"
        executor = ray_cluster.open_ray()
        threading.Thread(target=lambda: (work.read_when_there(file), executor.cancel())).start()
        with pytest.raises(Cancelled):
            executor.map(work.note_and_sleep, [str(file)])
        work.wait_until_gone(int(file.read_text()))
        # That executor found the cluster here, so its end leaves it be.
        executor.close()
        assert cluster.map(work.square, [3]) == [9]


@needs_ray
@pytest.mark.slow
def test_an_executor_ends_the_cluster_it_started_and_no_other(tmp_path):
    owner = start_cluster_in_a_process(tmp_path)
    try:
        address, token, folder = json.loads(work.read_when_there(tmp_path / "address", within_s=60))
        for _ in range(2):
            told = run_in_a_process(CONNECT, address, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token)
            assert told.stdout.split() == ["2", "[0,", "1,", "4]"], told.stderr
        # Ray would try twenty times, a second apart.
        wrong = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64, "RAY_NUM_REDIS_GET_RETRIES": "2"}
        refused = run_in_a_process(CONNECT, address, **wrong)
        assert "MissingError" in refused.stderr and not refused.stdout
        assert Path(folder).exists()
    finally:
        owner.send_signal(signal.SIGINT)
        owner.wait(timeout=60)
    assert not Path(folder).exists()


@needs_ray
@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_told_within_a_minute():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    started = time.monotonic()
    told = run_in_a_process(CONNECT, address)
    assert f"Nothing answers at {address}" in told.stderr
    assert time.monotonic() - started < 60


def test_without_ray_the_command_that_installs_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ExtraMissing, match=r"pip install 'potstill\[ray\]'"):
        ray_cluster.open_ray()


def test_a_ray_that_cannot_be_imported_is_told_with_the_reason(monkeypatch, tmp_path):
    (tmp_path / "ray.py").write_text("raise ImportError('libgone.so: cannot open shared object file')")
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ExtraMissing, match=r"pip install 'potstill\[ray\]'.*libgone\.so"):
        ray_cluster.open_ray()


@pytest.mark.parametrize(
    ("value", "address"),
    [(None, None), ("", None), ("local", None), ("localhost:6379", "localhost:6379"), ("auto", "auto")],
)
def test_the_cluster_that_the_environment_names_is_taken_as_it_is_named(monkeypatch, value, address):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if value is not None:
        monkeypatch.setenv("RAY_ADDRESS", value)
    assert ray_cluster._address_of_environment() == address


@pytest.mark.parametrize("host", ["a" * 70, ""])
def test_an_address_that_no_machine_can_have_is_told(host):
    with pytest.raises(MissingError, match="Nothing answers at ray://"):
        ray_cluster._knock(f"ray://{host}.x:1")


PATHS = {"PYTHONPATH": str(Path(work.__file__).parent)}
OWN = """
import json, os, sys, time
from pathlib import Path
from potstill.executors.executor import open_executor
with open_executor("ray", num_workers=2) as executor:
    import ray
    from potstill.executors import ray_cluster
    runtime = ray.get_runtime_context()
    session = ray._private.worker._global_node.get_session_dir_path()
    note = Path(sys.argv[1])
    token = ray_cluster._private_access()["RAY_AUTH_TOKEN"]
    note.with_suffix(".new").write_text(json.dumps([runtime.gcs_address, token, str(Path(session).parent)]))
    note.with_suffix(".new").rename(note)
    try:
        time.sleep(300)
    except KeyboardInterrupt:
        pass
"""
CONNECT = """
import sys
import executor_work as work
from potstill.executors.executor import open_executor
with open_executor(sys.argv[1]) as executor:
    print(executor.num_workers, executor.map(work.square, range(3)))
"""


def start_cluster_in_a_process(folder):
    program = [sys.executable, "-c", OWN, str(folder / "address")]
    return subprocess.Popen(program, env={**os.environ, **PATHS}, stderr=subprocess.DEVNULL)


def run_in_a_process(program, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, **PATHS, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def listening_sockets_of_ray():
    """Lines of /proc/net/tcp and tcp6, of the listening sockets that this process and its children have."""
    inodes = set()
    for pid in [os.getpid(), *work.descendants(os.getpid())]:
        for file in Path(f"/proc/{pid}/fd").iterdir():
            try:
                inodes.add(os.readlink(file))
            except FileNotFoundError:
                continue
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                yield line
