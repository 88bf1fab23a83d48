"""Where tokens came from, against a plain walk over every token of every document."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.vocabularies import NAMES, TEXT, TOKENIZERS, vocabulary
from potstill.corpus.build import build_store
from potstill.corpus.encoding import char_places
from potstill.corpus.source_files import looks_like_text
from potstill.corpus.store import Store
from potstill.corpus.vocabulary import as_text

DOCUMENTS = [
    b"",
    b"the",
    b" the",
    b"The the THE the\n" * 40,
    TEXT.encode() * 5,
    b"broken \xff\xc3 utf-8 \xe6\x97 the the",
    "e\u0301 composed, \u1e9b\u0323 the".encode(),
    b"",
    "\u2581the \u2581".encode(),
    bytes(range(32, 256)) * 3,
    b"\r\n\r\n",
    "the 日本語 the 𝄞 the".encode() * 30,
    b"x",
]


def stored(folder, documents, vocabulary):
    (folder / "texts").mkdir()
    (folder / "store").mkdir()
    for number, content in enumerate(documents):
        (folder / "texts" / f"{number:05d}.txt").write_bytes(content)
    build_store([folder / "texts"], folder / "store", vocabulary, workers=1)
    return Store(folder / "store", vocabulary=vocabulary)


def plain_spans(vocabulary, content):
    """(start, stop) in bytes of each token of a document."""
    (ids,) = vocabulary.encode_documents([content])
    spelled = [vocabulary.token_bytes(token_id) for token_id in ids.tolist()]
    ends = np.cumsum([0, *map(len, spelled)]).tolist()
    joined = b"".join(spelled)
    if joined == content:
        return list(zip(ends, ends[1:], strict=False))
    if joined == b" " + content:
        return [(max(start - 1, 0), stop - 1) for start, stop in zip(ends, ends[1:], strict=False)]
    begin = 1 if joined[:1] == b" " and not as_text(content).startswith(" ") else 0
    if joined[begin:] == as_text(content).encode():
        return replaced_spans(content, [max(end - begin, 0) for end in ends])
    (told,) = vocabulary.tokenizer.encode_spans([as_text(content)])
    places = [0]
    for character in content.decode(errors="surrogateescape"):
        places.append(places[-1] + len(character.encode(errors="surrogateescape")))
    return [(places[start], places[stop]) for start, stop in told.spans]


def replaced_spans(content, ends):
    """Spans of tokens that end at `ends` of a text in which U+FFFD stands for each byte that is no text."""
    owner = []
    raw = [0]
    for place, character in enumerate(content.decode(errors="surrogateescape")):
        own = character.encode(errors="surrogateescape")
        owner += [place] * (3 if "\udc80" <= character <= "\udcff" else len(own))
        raw.append(raw[-1] + len(own))
    spans = []
    for start, stop in zip(ends, ends[1:], strict=False):
        bytes_of = []
        for position in range(start, stop):
            place = owner[position]
            inside = position - owner.index(place)
            bytes_of.append(raw[place] + min(inside, raw[place + 1] - raw[place] - 1))
        first = bytes_of[0] if bytes_of else raw[owner[start]] if start < len(owner) else raw[-1]
        spans.append((first, bytes_of[-1] + 1 if bytes_of else first))
    return spans


@pytest.mark.parametrize("name", NAMES)
def test_every_token_is_found_in_the_bytes_of_its_file(tmp_path, name):
    store = stored(tmp_path, DOCUMENTS, vocabulary(name))
    for document, content in enumerate(DOCUMENTS):
        expected = plain_spans(vocabulary(name), content)
        assert store.document(document).num_tokens == len(expected)
        for token, (start, stop) in enumerate(expected):
            found = store.locate(document, token, 1)
            assert (found.byte_start, found.byte_stop) == (start, stop), (document, token)
            if found.exact and token:
                own = store.vocabulary.bytes_of(store.tokens(document, token, token + 1))
                assert content[start:stop] == own


@pytest.mark.parametrize("name", NAMES)
def test_any_run_of_tokens_is_found_in_the_bytes_of_its_file(tmp_path, name):
    store = stored(tmp_path, DOCUMENTS, vocabulary(name))
    chance = np.random.default_rng(0)
    for document, content in enumerate(DOCUMENTS):
        expected = plain_spans(vocabulary(name), content)
        for _ in range(20 if expected else 0):
            first = int(chance.integers(len(expected)))
            count = int(chance.integers(1, len(expected) - first + 1))
            found = store.locate(document, first, count)
            stop = max(expected[first][0], expected[first + count - 1][1])
            assert (found.byte_start, found.byte_stop) == (expected[first][0], stop)


def test_tokens_that_spell_their_bytes_need_few_offsets(tmp_path):
    store = stored(tmp_path, [TEXT.encode() * 100] * 10, vocabulary("byte-level"))
    assert store.facts.files["offsets.bin"] < 0.2 * store.num_tokens


@pytest.mark.parametrize("name", TOKENIZERS)
def test_no_tokens_stand_where_the_next_one_begins(tmp_path, name):
    store = stored(tmp_path, [b"the dog the"], vocabulary(name))
    count = store.document(0).num_tokens
    assert store.locate(0, 0, 0).byte_start == 0
    assert store.locate(0, count, 0).byte_stop == len(b"the dog the")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents=st.lists(st.binary(max_size=90) | st.text(max_size=60).map(str.encode), max_size=12))
@pytest.mark.parametrize("name", TOKENIZERS)
def test_any_bytes_keep_their_places(tmp_path_factory, name, documents):
    documents = [b"the", *(content.replace(b"\0", b"0") for content in documents)]
    documents = [content if looks_like_text(content) else b"" for content in documents]
    store = stored(tmp_path_factory.mktemp("store"), documents, vocabulary(name))
    for document, content in enumerate(documents):
        mark = 3 if content.startswith(b"\xef\xbb\xbf") else 0
        expected = plain_spans(vocabulary(name), content[mark:])
        layout = [store.locate(document, token, 1) for token in range(len(expected))]
        assert [(each.byte_start - mark, each.byte_stop - mark) for each in layout] == expected


@given(st.binary(max_size=40))
def test_places_of_characters_are_those_of_a_walk(content):
    places = [0]
    for character in content.decode(errors="surrogateescape"):
        places.append(places[-1] + len(character.encode(errors="surrogateescape")))
    assert char_places(content).tolist() == places
    assert len(as_text(content)) == len(places) - 1
