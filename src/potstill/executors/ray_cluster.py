"""Work on a Ray cluster: one that stands already, or one of this machine that lasts as long as its executor.

A cluster started here listens on the loopback interface alone, wants a token that is made for it, has no
dashboard and sends no statistics. Every worker needs this version of potstill, and finds files under the
paths that this process gives it. The messages between us and the workers are Ray's own.
"""

import os
import re
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any, Self

from potstill.devices import available_cores
from potstill.errors import ExtraMissing, MissingError, RefusedError, UsageError
from potstill.executors.executor import Cancelled, Item, Residents, Result
from potstill.executors.local import MAX_ATTEMPTS
from potstill.executors.outcome import Outcome, Refused, outcome_in_worker, outcome_of
from potstill.executors.residents import ask

_LOOK_AROUND_S = 0.2
_ANSWER_TIMEOUT_S = 600.0
_FIRST_ANSWER_TIMEOUT_S = 60.0
_KNOCK_TIMEOUT_S = 10.0
# Ray takes no less. What travels here is paths and numbers.
_OBJECT_STORE_BYTES = 80 << 20


def open_ray(address: str | None = None, num_workers: int | None = None) -> "RayExecutor":
    """Connect to `address`, else to what RAY_ADDRESS names, else start `num_workers` workers here.

    Where this process is connected to a cluster already, that one is used and stays. ExtraMissing without
    Ray, MissingError where the cluster cannot be reached or has nothing to work with.
    """
    address = address or _address_of_environment()
    ray = _import_ray({} if address else {**_LOOPBACK_ONLY, **_private_access()})
    if ray.is_initialized():
        return RayExecutor(ray, close=lambda: None)
    if address:
        _connect(ray, address)
        return RayExecutor(ray, close=ray.shutdown)
    return RayExecutor(ray, close=_start(ray, num_workers or available_cores()))


def _address_of_environment() -> str | None:
    address = os.environ.get("RAY_ADDRESS")
    # Ray's own word for a cluster of this machine.
    return None if address == "local" else address or None


class RayExecutor:
    """`close` ends what `open_ray` began: a connection, or a cluster."""

    def __init__(self, ray: ModuleType, close: Callable[[], None]) -> None:
        self._ray, self._close = ray, close
        self._cancelled = threading.Event()
        if self.num_workers < 1:
            close()
            raise MissingError(
                "The Ray cluster has no CPU to work with. Add a node to it, or use --executor local."
            )

    @property
    def num_workers(self) -> int:
        return int(self._ray.cluster_resources().get("CPU", 0))

    @property
    def workers_a_machine(self) -> int:
        nodes = [node["Resources"].get("CPU", 0) for node in self._ray.nodes() if node["Alive"]]
        return max(int(max(nodes)), 1)

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        on_done: Callable[[int], None] = lambda index: None,
    ) -> list[Result]:
        task = self._ray.remote(outcome_in_worker).options(num_cpus=1, max_retries=MAX_ATTEMPTS - 1)
        pending = [task.remote(function, item) for item in items]
        numbers = {reference: index for index, reference in enumerate(pending)}
        results: dict[int, Result] = {}
        try:
            while pending:
                if self._cancelled.is_set():
                    raise Cancelled
                with _connection_told():
                    ready, pending = self._ray.wait(pending, timeout=_LOOK_AROUND_S)
                for reference in ready:
                    index = numbers[reference]
                    results[index] = self._outcome(reference, f"item {index}").value()
                    on_done(index)
        except BaseException:
            for reference in pending:
                self._ray.cancel(reference, force=True)
            raise
        return [results[index] for index in range(len(items))]

    def settle(self, factory: Callable[[Item], Any], items: Sequence[Item]) -> Residents:
        # They wait for questions most of the time: none keeps a CPU, so any number of them finds room.
        options = {"num_cpus": 0, "max_restarts": MAX_ATTEMPTS - 1, "max_task_retries": MAX_ATTEMPTS - 1}
        actor = self._ray.remote(_Resident).options(**options)
        return _Actors(self._ray, [actor.remote(factory, item) for item in items])

    def cancel(self) -> None:
        self._cancelled.set()

    def close(self) -> None:
        close, self._close = self._close, lambda: None
        close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _outcome(self, reference: Any, what: str) -> Outcome:
        return _fetched(self._ray, reference, what, _ANSWER_TIMEOUT_S)


class _Resident:
    """What an actor is: one object, made where it lives."""

    def __init__(self, factory: Callable[[Any], Any], item: Any) -> None:
        self._made = outcome_of(factory, item)

    def ask(self, method: str, arguments: tuple[Any, ...]) -> Outcome:
        return outcome_of(ask, self._made, method, arguments)


class _Actors:
    def __init__(self, ray: ModuleType, actors: list[Any]) -> None:
        self._ray, self._actors = ray, actors

    def ask(self, method: str, *arguments: Any, which: Sequence[int] | None = None) -> list[Outcome]:
        deadline = time.monotonic() + _ANSWER_TIMEOUT_S
        asked = range(len(self._actors)) if which is None else which
        references = [self._actors[number].ask.remote(method, arguments) for number in asked]
        return [
            _fetched(self._ray, reference, f"actor {number}", deadline - time.monotonic())
            for number, reference in zip(asked, references, strict=True)
        ]

    def close(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)
        self._actors = []


def _fetched(ray: ModuleType, reference: Any, what: str, timeout_s: float) -> Outcome:
    """What came back; where Ray has lost it for good, a refusal that says so."""
    try:
        with _connection_told():
            outcome: Outcome = ray.get(reference, timeout=max(timeout_s, 0.0))
    except ray.exceptions.RayError as error:
        message = (
            f"The Ray cluster lost {what} ({type(error).__name__}: {_reason(error)}). Most often a worker's "
            f"memory ran out, or the workers have another potstill; then run the same command again."
        )
        return Refused(MissingError, (message,))
    return outcome


@contextmanager
def _connection_told() -> Iterator[None]:
    try:
        yield
    except ConnectionError as error:
        raise MissingError(
            f"The Ray cluster cannot be reached any more ({_reason(error)}). "
            f"Run the same command again once it can."
        ) from None


def _reason(error: BaseException) -> str:
    """The last line says what it was, after tracebacks of Ray's own."""
    lines = str(error).strip().splitlines() or [""]
    return re.sub("\x1b\\[[0-9;]*m", "", lines[-1])


# What Ray does on systems without clusters it can do everywhere: its servers then bind to 127.0.0.1. This is
# read where Ray is imported. A 127.0.0.1 named in `ray.init` becomes the address of the machine again.
_LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# No statistics; and no word of Ray's on stdout, where results go: it tells there of every worker that died.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
}


def _import_ray(environment: Mapping[str, str]) -> ModuleType:
    with _environ({**_QUIET, **environment}):
        try:
            import ray
        except ImportError as error:
            raise _extra_missing(error) from None
    return ray


def _extra_missing(error: ImportError) -> ExtraMissing:
    return ExtraMissing(
        f"The executor `ray` needs Ray with its client: pip install 'potstill[ray]'. It cannot be imported "
        f"({error})."
    )


def _start(ray: ModuleType, num_workers: int) -> Callable[[], None]:
    """Start a cluster on this machine; returns what ends it and removes what it wrote."""
    if (bound := ray.util.get_node_ip_address()) not in ("127.0.0.1", "::1"):
        raise RefusedError(
            f"Ray would listen on {bound}, because this program imported it before potstill could set it up. "
            f"Start a cluster yourself and name its address."
        )
    # Under /tmp itself: Ray's sockets lie deep in this folder, and their paths may have 107 bytes.
    folder = tempfile.mkdtemp(prefix="potstill-ray-", dir="/tmp")

    def end() -> None:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)

    try:
        with _environ({**_QUIET, **_LOOPBACK_ONLY, **_private_access(), "RAY_task_oom_retries": "1"}):
            _init(
                ray,
                address="local",
                num_cpus=num_workers,
                num_gpus=0,
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                _temp_dir=folder,
            )
    except BaseException:
        end()
        raise
    return end


def _connect(ray: ModuleType, address: str) -> None:
    _knock(address)
    with _environ(_QUIET):
        _init(ray, address=address)
    try:
        there = ray.get(ray.remote(_version).options(num_cpus=0).remote(), timeout=_FIRST_ANSWER_TIMEOUT_S)
    except ray.exceptions.RayError as error:
        ray.shutdown()
        raise MissingError(
            f"The workers of the Ray cluster at {address} do not answer ({type(error).__name__}). "
            f"Install this version of potstill ({_version()}) on each of them."
        ) from None
    if there != _version():
        ray.shutdown()
        raise MissingError(
            f"The workers of the Ray cluster at {address} have potstill {there}, this is {_version()}. "
            f"Install the same version everywhere."
        )


def _knock(address: str) -> None:
    """Ray itself tries for minutes to reach an address where nothing listens."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        raise UsageError(f"{address!r} is no address of a Ray cluster. Write ray://HOST:PORT or HOST:PORT.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_TIMEOUT_S).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise MissingError(
            f"Nothing answers at {address} ({error}). Check that the Ray cluster runs and can be reached."
        ) from None


def _init(ray: ModuleType, **settings: Any) -> None:
    """`ray.init` without its logging, and with the process's own way of ending on SIGTERM kept."""
    on_main_thread = threading.current_thread() is threading.main_thread()
    on_terminate = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(configure_logging=False, log_to_driver=False, **settings)
    except ImportError as error:
        raise _extra_missing(error) from None
    except (ConnectionError, OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise MissingError(
            f"Ray at {settings['address']} cannot be used ({type(error).__name__}: {_reason(error)}). "
            f"Check the address, that the cluster runs, and that Ray has the same version there and here."
        ) from None
    finally:
        if on_main_thread:
            signal.signal(signal.SIGTERM, on_terminate)


@cache
def _private_access() -> Mapping[str, str]:
    # Ray reads these once a process, where it is imported: a second cluster has to want the same token.
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def _version() -> str:
    from potstill import __version__

    return f"{__version__} on Python {sys.version_info.major}.{sys.version_info.minor}"


@contextmanager
def _environ(values: Mapping[str, str]) -> Iterator[None]:
    """These variables for the block, for this process and what it starts."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
