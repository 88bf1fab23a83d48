import random

from potstill.engine.call_size import CallSize
from potstill.engine.scheduler import Share
from potstill.engine.sequence import Sequence
from potstill.types import SamplingParams


def share(num_new, num_prompt=0):
    sequence = Sequence(sequence_id=0, prompt_ids=(1,) * num_prompt, sampling=SamplingParams())
    return Share(sequence, num_new, num_logits=1, encodes=num_prompt > 0)


def costs(calls):
    return [[one.cost for one in call] for call in calls]


def test_a_step_is_one_call_until_memory_runs_out():
    size, shares = CallSize(), [share(1), share(9), share(4)]
    assert size.split([]) == []
    (call,) = size.split(shares)
    assert call == shares and size.halve(call)
    assert costs(size.split(shares)) == [[1], [7], [2, 4]]
    assert [bool(one.num_logits) for call in size.split(shares) for one in call] == [True, False, True, True]


def test_halving_ends_at_a_single_position():
    size, call = CallSize(), [share(100)]
    num_halvings = 0
    while size.halve(call):
        call, num_halvings = size.split(call)[0], num_halvings + 1
    assert costs([call]) == [[1]] and num_halvings < 12


def test_an_encoder_runs_whole_and_its_text_afterwards():
    size, shares = CallSize(), [share(6, num_prompt=50), share(3)]
    size.halve([share(20)])
    assert costs(size.split(shares)) == [[51], [5, 3]]
    assert [one.encodes for call in size.split(shares) for one in call] == [True, False, False]
    assert not size.halve(size.split(shares)[0])


def test_calls_hold_every_position_once_and_in_order():
    rng = random.Random(4)
    for _ in range(200):
        size = CallSize()
        size.halve([share(rng.randrange(2, 40))])
        shares = [share(rng.randrange(1, 30), rng.choice((0, 0, 7))) for _ in range(rng.randrange(1, 9))]
        pieces = [piece for call in size.split(shares) for piece in call]
        assert list(dict.fromkeys(piece.sequence for piece in pieces)) == [one.sequence for one in shares]
        for one in shares:
            own = [piece for piece in pieces if piece.sequence is one.sequence]
            assert sum(piece.cost for piece in own) == one.cost
            assert [bool(piece.num_logits) for piece in own] == [False] * (len(own) - 1) + [True]
            assert [piece.encodes for piece in own] == [one.encodes] + [False] * (len(own) - 1)


def test_after_calm_steps_more_is_tried_again():
    size, shares = CallSize(), [share(64)]
    size.halve(shares)
    size.halve(size.split(shares)[0])
    assert len(size.split(shares)) == 4
    for _ in range(100):
        size.note_success()
    assert len(size.split(shares)) == 1
    for _ in range(1000):
        size.note_success()
    assert size._most is None


def test_pieces_of_one_text_never_share_a_call_however_often_calls_fail():
    """Each begins where the one before has ended, which is known once that has run."""
    rng = random.Random(6)
    for _ in range(100):
        size, rest = CallSize(), [share(rng.randrange(1, 30), rng.choice((0, 0, 7))) for _ in range(4)]
        calls = [rest]
        while size.halve(calls[0]):
            calls = size.split([piece for call in calls for piece in call])
            for call in calls:
                assert len({piece.sequence for piece in call}) == len(call)
            calls = calls[rng.randrange(len(calls)) :]
