"""Several addresses of a hub: tried in order, each failure told, the token shown to the first alone."""

import sys
from pathlib import Path

import pytest

from potstill.errors import ConfigError
from potstill.hub.listing import HubLacks, HubUnreachable
from potstill.hub.mirrors import first_that_has, mirrors

sys.path.append(str(Path(__file__).parent))

from asking import Asker
from stand_in_hub import Repository, StandInHub, running

NOWHERE = "http://127.0.0.1:9"
FILES = {"config.json": b"{}", "model.safetensors": b"weights " * 300_000}


def test_addresses_stand_between_commas(monkeypatch):
    monkeypatch.setenv("POTSTILL_HUB_MIRRORS", " https://a.example/ ,, http://b.example:8080/hub")
    assert mirrors("POTSTILL_HUB_MIRRORS") == ["https://a.example", "http://b.example:8080/hub"]
    monkeypatch.delenv("POTSTILL_HUB_MIRRORS")
    assert mirrors("POTSTILL_HUB_MIRRORS") == []


@pytest.mark.parametrize(
    "address",
    ["a.example", "ftp://a.example", "https://", "http://a:port", "https://me:pw@a.example", "http://a b"],
)
def test_what_is_no_address_is_refused_by_the_variables_name(monkeypatch, address):
    monkeypatch.setenv("POTSTILL_HUB_MIRRORS", address)
    with pytest.raises(ConfigError, match="POTSTILL_HUB_MIRRORS"):
        mirrors("POTSTILL_HUB_MIRRORS")


def test_the_first_that_has_it_is_taken_and_no_further_one_asked(capsys):
    asked = []

    def fetch(endpoint):
        asked.append(endpoint)
        if endpoint == "a":
            raise HubLacks("a has no model x", "Check the name.")
        if endpoint == "b":
            raise HubUnreachable("b: no answer")
        return endpoint

    assert first_that_has(["a", "b", "c", "d"], "x", fetch) == "c"
    assert asked == ["a", "b", "c"]
    assert capsys.readouterr().err == "x: a has no model x; trying b\nx: b: no answer; trying c\n"


@pytest.mark.parametrize(("order", "expected"), [("ab", "b is out"), ("ba", "b is out"), ("aa", "a lacks")])
def test_where_all_fail_one_that_may_come_back_outweighs_one_that_lacks_it(order, expected):
    def fetch(endpoint):
        raise HubLacks("a lacks it", "") if endpoint == "a" else HubUnreachable("b is out of reach")

    with pytest.raises((HubLacks, HubUnreachable), match=expected):
        first_that_has(list(order), "x", fetch)


def test_a_mirror_gives_what_the_first_hub_lacks_or_cannot_give(tmp_path):
    held = {"org/here": Repository(FILES), "org/private": Repository(FILES, token="hf_mine")}
    with running(StandInHub({})) as first, running(StandInHub(held)) as mirror:
        variables = {"POTSTILL_HUB_MIRRORS": f"{NOWHERE},{mirror.address}", "HF_TOKEN": "hf_mine"}
        answers = Asker(tmp_path, first)("org/here", "org/nothing", "org/private", **variables)
    found, absent, private = answers.lines
    assert (Path(found["path"]) / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    told = answers.stderr.splitlines()
    assert told[0].startswith(f"org/here: {first.address} has no model org/here")
    assert told[0].endswith(f"trying {NOWHERE}")
    assert told[1].endswith(f"trying {mirror.address}")
    assert "out of reach" in absent["error"]
    assert "out of reach" in private["error"]
    assert "hf_mine" in first.tokens
    assert "hf_mine" not in mirror.tokens


def test_a_download_that_is_cut_goes_on_where_it_was(tmp_path):
    # The library writes what has come in pieces of 10 MiB.
    files = {**FILES, "model.safetensors": b"weights " * 1_600_000}
    hub = StandInHub({"org/cut": Repository(files)}, cuts={"model.safetensors": [11_500_000]})
    with running(hub):
        (found,) = Asker(tmp_path, hub)("org/cut").lines
    assert (Path(found["path"]) / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert max(hub.begins) > 0
