import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

import executor_work as work
from potstill.errors import MissingError, RefusedError, UsageError
from potstill.executors.executor import Cancelled, open_executor, run_all
from potstill.executors.local import InProcess, Processes, open_local

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(work.__file__).parent)}


def run_script(script, program):
    script.write_text(program)
    command = [sys.executable, str(script)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)


@pytest.fixture(params=[InProcess, lambda: Processes(2)], ids=["in this process", "two processes"])
def executor(request):
    with request.param() as executor:
        yield executor


def test_results_come_in_the_order_of_the_items(executor):
    assert executor.map(work.square_slowly_at_first, range(9)) == [number * number for number in range(9)]


def test_no_items_give_no_results(executor):
    assert executor.map(work.square, []) == []


def test_every_item_is_told_when_it_is_done(executor):
    told = []
    executor.map(work.square, range(5), on_done=told.append)
    assert sorted(told) == [0, 1, 2, 3, 4]


def test_a_refusal_is_the_refusal_it_was_in_the_worker(executor):
    with pytest.raises(RefusedError, match=r"^3 is refused\.$"):
        executor.map(work.refuse_three, range(9))


def test_an_executor_works_on_after_an_error(executor):
    with pytest.raises(RefusedError):
        executor.map(work.refuse_three, range(9))
    assert executor.map(work.square, [7]) == [49]


def test_what_the_system_refuses_keeps_its_number_and_path(executor, tmp_path):
    with pytest.raises(OSError) as caught:
        executor.map(work.open_file, [str(tmp_path / "none")])
    assert (caught.value.errno, caught.value.filename) == (2, str(tmp_path / "none"))


def test_settled_objects_keep_what_they_were_asked(executor):
    counters = executor.settle(work.Counter, [10, 20])
    assert [outcome.value() for outcome in counters.ask("add", 1)] == [11, 21]
    assert [outcome.value() for outcome in counters.ask("add", 5)] == [16, 26]
    counters.close()


def test_an_object_that_could_not_be_made_says_why_and_the_others_answer(executor):
    counters = executor.settle(work.Counter, [1, -1])
    first, second = counters.ask("add", 1)
    assert first.value() == 2
    with pytest.raises(RefusedError, match="starts at 0"):
        second.value()
    counters.close()


def test_a_called_off_executor_starts_nothing(executor):
    executor.cancel()
    with pytest.raises(Cancelled):
        executor.map(work.square, range(3))


def test_progress_advances_by_the_weights():
    done = []

    class Spy:
        def task(self, name, total, unit, *, done=0):
            assert (name, total, unit) == ("shards", 60, "bytes")
            return self

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def advance(self, count):
            done.append(count)

    results = run_all(
        InProcess(), work.square, [1, 2, 3], name="shards", unit="bytes", weights=[10, 20, 30], progress=Spy()
    )
    assert (results, done) == ([1, 4, 9], [10, 20, 30])


def test_one_worker_is_this_process_and_two_are_others():
    with open_local(1) as one, open_local(2) as two:
        assert one.map(work.process_id, range(2)) == [os.getpid()] * 2
        assert os.getpid() not in two.map(work.process_id, range(4))


def test_workers_are_used_again():
    with Processes(1) as executor:
        assert executor.map(work.process_id, [0]) == executor.map(work.process_id, [0])


def test_a_mistake_of_ours_comes_with_the_traceback_of_the_worker():
    with (
        Processes(1) as executor,
        pytest.raises(RuntimeError, match=r"return 1 / number[\s\S]*ZeroDivisionError"),
    ):
        executor.map(work.divide_by, [0])


def test_a_result_that_cannot_travel_is_told():
    with Processes(1) as executor, pytest.raises(RuntimeError, match="cannot travel"):
        executor.map(work.give_a_lambda, [0])


def test_a_result_that_cannot_be_unpacked_is_told():
    with Processes(1) as executor, pytest.raises(RuntimeError, match="could not be unpacked.*no number"):
        executor.map(work.give_what_cannot_be_unpacked, [0])


def test_work_that_cannot_travel_is_told():
    with Processes(1) as executor:
        with pytest.raises(RuntimeError, match="The work cannot travel.*lambda"):
            executor.map(lambda item: item, [0])
        with pytest.raises(RuntimeError, match="could not be unpacked.*no number"):
            executor.map(work.square, [work.Unreadable()])
        assert executor.map(work.square, [3]) == [9]


@pytest.mark.parametrize(("function", "told"), [(work.panic, "out of bounds"), (work.leave, "SystemExit: 3")])
def test_what_is_no_ordinary_exception_is_no_death_of_the_worker(function, told):
    with Processes(1) as executor, pytest.raises(RuntimeError, match=told):
        executor.map(function, [0])


def test_a_refusal_of_the_system_without_a_number_keeps_its_words(executor):
    with pytest.raises(OSError, match="not a gzipped file"):
        executor.map(work.say_only_words, [0])


def test_workers_hand_out_work_themselves():
    with Processes(2) as executor:
        assert executor.map(work.squares_by_others, [2, 3]) == [[0, 1], [0, 1, 4]]


def test_many_more_items_than_workers():
    with Processes(2) as executor:
        assert executor.map(work.square, range(3000)) == [number * number for number in range(3000)]


@pytest.mark.parametrize("work_on", [work.square, work.divide_by, work.die, lambda item: item])
def test_no_process_is_left_behind(work_on):
    with Processes(2) as executor:
        with suppress(RuntimeError, MissingError):
            executor.map(work_on, [0, 1, 2])
        # A second time with the same workers.
        with suppress(RuntimeError, MissingError):
            executor.map(work_on, [0, 1, 2])
        assert len(multiprocessing.active_children()) <= 2
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("function", ["square", "divide_by"])
def test_a_program_ends_also_where_an_executor_was_not_closed(tmp_path, function):
    program = (
        "import executor_work as work\n"
        "from potstill.executors.local import Processes\n"
        "if __name__ == '__main__':\n"
        "    executor = Processes(2)\n"
        f"    executor.map(work.{function}, [0, 1])\n"
    )
    told = run_script(tmp_path / "program.py", program)
    assert told.returncode == (function == "divide_by"), told.stderr


def test_an_item_whose_worker_was_killed_is_done_again(tmp_path):
    items = [str(tmp_path / name) for name in "abc"]
    with Processes(2) as executor:
        assert executor.map(work.die_once, items) == ["a", "b", "c"]


def test_a_worker_that_is_killed_twice_over_an_item_is_told_with_the_signal():
    with Processes(2) as executor, pytest.raises(MissingError, match="2 times over item 0 .*SIGKILL"):
        executor.map(work.die, [0])


def test_a_worker_killed_while_idle_is_replaced():
    with Processes(1) as executor:
        (pid,) = executor.map(work.process_id, [0])
        os.kill(pid, signal.SIGKILL)
        work.wait_until_gone(pid)
        assert executor.map(work.square, [4]) == [16]


def test_cancel_ends_the_workers_at_once(tmp_path):
    executor = Processes(1)
    file = tmp_path / "pid"
    threading.Thread(target=lambda: (int(work.read_when_there(file)), executor.cancel())).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        executor.map(work.note_and_sleep, [str(file)])
    assert time.monotonic() - started < 20
    work.wait_until_gone(int(file.read_text()))


def test_workers_end_with_a_killed_parent(tmp_path):
    file = tmp_path / "pid"
    program = (
        "import executor_work as work\n"
        "from potstill.executors.local import Processes\n"
        f"if __name__ == '__main__': Processes(1).map(work.note_and_sleep, [{str(file)!r}])\n"
    )
    script = tmp_path / "program.py"
    script.write_text(program)
    parent = subprocess.Popen([sys.executable, str(script)], env=ENVIRONMENT)
    pid = int(work.read_when_there(file))
    parent.kill()
    parent.wait()
    work.wait_until_gone(pid)


def test_an_unknown_executor_is_a_usage_error():
    with pytest.raises(UsageError, match="local, ray, or ray://"):
        open_executor("slurm")


def test_no_workers_are_a_usage_error():
    with pytest.raises(UsageError, match="1 or more"):
        open_executor("local", 0)
