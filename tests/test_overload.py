"""What clients can do to a worker, against a real server: places, slow bodies, headers, encodings."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from running import JSON, running, wait_for

TEXT = "Twitter a suspendu le compte du sénateur."


@pytest.fixture(scope="module")
def service(version, tmp_path_factory):
    folder = tmp_path_factory.mktemp("overload")
    with running(
        folder, "--model", str(version), queue=4, slow_bodies=40, idle_seconds=1
    ) as service:
        yield service


def half_sent(service) -> socket.socket:
    connection = service.connect()
    connection.sendall(
        b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b'Content-Length: 1000\r\n\r\n{"text": "Twitter'
    )
    return connection


def is_closed(connection: socket.socket) -> bool:
    connection.settimeout(0.05)
    try:
        return connection.recv(65_536) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_half_sent_bodies_hold_up_nobody_and_are_closed(service):
    connections = [half_sent(service) for _ in range(30)]
    time.sleep(0.3)
    for _ in range(20):
        started = time.monotonic()
        assert service.classify(TEXT).status == 200
        assert time.monotonic() - started < 1
    wait_for(lambda: all(is_closed(c) for c in connections), "half-sent bodies to be closed", 8)


def test_bodies_that_trickle_in_are_closed_too(service):
    connection = half_sent(service)
    stopped = threading.Event()

    def trickle():
        with contextlib.suppress(OSError):
            while not stopped.wait(0.1):
                connection.sendall(b"x")

    sender = threading.Thread(target=trickle)
    sender.start()
    try:
        wait_for(lambda: is_closed(connection), "the trickle to be closed", 8)
    finally:
        stopped.set()
        sender.join()
        connection.close()


def test_more_slow_bodies_than_allowed_are_turned_away_and_health_stays_open(service):
    connections = [half_sent(service) for _ in range(40)]
    time.sleep(0.3)
    answer = service.classify(TEXT)
    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:vigie:problem:busy"
    assert service.get("/healthz").status == 200
    assert service.get("/readyz").status == 200
    wait_for(lambda: all(is_closed(c) for c in connections), "slow bodies to be closed", 8)
    wait_for(lambda: service.classify(TEXT).status == 200, "places to be free again", 8)


def test_idle_connections_are_closed_and_busy_ones_are_not(service):
    idle, busy = service.connect(), service.connect()
    request = b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n"
    for connection in (idle, busy):
        connection.sendall(request)
        assert connection.recv(1 << 20).startswith(b"HTTP/1.1 200")
    for _ in range(9):
        time.sleep(0.25)
        busy.sendall(request)
        assert busy.recv(1 << 20)
    assert is_closed(idle)
    assert not is_closed(busy)
    busy.close()
    idle.close()


def test_requests_beyond_the_queue_are_turned_away_at_once_and_none_fails(service):
    passages = [{"text": f"{TEXT} {i} " * 20} for i in range(100)]
    body = json.dumps({"passages": passages, "explain": True})

    def ask(_):
        started = time.monotonic()
        answer = service.ask("POST", "/v1/classify", body, {"Content-Type": JSON})
        return answer, time.monotonic() - started

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(ask, range(32)))
    statuses = {answer.status for answer, _ in answers}
    assert statuses == {200, 503}
    assert all(a.json()["type"].endswith("busy") for a, _ in answers if a.status == 503)
    longest = max(seconds for answer, seconds in answers if answer.status == 200)
    turned_away = sorted(seconds for answer, seconds in answers if answer.status == 503)
    assert turned_away[len(turned_away) // 2] < longest / 2
    assert service.classify(TEXT).status == 200


def test_who_waits_for_a_long_computation_is_not_closed(service):
    """Longer than `idle_seconds`, on a connection that moved little before."""
    text = " ".join(f"{TEXT} {i}" for i in range(1900))
    body = json.dumps({"passages": [{"text": text}] * 16, "explain": True})
    started = time.monotonic()
    answer = service.ask("POST", "/v1/classify", body, {"Content-Type": JSON}, timeout=60)
    assert answer.status == 200
    assert time.monotonic() - started > 1.5


def test_a_request_that_computes_for_too_long_is_given_up(version, tmp_path):
    text = " ".join(f"{TEXT} {i}" for i in range(1900))
    body = json.dumps({"passages": [{"text": text}] * 100, "explain": True})
    with running(tmp_path, "--model", str(version), request_seconds=1) as service:
        started = time.monotonic()
        answer = service.ask("POST", "/v1/classify", body, {"Content-Type": JSON})
        assert time.monotonic() - started < 6
        assert answer.status == 503
        assert answer.json()["type"] == "urn:vigie:problem:given-up"
        assert answer.json()["limit"] == 1


def test_ten_thousand_headers_are_refused(service):
    connection = service.connect()
    lines = b"".join(b"X-Header-%d: 1\r\n" % i for i in range(10_000))
    with contextlib.suppress(OSError):
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n")
    with contextlib.suppress(ConnectionError):
        assert connection.recv(1000).startswith(b"HTTP/1.1 431")
    connection.close()
    assert service.get("/healthz").status == 200


def test_an_endless_header_is_refused(service):
    connection = service.connect()
    with contextlib.suppress(OSError):
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
        for _ in range(200):
            connection.sendall(b"x" * 10_000)
    with contextlib.suppress(ConnectionError):
        assert connection.recv(1000)[:12] in {b"HTTP/1.1 431", b""}
    connection.close()
    assert service.get("/healthz").status == 200


def test_a_gzip_bomb_is_refused_unopened(service):
    bomb = gzip.compress(b'{"text": "' + b"a" * 100_000_000 + b'"}')
    before = service.memory()
    for content_type in (JSON, "application/x-ndjson"):
        headers = {"Content-Type": content_type, "Content-Encoding": "gzip"}
        answer = service.ask("POST", "/v1/classify", bomb, headers)
        assert answer.status == 415
        assert answer.json()["detail"] == "compressed bodies are not read"
    assert service.memory() - before < 10_000_000


def test_a_body_of_unknown_length_is_read_up_to_the_limit(service):
    def chunks(number):
        yield b'{"text": "'
        for _ in range(number):
            yield b"a " * 500
        yield b'"}'

    headers = {"Content-Type": JSON}
    assert service.ask("POST", "/v1/classify", chunks(50), headers).status == 200
    answer = None
    with contextlib.suppress(ConnectionError):
        answer = service.ask("POST", "/v1/classify", chunks(11_000), headers)
    if answer is not None:
        assert answer.status == 413
    assert service.classify(TEXT).status == 200


def test_a_body_that_says_it_is_too_large_is_refused_unread(service):
    connection = service.connect()
    connection.sendall(
        b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 10000001\r\n\r\n"
    )
    received = connection.recv(10_000)
    assert received.startswith(b"HTTP/1.1 413")
    connection.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"POST /v1/classify HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/classify HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_not_http_harms_nobody(service, sent):
    workers = service.workers()
    connection = service.connect()
    connection.sendall(sent)
    connection.settimeout(0.3)
    with contextlib.suppress(OSError):
        assert not connection.recv(1000).startswith(b"HTTP/1.1 5")
    connection.close()
    assert service.classify(TEXT).status == 200
    assert service.workers() == workers


def test_large_bodies_hold_no_more_memory_than_is_set_and_small_ones_are_served(version, tmp_path):
    """Each client sends nearly all of 9 MB and waits; 40 of them would hold 360 MB."""
    with running(tmp_path, "--model", str(version), max_body_bytes=9_000_000) as service:
        assert service.classify(TEXT).status == 200
        before = service.memory()
        clients = [service.connect() for _ in range(40)]
        head = (
            b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 9000000\r\n\r\n"
        )

        def send(connection):
            with contextlib.suppress(OSError):
                connection.sendall(head + b"x" * 8_999_000)

        with ThreadPoolExecutor(40) as threads:
            list(threads.map(send, clients))
        assert service.memory() - before < 130_000_000
        assert service.classify(TEXT).status == 200
        for connection in clients:
            connection.close()
        body = json.dumps({"text": TEXT, "topics": ["x" * 1_000_000]})
        wait_for(
            lambda: service.ask("POST", "/v1/classify", body, {"Content-Type": JSON}).status == 422,
            "large bodies to be read again",
        )


def test_streams_take_half_of_the_places_and_leave_the_others_to_requests(version, tmp_path):
    with running(tmp_path, "--model", str(version), queue=4) as service:
        streams = [service.connect() for _ in range(6)]
        received = []
        for connection in streams:
            line = json.dumps({"text": TEXT}).encode() + b"\n"
            connection.sendall(
                b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
                + b"%x\r\n%s\r\n"
                % (100 * len(line), 100 * line)
            )
            received.append(connection.recv(12))
        assert received == [b"HTTP/1.1 200"] * 2 + [b"HTTP/1.1 503"] * 4
        assert [service.classify(TEXT).status for _ in range(10)] == [200] * 10
        for connection in streams:
            connection.close()
        headers = {"Content-Type": "application/x-ndjson"}
        line = json.dumps({"text": TEXT})
        wait_for(
            lambda: service.ask("POST", "/v1/classify", line, headers).status == 200,
            "the places of streams that were cut off",
        )
