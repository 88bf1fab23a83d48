import random

from engine.drafts.changing_texts import changing_text, request
from potstill.engine.drafts.followed_text import Change, FollowedText


class Counted:
    def __init__(self):
        self.ids, self.num_calls = [], 0

    def push(self, token_id):
        self.ids.append(token_id)
        self.num_calls += 1

    def pop(self):
        self.ids.pop()
        self.num_calls += 1


def test_what_is_kept_is_at_the_text_however_it_changed_and_wherever_its_prompt_ends():
    rng = random.Random(3)
    for _ in range(20):
        text = FollowedText(Counted())
        for ids in changing_text(rng, 3):
            text.go_to(request(ids, num_prompt=rng.randrange(len(ids) + 1)).context)
            assert text.kept.ids == ids


def test_only_what_changed_is_told():
    text = FollowedText(Counted())
    text.go_to(request(range(1000), num_prompt=500).context)
    before = text.kept.num_calls
    assert text.go_to(request([*range(998), 7, 8, 9], num_prompt=500).context) == Change(2, (7, 8, 9))
    assert text.kept.num_calls == before + 5
    assert text.go_to(request([*range(998), 7, 8, 9], num_prompt=500).context) == Change(0, ())
