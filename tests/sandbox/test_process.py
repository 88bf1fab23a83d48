"""Workers: how they start, what holds them, and how they end."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import potstill
from potstill.errors import PotstillError
from potstill.sandbox.limits import SandboxLimits
from potstill.sandbox.process import WorkerProcess, WorkerStopped
from potstill.sandbox.templates import TemplateRenderer

# Runs in a worker: tries what a template that broke out would try, and tells what came of each.
BREAKOUT = """
import ctypes, mmap, os, socket, threading
from potstill.sandbox.worker import serve

def attempt(work):
    try:
        work()
    except BaseException as error:
        return type(error).__name__
    return "done"

def answer(request):
    tries = {
        "open": lambda: open("/etc/passwd"),
        "create": lambda: os.open("/tmp/potstill-canary", os.O_CREAT | os.O_WRONLY),
        "list": lambda: os.listdir("/"),
        "fork": os.fork,
        "exec": lambda: os.execv("/bin/true", ["true"]),
        "thread": lambda: threading.Thread(target=print).start(),
        "socket": lambda: socket.socket(),
        "kill": lambda: os.kill(os.getppid(), 0),
        "pipe": os.pipe,
        "memory": lambda: bytearray(80 << 20),
        "proc": lambda: open("/proc/self/environ"),
        "unlimit": lambda: __import__("resource").setrlimit(7, (99, 99)),
        "link": lambda: os.symlink("/etc/passwd", "/tmp/potstill-link"),
        "remove": lambda: os.unlink("/tmp/nothing"),
    }
    return {name: attempt(work) for name, work in tries.items()} | {"environment": dict(os.environ)}

def main(limits):
    serve(answer, limits)
"""


@pytest.fixture
def worker():
    made = TemplateRenderer(SandboxLimits(wall_s=0.5))
    yield made
    made.close()


def test_a_worker_starts_quickly():
    took = []
    for _ in range(3):
        began = time.perf_counter()
        renderer = TemplateRenderer()
        renderer.render("x", [{}])
        took.append(time.perf_counter() - began)
        renderer.close()
    print(f"first text after {min(took) * 1000:.0f} ms (aim 300 ms)")
    assert min(took) < 3


def test_the_parent_imports_no_template_engine_for_it():
    code = (
        "import sys; from potstill.sandbox.templates import TemplateRenderer as R; r = R(); "
        "assert r.render('{{ x }}', [{'x': 1}]) == ['1']; r.close(); "
        "sys.exit(', '.join({'jinja2', 'markupsafe', 'ctypes', 'numpy'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="system calls are filtered on Linux only")
def test_what_broke_out_of_a_template_could_do_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("POTSTILL_CANARY", "secret")
    worker = worker_of("breakout", BREAKOUT, tmp_path, monkeypatch)
    try:
        told = worker.call({})
        assert worker.held()[-1] == "system calls" and "memory" in worker.held()
    finally:
        worker.close()
    environment = told.pop("environment")
    assert "done" not in told.values(), told
    assert told["memory"] == "MemoryError" and told["fork"] in ("PermissionError", "BlockingIOError")
    assert "POTSTILL_CANARY" not in environment and len(environment) <= 3


def worker_of(name, source, folder, monkeypatch):
    """A worker that runs a module of the test's."""
    (folder / f"{name}.py").write_text(source)
    package = os.path.dirname(os.path.dirname(potstill.__file__))
    monkeypatch.setattr(
        "potstill.sandbox.process._folder_of", lambda asked: str(folder) if asked == name else package
    )
    return WorkerProcess(name, (name,), SandboxLimits(wall_s=0.5))


# Its main thread tries to open a file once the other is confined and has been asked.
THREADED = """
import threading
from potstill.sandbox.worker import serve

def main(limits):
    asked, tried, told = threading.Event(), threading.Event(), []

    def answer(request):
        asked.set()
        tried.wait()
        return {"told": told}

    thread = threading.Thread(target=serve, args=(answer, limits))
    thread.start()
    asked.wait()
    try:
        open("/etc/passwd")
    except OSError as error:
        told.append(type(error).__name__)
    tried.set()
    thread.join()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="system calls are filtered on Linux only")
def test_threads_that_ran_before_are_held_too(tmp_path, monkeypatch):
    # Files are limited for all threads in any case; the filter alone is looked at.
    source = THREADED.replace(
        "def main", "import resource\nresource.setrlimit = lambda *asked: None\n\ndef main"
    )
    worker = worker_of("threaded", source, tmp_path, monkeypatch)
    try:
        assert worker.call({}) == {"told": ["PermissionError"]}
    finally:
        worker.close()


# Says what it is told to say, in the place of an answer.
LIAR = """
import os
from potstill.sandbox.worker import serve

def answer(request):
    os.write(1, bytes.fromhex(request["raw"]) * request["times"])
    if request["dies"]:
        os._exit(3)
    return {}

def main(limits):
    serve(answer, limits)
"""


@pytest.mark.parametrize(
    ("raw", "times", "dies", "reason"),
    [
        (b"x" * 1000, 20_000, False, "it answers with more than 16,777,216 bytes"),
        (b"[" * 100_000 + b"\n", 1, True, "its answer is none|ended with 3"),
        (b"[1]\n", 1, True, "its answer is none"),
        (b"no json\n", 1, True, "its answer is none"),
        (b"{}", 1, True, "its process ended with 3"),
        (b"", 1, True, "its process ended with 3"),
        (b"\xff\n", 1, True, "its answer is none"),
    ],
)
def test_what_a_worker_says_is_not_believed(raw, times, dies, reason, tmp_path, monkeypatch):
    worker = worker_of("liar", LIAR, tmp_path, monkeypatch)
    with pytest.raises(WorkerStopped, match=reason):
        worker.call({"raw": raw.hex(), "times": times, "dies": dies})
    assert worker.call({"raw": "", "times": 1, "dies": False}) == {}
    worker.close()


def test_a_worker_that_is_killed_is_replaced(worker):
    assert worker.render("a", [{}]) == ["a"]
    before = worker.process_id()
    os.kill(before, signal.SIGKILL)
    time.sleep(0.05)
    assert worker.render("b", [{}]) == ["b"] and worker.process_id() != before


def test_a_worker_that_dies_in_the_middle_is_told_and_replaced(worker):
    worker.render("a", [{}])
    killer = threading.Timer(0.15, os.kill, (worker.process_id(), signal.SIGKILL))
    killer.start()
    with pytest.raises(PotstillError, match="template was stopped"):
        worker.render("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", [{}])
    killer.join()
    assert worker.render("b", [{}]) == ["b"]


def test_threads_share_a_worker(worker):
    found = {}

    def work(number):
        found[number] = [worker.render("{{ x }}", [{"x": number}]) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [[str(number)]] * 20 for number in range(8)}


def test_a_worker_is_replaced_before_its_processor_time_ends():
    renderer = TemplateRenderer(SandboxLimits(cpu_s=2))
    busy = "{% for a in range(99999) %}{% for b in range(9) %}{% endfor %}{% endfor %}done"
    used = {renderer.process_id()}
    for _ in range(40):
        if len(used) == 1:
            assert renderer.render(busy, [{}]) == ["done"]
            used.add(renderer.process_id())
    renderer.close()
    assert len(used) == 2


@pytest.mark.parametrize("busy", [False, True])
def test_a_worker_ends_with_its_parent_however_that_ends(busy):
    code = (
        "import os, signal, threading, time\n"
        "from potstill.sandbox.templates import TemplateRenderer\n"
        "renderer = TemplateRenderer()\n"
        "renderer.render('x', [{}])\n"
        "print(renderer.process_id(), flush=True)\n"
        f"if {busy}:\n"
        "    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGKILL)).start()\n"
        "    renderer.render('{{ 10**(10**9) }}', [{}])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    worker_id = int(done.stdout)
    until = time.monotonic() + 5
    while _is_alive(worker_id) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _is_alive(worker_id)


def _is_alive(process_id):
    try:
        with open(f"/proc/{process_id}/stat") as file:
            # One that ended may wait for somebody to ask how.
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_python_that_cannot_be_started_is_told(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(PotstillError, match=r"did not start \(its process ended with 1\): /bin/false"):
        TemplateRenderer().render("x", [{}])
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(PotstillError, match="does not know its own program"):
        TemplateRenderer().render("x", [{}])
