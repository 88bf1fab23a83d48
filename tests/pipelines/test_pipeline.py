"""How a pipeline is called, whatever its task: strings, lists, generators, pieces, threads, its end."""

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
import torch

import potstill
from potstill.errors import ConfigError, DeviceMissing, UsageError
from potstill.pipelines.pipeline import Pipeline
from tokenization.small_tokenizers import LINES


@pytest.fixture(scope="module")
def writer(decoder: Path) -> Iterator[Pipeline]:
    with potstill.pipeline(
        "text-generation", model=decoder, device="cpu", dtype="fp32", max_new_tokens=6
    ) as made:
        yield made


def test_a_string_gives_a_list_of_one_dict_and_a_list_gives_one_for_each(writer: Pipeline) -> None:
    (alone,) = writer(LINES[0])
    assert list(alone) == ["generated_text"] and alone["generated_text"].startswith(LINES[0])
    assert writer([LINES[0], LINES[1]])[0] == [alone] == writer((LINES[0],))[0]
    assert writer([]) == []


def test_a_generator_gives_the_same_lazily_in_order_and_takes_a_batch_at_a_time(writer: Pipeline) -> None:
    taken: list[str] = []

    def texts() -> Iterator[str]:
        for text in LINES * 3:
            taken.append(text)
            yield text

    answers = writer(texts(), batch_size=2)
    assert not taken and isinstance(answers, Iterator)
    first = next(answers)
    assert len(taken) == 2
    assert [first, *answers] == writer(LINES * 3)


def test_a_generator_may_call_the_pipeline_between_its_texts(writer: Pipeline) -> None:
    texts = (writer(line)[0]["generated_text"] for line in LINES)
    assert len([(answer, writer("A")) for answer in writer(texts, batch_size=1)]) == len(LINES)


def test_pieces_that_are_streamed_are_the_text(writer: Pipeline) -> None:
    pieces = list(writer(LINES[0], stream=True, max_new_tokens=9))
    assert len(pieces) > 1
    (answer,) = writer(LINES[0], return_full_text=False, max_new_tokens=9)
    assert "".join(pieces) == answer["generated_text"]
    for texts in ([LINES[0]], iter(LINES)):
        with pytest.raises(UsageError, match="one text"):
            writer(texts, stream=True)


def test_a_text_half_streamed_keeps_the_turn_until_it_is_closed(writer: Pipeline) -> None:
    pieces = writer(LINES[0], stream=True)
    next(pieces)
    with pytest.raises(UsageError, match="still writes a text that is streamed"):
        writer(LINES[1])
    pieces.close()
    assert writer(LINES[1])


def test_threads_wait_for_each_other_and_get_their_own_answers(writer: Pipeline) -> None:
    alone = [writer(line) for line in LINES]
    found: dict[int, list[object]] = {}

    def call(index: int) -> None:
        found[index] = [writer(LINES[index]) for _ in range(3)]

    threads = [Thread(target=call, args=(index,)) for index in range(len(LINES))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[index] == [alone[index]] * 3 for index in range(len(LINES)))


def test_after_its_end_a_pipeline_has_let_its_model_go_and_says_so(decoder: Path) -> None:
    with potstill.pipeline("text-generation", model=decoder, device="cpu", max_new_tokens=6) as made:
        decoder_of = weakref.ref(made._held.model.generator.engine.decoder)
        unread, half_read = made(iter(LINES)), made(LINES[0], stream=True)
        next(half_read)
    gc.collect()
    assert decoder_of() is None
    for call in (lambda: made("A"), lambda: next(unread)):
        with pytest.raises(UsageError, match="closed"):
            call()
    made.close()


def test_arguments_of_the_pipeline_hold_for_every_call_that_says_nothing_else(decoder: Path) -> None:
    with potstill.pipeline("text-generation", model=decoder, device="cpu", return_full_text=False) as made:
        shorter, longer = made("A", max_new_tokens=2), made("A", max_new_tokens=12)
    assert len(shorter[0]["generated_text"]) < len(longer[0]["generated_text"])
    assert not shorter[0]["generated_text"].startswith("A")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"temprature": 0.3}, "no argument 'temprature'. Did you mean 'temperature'"),
        ({"max_tokens": 3}, "Did you mean 'max_new_tokens'"),
        ({"min_length": 3}, "prompt for a longer one"),
        ({"truncation": True}, "max_input_tokens=N"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"stream": 1}, "stream is 1"),
        ({"max_input_tokens": 2.5}, "max_input_tokens is 2.5"),
    ],
)
def test_a_wrong_argument_is_refused_by_name_in_a_call_and_before_it(
    wrong: dict[str, object], said: str, writer: Pipeline, decoder: Path
) -> None:
    with pytest.raises(UsageError, match=said):
        writer("A", **wrong)
    if "stream" not in wrong:
        with pytest.raises(UsageError, match=said):
            potstill.pipeline("text-generation", model=decoder, device="cpu", **wrong)


@pytest.mark.parametrize("asked", [3, None, [1], [{"role": "user", "content": "Hi"}], {"a": "b"}])
def test_what_is_no_text_is_refused(asked: object, writer: Pipeline) -> None:
    with pytest.raises(UsageError, match="text-generation takes"):
        writer(asked)


def test_one_input_is_taken_by_position_or_by_its_name(writer: Pipeline) -> None:
    assert writer(text_inputs="A") == writer("A")
    for wrong in ((), ("A", "B")):
        with pytest.raises(UsageError, match="takes one input"):
            writer(*wrong)


@pytest.mark.parametrize("device", ["cpu", -1])
@pytest.mark.parametrize("dtype", ["float32", "fp32", "int8", None])
def test_one_argument_says_where_and_one_in_which_numbers(
    device: object, dtype: object, decoder: Path
) -> None:
    with potstill.pipeline("text-generation", model=decoder, device=device, dtype=dtype) as made:
        assert made("A", max_new_tokens=2)


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ({"device": 99}, DeviceMissing, "cuda:99"),
        ({"device": "tpu9x"}, ConfigError, "no kind of device"),
        ({"dtype": "float16"}, UsageError, "dtype is 'float16'"),
        ({"threads": 0}, ConfigError, "threads is 0"),
        ({"revision": "main"}, potstill.PotstillError, "not a hub id"),
    ],
)
def test_a_wrong_machine_is_refused(
    wrong: dict[str, object], error: type[Exception], said: str, decoder: Path
) -> None:
    with pytest.raises(error, match=said):
        potstill.pipeline("text-generation", model=decoder, **wrong)


@pytest.mark.gpu
def test_on_a_gpu_the_texts_are_the_same_and_its_memory_is_free_afterwards(decoder: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    before, texts = torch.cuda.memory_allocated(), []
    for device in ("cpu", "cuda"):
        with potstill.pipeline("text-generation", model=decoder, device=device, dtype="fp32") as made:
            texts.append(made(LINES, max_new_tokens=8))
    assert texts[0] == texts[1] and torch.cuda.memory_allocated() == before
