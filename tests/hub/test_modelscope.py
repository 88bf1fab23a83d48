"""Models from ModelScope: a stand-in on loopback that answers as its public interface does."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest

from potstill.cli.main import main
from potstill.errors import ConfigError, DamagedError, DiskFull, ModelMissing
from potstill.hub.modelscope import fetched_models
from potstill.hub.resolve import resolve
from potstill.progress import Silent

sys.path.append(str(Path(__file__).parent))

from stand_in_hub import COMMIT, Repository, StandInHub, running

NOWHERE = "http://127.0.0.1:9"
WEIGHTS = bytes(range(256)) * 20_000
CONFIG = {"config.json": b"{}", "tokenizer.json": b'{"a": 1}', "README.md": b"words"}
FILES = {
    **CONFIG,
    "model.safetensors": WEIGHTS,
    "1_Pooling/config.json": b'{"pooling": "mean"}',
    "modeling_own.py": b"print('never fetched')",
    "pytorch_model.bin": b"never fetched",
    "onnx/model.onnx": b"never fetched",
}


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("HF_", "MODELSCOPE_", "POTSTILL_HUB_")):
            monkeypatch.delenv(name)


@pytest.fixture
def hub(monkeypatch):
    stand_in = StandInHub(
        {
            "org/plain": Repository(FILES),
            "org/private": Repository({**CONFIG, "model.safetensors": b"private"}, token="ms-mine"),
            "org/altered": Repository(FILES, claimed={"model.safetensors": b"original"}),
            "org/two": Repository({"q4.gguf": b"GGUF q4", "q8.gguf": b"GGUF q8"}),
            "org/pickled": Repository({**CONFIG, "pytorch_model.bin": b"a pickle"}),
            "org/unhashed": Repository(
                {**CONFIG, "model.safetensors": WEIGHTS},
                listed={"model.safetensors": {"Sha256": ""}},
                tells_no_commit=True,
            ),
        }
    )
    with running(stand_in):
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", stand_in.address)
        yield stand_in


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)


def get(name: str, **options):
    return resolve(name, progress=Silent(), **options)


def weights_of(found) -> bytes:
    return (found.path / "model.safetensors").read_bytes()


def parts_in(cache: Path) -> list[Path]:
    return list((cache / "modelscope").glob("*/*/parts/*"))


def test_an_id_is_fetched_pinned_and_used_again_offline(hub, monkeypatch, capsys):
    found = get("ms://org/plain")
    assert (found.origin, found.revision) == ("modelscope", COMMIT)
    assert sorted(str(path.relative_to(found.path)) for path in found.path.rglob("*") if path.is_file()) == [
        "1_Pooling/config.json",
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert weights_of(found) == WEIGHTS
    assert capsys.readouterr().err == f"ms://org/plain at 0123456789ab: 5 MB to fetch from {hub.address}\n"
    num_fetched = len(hub.fetched)
    assert get("ms://org/plain") == found
    assert get("ms://org/plain", revision=COMMIT).path == get(f"ms://org/plain@{COMMIT}").path == found.path
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", NOWHERE)
    assert get("ms://org/plain") == found
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert get("ms://org/plain") == found
    assert len(hub.fetched) == num_fetched
    assert "to fetch" not in capsys.readouterr().err


def test_a_new_commit_with_the_same_weights_fetches_only_what_changed(hub, cache):
    first = get("ms://org/plain")
    num_fetched = len(hub.fetched)
    hub.repositories["org/plain"].files["README.md"] = b"other words"
    hub.repositories["org/plain"].listed["README.md"] = {"Revision": "5" * 40}
    hub.repositories["org/plain"].listed["config.json"] = {"Revision": "5" * 40}
    second = get("ms://org/plain", revision=COMMIT)
    assert (second.path / "README.md").read_bytes() == b"other words"
    assert hub.fetched[num_fetched:] == ["org/plain/README.md"]
    assert weights_of(first) == weights_of(second) == WEIGHTS
    assert list(fetched_models(cache / "modelscope")) == [
        ("ms://org/plain", pytest.approx(len(WEIGHTS), abs=99))
    ]


def test_one_gguf_file_of_several_is_named_with_the_id(hub):
    with pytest.raises(ModelMissing, match="ms://org/two/q4.gguf, ms://org/two/q8.gguf"):
        get("ms://org/two")
    assert get("ms://org/two/q8.gguf").path.read_bytes() == b"GGUF q8"
    assert hub.fetched == ["org/two/q8.gguf"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ms://org/nothing", "has no model ms://org/nothing"),
        ("ms://org/private", "MODELSCOPE_API_TOKEN"),
        ("ms://org/plain@v9", "no revision v9"),
        ("ms://org/pickled", "pytorch_model.bin, a pickle"),
    ],
)
def test_what_cannot_be_had_is_one_line_and_a_missing_model(hub, name, text):
    with pytest.raises(ModelMissing, match=text) as error:
        get(name)
    assert "\n" not in str(error.value)
    assert not hub.fetched


def test_two_different_revisions_for_one_model_are_refused(hub):
    with pytest.raises(ModelMissing, match="another revision than v2"):
        get("ms://org/plain@v1", revision="v2")


def test_a_token_opens_what_is_private(hub, monkeypatch):
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "ms-mine")
    assert weights_of(get("ms://org/private")) == b"private"


def test_a_redirect_to_another_host_does_not_show_it_the_token(hub, monkeypatch):
    hub.has_cdn = True
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "ms-mine")
    assert weights_of(get("ms://org/plain")) == WEIGHTS
    (headers,) = hub.cdn_headers
    assert not {"authorization", "cookie"} & {name.lower() for name in headers}


@pytest.mark.parametrize("range_status", [206, 200, None])
def test_a_download_that_is_cut_twice_gives_the_same_bytes(hub, impatient, range_status):
    hub.cuts["model.safetensors"] = [1_100_000, 2_200_000]
    hub.range_status = range_status
    assert weights_of(get("ms://org/plain")) == WEIGHTS
    assert (max(hub.begins) > 0) == (range_status is not None)


def test_a_server_that_breaks_off_for_good_leaves_a_part_that_is_gone_on_with(hub, impatient, cache, capsys):
    hub.cuts["model.safetensors"] = [2_000_000, 0, 0, 0, 0]
    with pytest.raises(ModelMissing, match="Run the same command again to go on from there"):
        get("ms://org/plain")
    (part,) = parts_in(cache)
    num_here = part.stat().st_size
    assert 1_000_000 < num_here <= 2_000_000
    capsys.readouterr()
    hub.begins.clear()
    assert weights_of(get("ms://org/plain")) == WEIGHTS
    assert num_here in hub.begins
    assert f": {(len(WEIGHTS) - num_here) / 1e6:.0f} MB to fetch" in capsys.readouterr().err
    assert not parts_in(cache)


def test_a_process_killed_in_the_middle_leaves_what_the_next_one_goes_on_with(hub, cache):
    hub.delay_s = 0.3
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("resolve_in_a_process.py")), "ms://org/plain"],
        env={**os.environ, "XDG_CACHE_HOME": str(cache.parent)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not any(part.stat().st_size > 1_000_000 for part in parts_in(cache)):
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    (part,) = parts_in(cache)
    assert 0 < part.stat().st_size < len(WEIGHTS)
    hub.delay_s = 0
    hub.begins.clear()
    assert weights_of(get("ms://org/plain")) == WEIGHTS
    assert max(hub.begins) > 0


def test_a_file_with_another_hash_is_damaged_and_removed(hub, cache):
    for _ in range(2):
        with pytest.raises(
            DamagedError, match=r"model.safetensors arrived with the wrong sha256 and was removed"
        ):
            get("ms://org/altered")
        assert not parts_in(cache)
    assert not list(cache.rglob("model.safetensors"))


@pytest.mark.parametrize("listed", [len(WEIGHTS) - 1, len(WEIGHTS) + 1, 1])
def test_a_file_with_another_length_is_damaged_and_removed(hub, cache, listed):
    hub.repositories["org/plain"].listed["model.safetensors"] = {"Size": listed}
    with pytest.raises(DamagedError, match=r"model.safetensors arrived with .* and was removed"):
        get("ms://org/plain")
    assert not parts_in(cache)


def test_a_part_longer_than_its_file_is_begun_anew(hub, cache):
    part = cache / "modelscope/org/plain/parts" / hashlib.sha256(WEIGHTS).hexdigest()
    part.parent.mkdir(parents=True)
    part.write_bytes(WEIGHTS + b"more")
    assert weights_of(get("ms://org/plain")) == WEIGHTS


def test_a_listing_without_hashes_or_commits_is_pinned_by_content(hub):
    found = get("ms://org/unhashed")
    assert found.revision.startswith("content-")
    assert weights_of(found) == WEIGHTS
    hub.repositories["org/unhashed"].files["README.md"] = b"more words than before"
    assert get("ms://org/unhashed").revision != found.revision


def test_a_file_without_a_hash_that_changes_in_place_is_fetched_anew(hub):
    repository = hub.repositories["org/unhashed"]
    repository.listed["model.safetensors"] = {"Sha256": "", "Revision": "1" * 7}
    assert weights_of(get("ms://org/unhashed")) == WEIGHTS
    repository.files["model.safetensors"] = WEIGHTS[::-1]
    repository.listed["model.safetensors"] = {"Sha256": "", "Revision": "2" * 7}
    assert weights_of(get("ms://org/unhashed")) == WEIGHTS[::-1]


def test_a_file_that_is_listed_twice_is_no_trouble(hub):
    entries = [{"Path": "x.json", "Type": "blob", "Size": 1, "Sha256": one} for one in (None, "ab" * 32)]
    hub.answer = json.dumps({"Data": {"Files": entries}}).encode()
    with pytest.raises(ModelMissing, match="neither safetensors nor GGUF"):
        get("ms://org/plain")


@pytest.mark.parametrize(
    "entry",
    [{"Path": "../../out.json"}, {"Path": "/out.json"}, {"Size": 1 << 60}, {"Size": "9"}, {"Path": None}],
)
def test_a_hostile_listing_is_refused_before_anything_is_fetched(hub, cache, entry):
    hub.repositories["org/plain"].listed["config.json"] = entry
    with pytest.raises(DamagedError, match="Nothing was fetched"):
        get("ms://org/plain")
    assert not hub.fetched
    assert not list(cache.rglob("*.json"))


@pytest.mark.parametrize(
    "answer",
    [b"", b"<html>", b"[]", b'{"Data": 1}', b'{"Data": {"Files": [1]}}', b'{"Data": null}', b"[" * 99_999],
)
def test_an_answer_that_is_no_listing_counts_as_out_of_reach(hub, answer):
    hub.answer = answer
    with pytest.raises(ModelMissing, match="its answer is no list of files"):
        get("ms://org/plain")


def test_an_endless_listing_is_cut_off(hub):
    hub.answer = b" " * (33 << 20)
    with pytest.raises(DamagedError, match="longer than 32 MiB"):
        get("ms://org/plain")
    entry = {"Path": "x.json", "Type": "blob", "Size": 1}
    hub.answer = json.dumps({"Data": {"Files": [entry] * 20_001}}).encode()
    with pytest.raises(DamagedError, match="20,001 files"):
        get("ms://org/plain")


def test_a_mirror_goes_on_with_what_another_address_began(hub, impatient, monkeypatch, capsys):
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "ms-mine")
    hub.cuts["model.safetensors"] = [2_000_000, 0, 0, 0, 0]
    with running(StandInHub({"org/plain": Repository(FILES)})) as mirror:
        monkeypatch.setenv("POTSTILL_HUB_MODELSCOPE_MIRRORS", f"{NOWHERE},{mirror.address}")
        assert weights_of(get("ms://org/plain")) == WEIGHTS
        assert max(mirror.begins) > 1_000_000
        assert mirror.tokens == {""}
    told = capsys.readouterr().err
    assert f"trying {NOWHERE}" in told
    assert f"trying {mirror.address}" in told


def test_a_disk_with_too_little_room_is_told_before_anything_is_fetched(hub, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(1_000_000))
    with pytest.raises(DiskFull, match="XDG_CACHE_HOME"):
        get("ms://org/plain")
    assert not hub.fetched


def test_a_disk_that_fills_or_a_share_that_is_used_up_says_so_and_keeps_the_part(hub, monkeypatch, cache):
    def fail(descriptor: int) -> None:
        raise OSError(122, "Disk quota exceeded")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(DiskFull, match="what was fetched so far is kept"):
            get("ms://org/plain")
    assert parts_in(cache)
    assert weights_of(get("ms://org/plain")) == WEIGHTS


def test_a_hub_that_does_not_answer_in_time_is_out_of_reach(hub, monkeypatch):
    monkeypatch.setattr("potstill.hub.modelscope._TIMEOUT_S", 0.1)
    hub.delay_s = 1
    with pytest.raises(ModelMissing, match="timed out"):
        get("ms://org/plain")


def test_what_was_fetched_is_listed_with_the_other_models(hub, capsys):
    main(["model", "pull", "ms://org/plain", "--quiet", "--json"])
    pulled = json.loads(capsys.readouterr().out)
    assert (pulled["origin"], pulled["revision"]) == ("modelscope", COMMIT)
    main(["model", "list", "--json"])
    listed = json.loads(capsys.readouterr().out)["models"]
    assert [model["name"] for model in listed if model["origin"] == "modelscope"] == ["ms://org/plain"]


def test_an_address_that_is_none_is_refused_by_name(monkeypatch):
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "modelscope.example")
    with pytest.raises(ConfigError, match="MODELSCOPE_ENDPOINT"):
        get("ms://org/plain")


def test_out_of_reach_and_never_fetched_says_what_to_do(hub, monkeypatch):
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", NOWHERE)
    with pytest.raises(ModelMissing, match="MODELSCOPE_ENDPOINT or POTSTILL_HUB_MODELSCOPE_MIRRORS"):
        get("ms://org/plain")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelMissing, match="HF_HUB_OFFLINE is set"):
        get("ms://org/plain")
