"""What explodes ends a process of its own and nothing else."""

import gc
import os
import signal
import time

import pytest

from potstill.constraints.sources import source_of
from potstill.constraints.trial import Trial
from potstill.types import Grammar


def text(kind, source):
    return source_of(Grammar(kind, source)).text


GOOD = text("regex", "a+")
SLOW = text("json_schema", '{"type": "integer", "multipleOf": 1000003}')
DEEP = text("lark", "start: r0" + "".join(f"\nr{at}: r{at + 1}" for at in range(20_000)) + '\nr20000: "e"')


def test_a_worker_that_was_killed_is_followed_by_another():
    trial = Trial()
    assert trial.objection(GOOD) is None
    assert "takes more than 0.25 s" in trial.objection(SLOW)
    assert trial.objection(GOOD) is None
    assert "too deeply" in trial.objection(DEEP)
    assert trial.objection(GOOD) is None


def test_one_that_somebody_ended_is_followed_by_another():
    trial = Trial()
    first = trial.start()
    os.kill(first, signal.SIGKILL)
    assert trial.objection(GOOD) is None
    assert trial.start() != first


def test_a_worker_ends_with_what_asked_it():
    trial = Trial()
    process_id = trial.start()
    del trial
    gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


@pytest.mark.parametrize("source", ["a\nb", "\u2028", '"\\\\', "é" * 1000])
def test_a_grammar_travels_whole(source):
    assert Trial().objection(text("regex", source)) is None


def test_an_answer_comes_at_once():
    trial = Trial()
    trial.start()
    trial.objection(GOOD)
    started = time.perf_counter()
    for _ in range(20):
        trial.objection(GOOD)
    assert time.perf_counter() - started < 2
