from potstill.lm.context import Context


def test_a_context_is_of_what_a_growing_list_held():
    written = [3, 4]
    context = Context((1, 2), written)
    written += [5]
    assert context.last_output_id == 4 and context.num_tokens == 4
    assert context.output_ids == (3, 4) and context.token_ids == (1, 2, 3, 4)
    assert context == Context((1, 2), (3, 4)) and hash(context) == hash(Context((1, 2), (3, 4)))
    assert context != Context((1, 2), written) and context != Context((1,), (3, 4))


def test_a_context_without_output_is_its_prompt():
    assert Context((1,)).token_ids == (1,) and Context((1,)).num_output == 0
    assert repr(Context((1,), [2])) == "Context(prompt_ids=(1,), output_ids=(2,))"
