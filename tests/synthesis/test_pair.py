"""Sources and candidates survive being written down; ids depend on every part."""

import json

from potstill.synthesis.pair import Candidate, CorpusSpan, Source, pair_id, to_record

SPAN = CorpusSpan("a.txt", 3, 10, 42)


def test_records_read_back_equal_through_json() -> None:
    sources = [Source("1", "Text.", "", seed=2**63 - 1), Source("2", "Text.", "Before.", span=SPAN)]
    candidate = Candidate("3", "s", "t", "c", "few_shot", 7, is_finished=False, span=SPAN)
    assert [Source.from_record(json.loads(json.dumps(to_record(source)))) for source in sources] == sources
    assert Candidate.from_record(json.loads(json.dumps(to_record(candidate)))) == candidate


def test_ids_differ_by_every_part_and_by_where_parts_end() -> None:
    ids = {pair_id("a", 1), pair_id("a", 2), pair_id("b", 1), pair_id("a1"), pair_id("a", 1, 0)}
    assert len(ids) == 5
    assert all(len(each) == 16 and int(each, 16) >= 0 for each in ids)
    assert pair_id("a", 1) == pair_id("a", 1)
