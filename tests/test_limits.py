from __future__ import annotations

import signal
import time

import pytest
from servers import Redis, call, serving

from model import SettingsError
from service import create_app
from service.keys import create_key
from service.settings import Settings
from service.signals import limiter_unavailable

BODY = {"text": "The app was banned."}


@pytest.fixture
def redis(tmp_path):
    server = Redis(tmp_path)
    server.start()
    yield server
    server.stop()


def test_too_many_requests_are_told_when_to_come_back(version):
    client = create_app(Settings(model=version, rate_limit="3/minute")).test_client()
    for _ in range(3):
        assert client.post("/v1/classify", json=BODY).status_code == 200
    answer = client.get("/v1/topics")
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.content_type == "application/problem+json"
    problem = answer.get_json(force=True)
    assert problem["type"] == "urn:vigie:problem:too-many-requests"
    assert problem["limit"] == "3/minute"
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_addresses_are_counted_apart_behind_a_proxy_that_is_trusted(version):
    settings = Settings(model=version, rate_limit="1/minute", trusted_proxies=1)
    client = create_app(settings).test_client()
    statuses = [
        client.get("/v1/model", headers={"X-Forwarded-For": f"198.51.100.1, {address}"}).status_code
        for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1")
    ]
    assert statuses == [200, 200, 429]


def test_a_forwarded_address_is_not_believed_by_default(version):
    client = create_app(Settings(model=version, rate_limit="1/minute")).test_client()
    statuses = [
        client.get("/v1/model", headers={"X-Forwarded-For": address}).status_code
        for address in ("192.0.2.1", "192.0.2.2")
    ]
    assert statuses == [200, 429]


def test_keys_are_counted_apart_and_guesses_by_address(version, tmp_path):
    path = tmp_path / "keys"
    one, two = (create_key(path, name, ["classify"]) for name in ("one", "two"))
    settings = Settings(model=version, rate_limit="2/minute", keys_file=path)
    client = create_app(settings).test_client()
    asked = [one, one, one, two, "guess-1", "guess-2", "guess-3", two]
    statuses = [
        client.get("/v1/model", headers={"Authorization": f"Bearer {key}"}).status_code
        for key in asked
    ]
    assert statuses == [200, 200, 429, 200, 401, 401, 429, 200]


def test_workers_count_together_in_redis(version, tmp_path, redis):
    settings = {"rate_limit": "40/minute", "redis_url": redis.url, "workers": 2}
    with serving(tmp_path, "--model", str(version), **settings) as service:
        if time.time() % 60 > 50:
            time.sleep(61 - time.time() % 60)  # One window, whose count does not start anew.
        statuses = [call(service.port, "/v1/classify", BODY).status for _ in range(60)]
        assert statuses == [200] * 40 + [429] * 20


def test_while_redis_is_away_requests_are_let_through(version, tmp_path, redis, caplog):
    settings = Settings(model=version, rate_limit="2/minute", redis_url=redis.url)
    client = create_app(settings).test_client()
    lost: list[str] = []

    def count(_, reason):
        lost.append(reason)

    with limiter_unavailable.connected_to(count):
        assert client.get("/v1/model").status_code == 200
        redis.stop()
        started = time.monotonic()
        assert [client.get("/v1/model").status_code for _ in range(20)] == [200] * 20
        assert time.monotonic() - started < 1
    assert lost == ["ConnectionError"]
    messages = [record.message for record in caplog.records if "Redis" in record.message]
    assert messages == ["rate limits do not count: Redis cannot be reached (ConnectionError)"]


def test_a_redis_that_hangs_costs_one_short_wait(version, redis):
    settings = Settings(model=version, rate_limit="2/minute", redis_url=redis.url)
    client = create_app(settings).test_client()
    assert client.get("/v1/model").status_code == 200
    redis._process.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    assert [client.get("/v1/model").status_code for _ in range(20)] == [200] * 20
    assert time.monotonic() - started < 1.5
    redis._process.send_signal(signal.SIGCONT)


def test_it_counts_again_once_redis_is_back(version, redis, caplog):
    settings = Settings(model=version, rate_limit="2/minute", redis_url=redis.url)
    app = create_app(settings)
    client = app.test_client()
    redis.stop()
    assert client.get("/v1/model").status_code == 200
    redis.start()
    time.sleep(5.1)
    statuses = [client.get("/v1/model").status_code for _ in range(3)]
    assert statuses in ([200, 200, 429], [200, 200, 200])
    assert client.get("/v1/model").status_code in {200, 429}
    assert "rate limits count again: Redis is back" in caplog.text


def test_the_start_says_that_workers_count_by_themselves(version, caplog):
    create_app(Settings(model=version, rate_limit="5/second", workers=3))
    assert "3 workers let through up to 3 times 5/second; set VIGIE_REDIS_URL" in caplog.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rate_limit": "lots"}, 'VIGIE_RATE_LIMIT: expected a number .*, got "lots"'),
        (
            {"rate_limit": "1/second", "redis_url": "http://x"},
            "VIGIE_REDIS_URL: expected redis://",
        ),
    ],
)
def test_a_bad_limit_stops_the_start(version, settings, message):
    with pytest.raises(SettingsError, match=message):
        create_app(Settings(model=version, **settings))


def test_without_a_limit_there_is_no_hook_before_a_request(app):
    assert app.before_request_funcs.get(None, []) == []
