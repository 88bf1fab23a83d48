"""What a program refuses before anything is read or written, and its instructions beside torch."""

import threading
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from potstill import _native
from potstill.layers.kv_cache import PagedKVCache, PagedRows
from potstill.layers.norms import LayerNorm, RMSNorm
from potstill.models.native_program import (
    EncoderBlocks,
    HeadShape,
    NativeProgram,
    joined_bias,
    packed_rows,
)

E, V, H, K, D = 12, 9, 4, 2, 6


def table(rows: int = V, columns: int = E) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(rows + columns))


def of_rows(kind: str = "fp32") -> tuple[NativeProgram, Any]:
    """A program that embeds, and the buffer it embeds to."""
    program = NativeProgram(kind)  # type: ignore[arg-type]
    x = program.buffer(E)
    program.embed(program.matrix(table()), x)
    return program, x


def finished(program: NativeProgram, x: Any) -> Tensor:
    """The program's result for tokens 0 to V - 1, two sequences."""
    out = program.buffer(x.width)
    program.select(x, out)
    program.result(out)
    return program.hidden(torch.arange(V), packed_rows([4, V - 4]))


def test_instructions_by_rows_do_what_torch_does() -> None:
    program, x = of_rows()
    rms, layer = RMSNorm(E // 2, 1e-5, offset=1), LayerNorm(E, 1e-5)
    for weight in (rms.weight, layer.weight, layer.bias):
        torch.nn.init.normal_(weight)
    y = program.buffer(2 * E)
    left, right = y.columns(0, E), y.columns(E, E)
    program.norm(x, left, rms, num_heads=2)
    program.norm(x, right, layer)
    program.norm(right, right, layer, accumulate=True)
    program.gate(left, right, left, "gelu")
    program.add(x, left, scale=-0.5)
    with torch.inference_mode():
        halves = rms(table().view(V, 2, -1)).view(V, E)
        once = layer(table())
        expected = F.gelu(halves) * (once + layer(once)) - 0.5 * table()
    torch.testing.assert_close(finished(program, left), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("act", [None, "silu", "gelu", "gelu_pytorch_tanh", "relu"])
def test_products_have_biases_activations_and_sums(act: Any) -> None:
    functions = {
        None: lambda y: y,
        "silu": F.silu,
        "gelu": F.gelu,
        "gelu_pytorch_tanh": lambda y: F.gelu(y, approximate="tanh"),
        "relu": F.relu,
    }
    program, x = of_rows()
    inner, weight, back, bias = program.buffer(20), table(20), table(E, 20), torch.linspace(-1, 1, 20)
    program.linear(x, program.matrix(weight), inner, bias=bias, act=act)
    program.linear(inner, program.matrix(back), x, accumulate=True)
    expected = table() + functions[act](table() @ weight.T + bias) @ back.T
    torch.testing.assert_close(finished(program, x), expected, atol=1e-4, rtol=1e-4)


def test_positions_are_added_from_their_table_after_its_offset() -> None:
    program, positions = NativeProgram("fp32"), table(8)
    x = program.buffer(E)
    program.embed(program.matrix(table()), x, scale=3.0, positions=program.matrix(positions), offset=2)
    at = torch.cat([torch.arange(4), torch.arange(V - 4)])
    torch.testing.assert_close(finished(program, x), 3 * table() + positions[at + 2])
    with pytest.raises(ValueError, match=r"positions\[6\] is 6; it must be in \[0, 6\)"):
        program.hidden(torch.zeros(7, dtype=torch.int64), packed_rows([7]))


@pytest.mark.parametrize("num_threads", [1, 3])
def test_packed_attention_sees_before_and_after_with_a_bias_by_distance(num_threads: int) -> None:
    torch.set_num_threads(num_threads)
    program, x = of_rows()
    weight = table((H + 2 * K) * D)
    qkv, out = program.buffer(len(weight)), program.buffer(H * D)
    program.linear(x, program.matrix(weight), qkv)
    q, k, v = (qkv.columns(*part) for part in ((0, H * D), (H * D, K * D), ((H + K) * D, K * D)))
    bias = torch.randn(H, 5, generator=torch.Generator().manual_seed(4))
    program.attend_packed(q, k, v, out, HeadShape(H, K, D), scale=0.3, bias=bias)
    got = finished(program, out)
    for start, end in ((0, 4), (4, V)):
        plain = (table()[start:end] @ weight.T).view(end - start, -1, D).transpose(0, 1)
        queries, keys, values = plain[:H], plain[H : H + K], plain[H + K :]
        at = torch.arange(end - start)
        distance = (at - at[:, None]).clamp(-2, 2) + 2
        expected = F.scaled_dot_product_attention(
            queries[None], keys[None], values[None], bias[:, distance][None], scale=0.3, enable_gqa=True
        )
        torch.testing.assert_close(
            got[start:end], expected[0].transpose(0, 1).flatten(1), atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cross_attention_sees_the_whole_of_what_was_encoded(dtype: torch.dtype) -> None:
    cache = PagedKVCache(2, 5, 4, K, D, dtype=dtype)
    cache.keys.normal_(), cache.values.normal_()
    program, x = of_rows()
    q, out = program.buffer(H * D), program.buffer(H * D)
    program.linear(x, program.matrix(table(H * D)), q)
    program.attend_encoder(q, out, 1, HeadShape(H, K, D), scale=0.5)
    chosen = program.buffer(H * D)
    program.select(out, chosen)
    program.result(chosen)
    blocks, lengths = [[3, 1], [4, 0]], [7, 2]
    encoder = EncoderBlocks(torch.tensor(blocks, dtype=torch.int32), torch.tensor(lengths, dtype=torch.int32))
    got = program.hidden(torch.arange(V), packed_rows([4, V - 4]), cache, encoder)
    for (start, end), own, length in zip(((0, 4), (4, V)), blocks, lengths, strict=True):
        queries = (table()[start:end] @ table(H * D).T).view(-1, H, D).transpose(0, 1)
        keys, values = (
            stored[1][own].flatten(0, 1)[:length].float().transpose(0, 1)
            for stored in (cache.keys, cache.values)
        )
        expected = F.scaled_dot_product_attention(
            queries[None], keys[None], values[None], scale=0.5, enable_gqa=True
        )
        torch.testing.assert_close(
            got[start:end], expected[0].transpose(0, 1).flatten(1), atol=1e-5, rtol=1e-4
        )
    for bad, error, pattern in (
        (EncoderBlocks(encoder.tables - 5, encoder.lengths), IndexError, r"encoder_tables\[0, 0\] is -2"),
        (EncoderBlocks(encoder.tables + 4, encoder.lengths), IndexError, r"encoder_tables\[0, 0\] is 7"),
        (EncoderBlocks(encoder.tables, encoder.lengths * 9), ValueError, "too few blocks"),
        (EncoderBlocks(encoder.tables, encoder.lengths * 0), ValueError, "at least 1"),
        (EncoderBlocks(encoder.tables[:1], encoder.lengths[:1]), ValueError, "one entry a sequence"),
        (None, ValueError, "one entry a sequence"),
    ):
        with pytest.raises(error, match=pattern):
            program.hidden(torch.arange(V), packed_rows([4, V - 4]), cache, bad)


def small_decoder(weight: Tensor | None = None) -> tuple[NativeProgram, PagedKVCache]:
    """`weight` makes queries, keys and values."""
    program, x = of_rows()
    qkv, out = program.buffer((H + 2 * K) * D), program.buffer(H * D)
    program.linear(x, program.matrix(table(qkv.width) if weight is None else weight), qkv)
    program.rotate(qkv.columns(0, H * D), H, program.rotation(torch.ones(D // 2)))
    program.store(1, qkv.columns(H * D, K * D), qkv.columns((H + K) * D, K * D))
    program.attend(qkv.columns(0, H * D), out, 1, HeadShape(H, K, D), scale=1.0)
    program.linear(out, program.matrix(table(E, H * D)), x, accumulate=True)
    hidden = program.buffer(E)
    program.select(x, hidden)
    program.result(hidden)
    program.head(program.matrix(table()))
    cache = PagedKVCache(2, 3, 4, K, D, dtype=torch.float32)
    cache.keys.zero_(), cache.values.zero_()
    return program, cache


def test_what_does_not_fit_is_refused_before_anything_is_written() -> None:
    program, cache = small_decoder()
    rows = PagedRows.of([[2, 1]], [0], [5], cache)
    token_ids, wanted = torch.arange(5), torch.tensor([4])
    good = {"rows": rows, "cache": cache, "token_ids": token_ids, "wanted": wanted}

    def refuses(error: type[Exception], pattern: str, **changed: Any) -> None:
        given = good | {name: value for name, value in changed.items() if name in good}
        fields = {name: value for name, value in changed.items() if name not in good}
        given["rows"] = PagedRows(**{**vars(given["rows"]), **fields})
        with pytest.raises(error, match=pattern):
            program.step(**given)

    refuses(ValueError, r"token_ids\[2\] is -1", token_ids=torch.tensor([0, 1, -1, 0, 0]))
    refuses(ValueError, r"token_ids\[0\] is 9; it must be in \[0, 9\)", token_ids=token_ids + 9)
    refuses(TypeError, "incompatible", token_ids=token_ids.int())
    refuses(ValueError, "starts must go from 0 to the number of tokens", token_ids=token_ids[:4],
            positions=rows.positions[:4], slots=rows.slots[:4], wanted=wanted[:0])  # fmt: skip
    refuses(ValueError, r"positions\[0\] is -1", positions=rows.positions - 1)
    refuses(ValueError, "positions must have one entry a token", positions=rows.positions[:3])
    refuses(ValueError, r"slots\[0\] is 1008; it must be in \[0, 12\)", slots=rows.slots + 1000)
    refuses(ValueError, r"slots\[4\] is -1", slots=rows.slots - 5)
    refuses(ValueError, "slots must have one entry a token", slots=rows.slots[:4])
    refuses(ValueError, r"wanted\[0\] is 5", wanted=torch.tensor([5]))
    refuses(ValueError, r"wanted\[0\] is -1", wanted=torch.tensor([-1]))
    refuses(ValueError, "num_cached is negative", num_cached=rows.num_cached - 1)
    refuses(ValueError, "too few blocks", num_cached=rows.num_cached + 9)
    refuses(ValueError, "starts", starts=rows.starts + 1)
    refuses(ValueError, "a row for each of num_cached", num_cached=rows.num_cached.repeat(2))
    refuses(
        IndexError, r"block_tables\[0, 0\] is 3; the cache has 3 blocks", block_tables=rows.block_tables + 1
    )
    refuses(ValueError, "needs a cache", cache=None)
    refuses(ValueError, "too few layers", cache=PagedKVCache(1, 3, 4, K, D, dtype=torch.float32))
    refuses(ValueError, "other heads", cache=PagedKVCache(2, 3, 4, D, K, dtype=torch.float32))
    refuses(ValueError, "other heads", cache=PagedKVCache(2, 3, 4, K, D + 1, dtype=torch.float32))
    refuses(ValueError, "float32 or bfloat16", cache=PagedKVCache(2, 3, 4, K, D, dtype=torch.float16))
    assert not cache.keys.any() and not cache.values.any()
    assert program.step(token_ids, rows, cache, wanted).shape == (1, V) and cache.keys[1].any()


def test_logits_of_other_shapes_are_refused() -> None:
    program, _ = small_decoder()
    with pytest.raises(ValueError, match="hidden must have the columns"):
        program.logits(torch.zeros(2, E + 1), torch.zeros(2, V))
    with pytest.raises(ValueError, match="out must have a row for each"):
        program.logits(torch.zeros(2, E), torch.zeros(2, V + 1))


def test_a_program_whose_widths_do_not_fit_is_refused_as_it_is_built() -> None:
    program, x = of_rows()
    y, matrix = program.buffer(20), program.matrix(table(20))
    shape = HeadShape(H, K, D)
    for pattern, build in (
        ("there is no buffer 9", lambda: program.add(x._replace(buffer=9), x)),
        ("not within buffer 0 of 12", lambda: program.add(x.columns(1, E), x)),
        ("0 columns", lambda: program.buffer(0)),
        ("out has 20 columns, not 12", lambda: program.add(x, y)),
        ("x has 20 columns, not 12", lambda: program.linear(y, matrix, y)),
        ("bias must have a number", lambda: program.linear(x, matrix, y, bias=torch.zeros(3))),
        ("has no activation", lambda: program.linear(x, matrix, y, act="silu", accumulate=True)),
        ("divide into the heads", lambda: program.norm(x, x, RMSNorm(2, 1e-6), num_heads=5)),
        ("a number for each column", lambda: program.norm(x, x, RMSNorm(2, 1e-6))),
        ("wider than a head", lambda: program.rotate(x, 3, program.rotation(torch.ones(3)))),
        ("q has 12 columns, not 24", lambda: program.attend(x, y, 0, shape, scale=1.0)),
        ("not so many layers", lambda: program.store(2**64 - 1, x, x)),
        ("not so many layers", lambda: program.attend(x, x, 1 << 16, HeadShape(2, 1, 6), scale=1.0)),
        ("not so many heads", lambda: program.attend(x, x, 0, HeadShape(1 << 62, 1, 6), scale=1.0)),
        ("embeds once", lambda: program.embed(matrix, y)),
        ("after select", lambda: program.result(x)),
        ("after the result", lambda: program.head(matrix)),
    ):
        with pytest.raises(ValueError, match=pattern):
            build()
    with pytest.raises(ValueError, match="no head|has no result"):
        program.logits(torch.zeros(1, 0), torch.zeros(1, 0))


def test_positions_of_any_width_are_added() -> None:
    program, tokens, positions = NativeProgram("fp32"), table(V, 2500), table(8, 2500)
    x = program.buffer(2500)
    program.embed(program.matrix(tokens), x, positions=program.matrix(positions))
    at = torch.cat([torch.arange(4), torch.arange(V - 4)])
    torch.testing.assert_close(finished(program, x), tokens + positions[at])


@pytest.mark.parametrize("row", [0, H * D, (H + K) * D])
def test_weights_that_are_no_numbers_make_logits_that_are_none(row: int) -> None:
    """Of queries, keys or values: text drawn from what attention makes of the rest would be nobody's."""
    weight = table((H + 2 * K) * D)
    weight[row, 0] = torch.nan
    program, cache = small_decoder(weight)
    rows = PagedRows.of([[2, 1]], [0], [5], cache)
    assert program.step(torch.arange(5), rows, cache, torch.tensor([4])).isnan().all()


def test_a_head_that_does_not_fit_is_none() -> None:
    program, x = of_rows()
    finished(program, x)
    with pytest.raises(ValueError, match="x has 12 columns, not 13"):
        program.head(program.matrix(table(V, E + 1)))
    with pytest.raises(ValueError, match="softcap must be above 0"):
        program.head(program.matrix(table()), softcap=-1.0)
    with pytest.raises(ValueError, match="no head"):
        program.step(torch.arange(V), packed_rows([V]), None, torch.arange(V))
    with pytest.raises(TypeError, match="a matrix must be a PackedMatrix"):
        program.head(table())  # type: ignore[arg-type]


def test_what_is_built_while_it_is_measured_is_measured_too() -> None:
    program = NativeProgram("fp32")
    program.profile(True)
    x = program.buffer(E)
    program.embed(program.matrix(table()), x)
    finished(program, x)
    assert program.seconds().keys() == {"embed", "select"}


def test_a_thread_of_pythons_uses_as_many_threads_as_torch_was_told() -> None:
    program, x = of_rows()
    finished(program, x)
    counts: list[int] = []
    asked = torch.arange(V), packed_rows([V])

    def work() -> None:
        program.hidden(*asked, wanted=asked[0])
        counts.append(_native.max_threads())

    for count in (2, 3):  # one of them is not what threads begin with
        torch.set_num_threads(count)
        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
    assert counts == [2, 3]


def test_biases_of_joined_matrices_stand_where_their_outputs_do() -> None:
    assert joined_bias([None, None], [2, 3]) is None
    joined = joined_bias([None, torch.ones(3)], [2, 3])
    assert joined is not None and joined.tolist() == [0, 0, 1, 1, 1]
