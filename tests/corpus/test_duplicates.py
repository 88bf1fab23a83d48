"""Duplicates against a comparison of every pair, and a corpus without them."""

import itertools
import json
import random

import numpy as np
import pytest

from corpus.vocabularies import vocabulary
from potstill.corpus.build import build_corpus, build_store
from potstill.corpus.deduplicate import deduplicate
from potstill.corpus.duplicates import DuplicateSettings, find_duplicates, rows_a_band
from potstill.corpus.shingles import jaccard, shingles
from potstill.corpus.store import Store
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.errors import ConfigError

WORDS = [f"word{number} " for number in range(300)]


def variants(seed):
    """Texts, copies of some, and copies with a few words changed."""
    chance = random.Random(seed)
    texts = [[chance.choice(WORDS) for _ in range(chance.randrange(30, 200))] for _ in range(25)]
    for base in texts[:18]:
        changed = list(base)
        for _ in range(chance.randrange(6)):
            changed[chance.randrange(len(changed))] = chance.choice(WORDS)
        texts.append(changed)
    chance.shuffle(texts)
    return ["".join(words) for words in texts] + ["", "", "abc", "abc", "abd"]


def stored(tmp_path, texts, vocabulary):
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    (tmp_path / "texts.jsonl").write_text(lines)
    build_corpus([tmp_path / "texts.jsonl"], tmp_path / "corpus", vocabulary, workers=1)
    return Store(tmp_path / "corpus")


def width_of(store):
    return 20 if store.vocabulary.kind == "bytes" else 5


def sets_of(store):
    return [
        {
            tuple(ids[place : place + width_of(store)])
            for place in range(max(len(ids) - width_of(store) + 1, 1))
        }
        - {()}
        for ids in (each.tolist() for each in store.each_document())
    ]


def similarity(one, other):
    return len(one & other) / len(one | other) if one | other else 1.0


def test_shingles_are_the_sets_of_runs(tmp_path):
    store = stored(tmp_path, variants(0), ByteVocabulary())
    plain = sets_of(store)
    hashed = [shingles(ids, width_of(store)) for ids in store.each_document()]
    assert [len(each) for each in hashed] == [len(each) for each in plain]
    for one, other in itertools.combinations(range(0, len(plain), 3), 2):
        assert jaccard(hashed[one], hashed[other]) == pytest.approx(similarity(plain[one], plain[other]))


@pytest.mark.parametrize("name", ["bytes", "byte-level"])
@pytest.mark.parametrize("least", [0.5, 0.8, 1.0])
def test_every_pair_that_is_alike_is_found_and_no_other(tmp_path, name, least):
    for seed in range(3):
        (tmp_path / str(seed)).mkdir()
        store = stored(tmp_path / str(seed), variants(seed), vocabulary(name))
        contents, plain = [ids.tobytes() for ids in store.each_document()], sets_of(store)
        kept, expected = [], {}
        for document in range(store.num_documents):
            equal = [other for other in range(document) if contents[other] == contents[document]]
            alike = [
                other
                for other in kept
                if plain[document] and similarity(plain[other], plain[document]) >= least
            ]
            if equal or alike:
                expected[document] = ("equal", equal[0]) if equal else ("near", alike[0])
            else:
                kept.append(document)
        found = find_duplicates(store, DuplicateSettings(least))
        assert {each.document: (each.reason, each.kept) for each in found} == expected
        for each in found:
            alike = similarity(plain[each.document], plain[each.kept])
            assert each.similarity == pytest.approx(alike)


def test_bands_find_a_pair_at_the_threshold_in_999_of_1000_cases():
    for least in np.linspace(0.3, 1, 29):
        rows = rows_a_band(float(least))
        assert (1 - least**rows) ** (128 // rows) <= 1e-3


def test_the_corpus_without_duplicates_is_the_one_built_from_what_is_kept(tmp_path):
    store = stored(tmp_path, variants(1), vocabulary("byte-level"))
    done = deduplicate(tmp_path / "corpus", tmp_path / "less")
    dropped = [json.loads(line) for line in (tmp_path / "less" / "dropped.jsonl").read_text().splitlines()]
    assert len(dropped) == done.num_equal + done.num_near == done.num_before - done.facts.num_documents > 10
    gone = {each["document"] for each in dropped}
    rest = [ids.tolist() for number, ids in enumerate(store.each_document()) if number not in gone]
    less = Store(tmp_path / "less")
    assert [ids.tolist() for ids in less.each_document()] == rest
    less.verify()
    first = dropped[0]
    assert first["record"] == first["document"] and first["path"] == str(tmp_path / "texts.jsonl")
    assert first["kept"]["document"] not in gone
    for document in range(less.num_documents):
        assert less.locate(document, 0, 0).record not in gone


def test_only_equal_documents_go_where_that_is_asked(tmp_path):
    stored(
        tmp_path,
        ["one two three four", "one two three four!", "", "one two three four", ""],
        ByteVocabulary(),
    )
    done = deduplicate(tmp_path / "corpus", tmp_path / "less", DuplicateSettings(None))
    assert (done.num_equal, done.num_near) == (2, 0)
    assert Store(tmp_path / "less").num_documents == 3


@pytest.mark.parametrize("least", [0, -1, 1.1])
def test_a_similarity_that_cannot_be_is_refused(least):
    with pytest.raises(ConfigError, match="similarity"):
        DuplicateSettings(least)


def test_many_copies_of_one_text_cost_one_comparison_each(tmp_path, monkeypatch):
    from potstill.corpus import duplicates

    calls = []
    real = duplicates.jaccard
    monkeypatch.setattr(duplicates, "jaccard", lambda *sets: calls.append(1) or real(*sets))
    text = "".join(WORDS[:60])
    texts = [f"{text}{number}" for number in range(200)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps({"text": each}) + "\n" for each in texts))
    (tmp_path / "store").mkdir()
    build_store([tmp_path / "t.jsonl"], tmp_path / "store", ByteVocabulary())
    found = find_duplicates(Store(tmp_path / "store", vocabulary=ByteVocabulary()))
    assert len(found) == 199 and len(calls) == 199
