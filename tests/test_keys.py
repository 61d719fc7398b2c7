from __future__ import annotations

import json
import stat
import statistics
import time
from datetime import datetime

import pytest

from model import SettingsError
from service.keys import KeyFileError, Keys, create_key, read_keys, revoke_key


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.json"


def test_a_key_is_found_by_itself_alone(path):
    first = create_key(path, "newsroom", ["feedback", "classify"])
    second = create_key(path, "operator", ["admin"])
    keys = Keys(path)
    found = keys.find(first)
    assert (found.name, found.scopes) == ("newsroom", ("classify", "feedback"))
    assert keys.find(second).name == "operator"
    for other in ("", "newsroom", first[:-1], first + "x", first.lower(), "clé \udc80"):
        assert keys.find(other) is None


def test_the_file_holds_no_key_and_is_its_owners_alone(path):
    key = create_key(path, "newsroom", ["classify"])
    content = path.read_text()
    assert key not in content
    assert key.removeprefix("vigie_") not in content
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (entry,) = json.loads(content)["keys"]
    assert set(entry) == {"name", "scopes", "created", "sha256"}
    assert datetime.fromisoformat(entry["created"]).tzinfo is not None


def test_keys_are_long_and_differ(path):
    made = {create_key(path, f"k{i}", ["classify"]) for i in range(5)}
    assert len(made) == 5
    assert all(len(key) == len("vigie_") + 43 for key in made)


def test_a_changed_file_counts_at_once(path):
    key = create_key(path, "newsroom", ["classify"])
    keys = Keys(path)
    later = create_key(path, "later", ["classify"])
    assert keys.find(later).name == "later"
    revoke_key(path, "newsroom")
    assert keys.find(key) is None
    assert keys.find(later) is not None


@pytest.mark.parametrize("damage", ["not json", '{"keys": 1}', None])
def test_a_damaged_file_leaves_the_keys_as_they_were(path, damage, caplog):
    key = create_key(path, "newsroom", ["classify"])
    keys = Keys(path)
    if damage is None:
        path.unlink()
    else:
        path.write_text(damage)
    assert keys.find(key) is not None
    assert keys.find(key) is not None
    assert [record.message[:26] for record in caplog.records] == ["keys stay as they were: /t"[:26]]


def test_a_revoked_name_stays_taken(path):
    create_key(path, "newsroom", ["classify"])
    revoke_key(path, "newsroom")
    with pytest.raises(KeyFileError, match=r'the name "newsroom" is taken, revoked 20'):
        create_key(path, "newsroom", ["classify"])
    with pytest.raises(KeyFileError, match='unknown key "newsroom"'):
        revoke_key(path, "newsroom")
    assert read_keys(path)[0].sha256 == ""


def test_bad_names_and_scopes_are_refused(path):
    with pytest.raises(KeyFileError, match='name "News Room": expected small letters'):
        create_key(path, "News Room", ["classify"])
    with pytest.raises(KeyFileError, match='unknown scope "admn"; did you mean "admin"'):
        create_key(path, "newsroom", ["admn"])
    assert not path.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", 'expected an object with a list "keys"'),
        ('{"keys": [{"name": "a", "scopes": ["root"], "sha256": ""}]}', r"keys\[0\]: scopes are"),
        ('{"keys": [{"name": "a", "scopes": [], "sha256": "ab"}]}', "sha256 is 64 hexadecimal"),
        ('{"keys": [{"scopes": []}]}', r'keys\[0\]: expected an object with "name"'),
    ],
)
def test_a_bad_file_stops_the_start_and_is_named(path, content, message):
    path.write_text(content)
    with pytest.raises(SettingsError, match=message) as error:
        Keys(path)
    assert str(error.value).startswith("VIGIE_KEYS_FILE")


def test_a_file_that_is_not_there_stops_the_start(path):
    with pytest.raises(SettingsError, match=r"No such file.*keys create NAME"):
        Keys(path)


def test_an_unknown_key_takes_as_long_as_the_first_or_the_last(path):
    made = [create_key(path, f"k{i}", ["classify"]) for i in range(20)]
    keys = Keys(path)
    asked = {"first": made[0], "last": made[-1], "unknown": "vigie_" + "x" * 43, "missing": ""}
    times = {name: [] for name in asked}
    for _ in range(2000):
        for name, key in asked.items():
            started = time.perf_counter_ns()
            keys.find(key)
            times[name].append(time.perf_counter_ns() - started)
    medians = {name: statistics.median(found) for name, found in times.items()}
    assert max(medians.values()) / min(medians.values()) < 1.2, medians
