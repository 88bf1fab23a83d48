"""Randomness is named, not shared."""

from potstill.seeds import derive_seed, random_generator


def test_seeds_are_the_same_on_every_machine_and_differ_by_purpose() -> None:
    assert derive_seed(0, "stage", "sources") == 8771379897154817373
    purposes = [(), ("a",), ("a", "b"), ("ab",), ("a", 1), ("a", "1"), (1,), ("1",)]
    assert len({derive_seed(0, *purpose) for purpose in purposes}) == len(purposes)
    assert derive_seed(0, "a") != derive_seed(1, "a")
    assert all(0 <= derive_seed(seed, "a") < 2**63 for seed in range(100))


def test_generators_of_one_purpose_draw_the_same() -> None:
    assert (random_generator(3, "x").random(5) == random_generator(3, "x").random(5)).all()
    assert (random_generator(3, "x").random(5) != random_generator(3, "y").random(5)).all()
