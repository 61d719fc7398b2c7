from __future__ import annotations

import io
import json
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import running, wait_for

from service.streams import Line, read_lines

NDJSON = "application/x-ndjson"
TEXT = "Twitter a suspendu le compte du sénateur après des messages de haine."


def stream(client, lines, query=""):
    body = b"\n".join(
        line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines
    )
    answer = client.post(f"/v1/classify{query}", data=body, content_type=NDJSON)
    assert answer.status_code == 200, answer.data
    assert answer.content_type == NDJSON
    return [json.loads(line) for line in answer.data.splitlines()]


def test_a_line_in_gives_a_line_out_as_in_one_request(client):
    passages = [{"id": i, "text": f"{TEXT} {i}"} for i in range(600)]
    answered = client.post(
        "/v1/classify", data=json.dumps({"passages": passages}), content_type="application/json"
    )
    assert stream(client, passages) == answered.get_json()["results"]


def test_options_come_in_the_query(client):
    query = "?operating_point=recall&explain=true&topics=deplatforming,hate-speech"
    (result,) = stream(client, [{"text": TEXT}], query)
    (expected,) = client.post(
        "/v1/classify",
        data=json.dumps(
            {
                "text": TEXT,
                "operating_point": "recall",
                "explain": True,
                "topics": ["deplatforming", "hate-speech"],
            }
        ),
        content_type="application/json",
    ).get_json()["results"]
    assert result == expected
    assert set(result["explanation"]) == {"deplatforming", "hate-speech"}


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("?topics=lawsuits", "topics"),
        ("?topics=", "topics"),
        ("?operating_point=fast", "operating_point"),
        ("?explain=perhaps", "explain"),
        ("?explian=true", "explian"),
    ],
)
def test_a_bad_option_is_a_problem_before_the_stream_begins(client, query, where):
    answer = client.post(f"/v1/classify{query}", data=b"{}", content_type=NDJSON)
    assert answer.status_code == 422
    assert answer.get_json(force=True)["where"] == where


def test_a_bad_line_is_a_problem_with_its_number_and_the_others_are_answered(client):
    lines = [
        {"id": "a", "text": TEXT},
        b"{",
        b"",
        {"id": "b"},
        b"\xff\xfe",
        {"id": "c", "text": "x" * 100_001},
        b'["text"]',
        b"   ",
        {"id": 10**30, "text": TEXT},
        {"id": "d", "text": TEXT},
    ]
    answers = stream(client, lines)
    assert [a.get("id") or (a["line"], a["status"]) for a in answers] == [
        "a", (2, 400), (4, 422), (5, 400), (6, 413), (7, 422), (9, 422), "d",
    ]  # fmt: skip
    assert answers[4]["limit"] == 100_000
    assert answers[2]["where"] == "text"
    assert not any("xxx" in json.dumps(a) for a in answers)


def test_an_empty_stream_has_an_empty_answer(client):
    assert stream(client, []) == []
    assert stream(client, [b"", b"\r", b" "]) == []


def test_a_failure_of_our_own_ends_the_stream_with_a_problem(app, monkeypatch):
    def fail(*_):
        raise RuntimeError(TEXT)

    monkeypatch.setattr("service.results.classify", fail)
    (last,) = stream(app.test_client(), [{"text": TEXT}] * 3)
    assert last["status"] == 500
    assert TEXT not in json.dumps(last)


@given(st.binary(max_size=300), st.integers(1, 40))
def test_lines_are_those_of_split_whatever_the_reads(content, longest):
    content = content.replace(b"\x00", b"\n")
    expected = [
        Line(n, line if len(line) <= longest else None)
        for n, line in enumerate(content.split(b"\n"), 1)
        if line.strip() or len(line) > longest
    ]

    class Slow(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 7))

    assert [line for lines in read_lines(Slow(content), longest) for line in lines] == expected


def test_a_line_without_end_is_not_kept_in_memory():
    class Endless(io.RawIOBase):
        left = 5000

        def read(self, size=-1):
            self.left -= 1
            return b"x" * size if self.left > 0 else b""

    (lines,) = read_lines(Endless(), 100_000)
    assert lines == [Line(1, None)]


@pytest.fixture(scope="module")
def service(version, tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams")
    with running(folder, "--model", str(version), idle_seconds=3) as service:
        yield service


def open_stream(service) -> socket.socket:
    connection = service.connect()
    connection.sendall(
        b"POST /v1/classify?topics=lawsuit HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    return connection


def send_chunk(connection: socket.socket, content: bytes) -> None:
    connection.sendall(b"%x\r\n%s\r\n" % (len(content), content))


def test_a_long_stream_is_answered_whole_with_flat_memory(service):
    """120,000 lines, 13 MB in, more than a body may have, sent while the answer is read."""
    line = json.dumps({"id": "some-identifier", "text": TEXT}).encode() + b"\n"
    block, blocks = line * 500, 240
    stream(_Client(service), [{"text": TEXT}] * 3000)
    before = service.memory()
    connection = open_stream(service)

    def send():
        for _ in range(blocks):
            send_chunk(connection, block)
        connection.sendall(b"0\r\n\r\n")

    sender = threading.Thread(target=send)
    sender.start()
    received, answered, most = b"", 0, 0
    while not received.endswith(b"0\r\n\r\n"):
        piece = connection.recv(1 << 16)
        assert piece, "the stream was cut"
        answered += piece.count(b'"some-identifier"')
        if len(received) > 100_000:
            most = max(most, service.memory())
            received = b""
        received = received[-16:] + piece if len(received) > 100_000 else received + piece
    sender.join()
    connection.close()
    assert answered == pytest.approx(
        500 * blocks, rel=1e-4
    )  # one split between two reads is missed
    assert most > 0
    assert most - before < 12_000_000


def test_a_client_that_reads_nothing_stops_the_stream_and_is_closed(service):
    block = json.dumps({"text": TEXT}).encode() + b"\n"
    before = service.memory()
    connection = open_stream(service)
    connection.settimeout(1)
    sent = 0
    try:
        for _ in range(4000):
            send_chunk(connection, block * 200)
            sent += 1
    except OSError:
        pass
    assert sent < 4000, "the server read on though nobody took its answers"
    assert service.memory() - before < 20_000_000
    assert service.classify(TEXT).status == 200
    wait_for(lambda: "closed 1 idle" in service.log.read_text(), "the connection to be closed", 12)
    connection.close()


def test_lines_are_answered_while_the_stream_is_open(service):
    connection = open_stream(service)
    send_chunk(connection, (json.dumps({"id": 1, "text": TEXT}).encode() + b"\n") * 100)
    received = b""
    while b'"id":1' not in received:
        piece = connection.recv(1 << 16)
        assert piece
        received += piece
    connection.sendall(b"0\r\n\r\n")
    connection.close()


class _Client:
    """A running service in the way of Flask's test client."""

    def __init__(self, service) -> None:
        self.service = service

    def post(self, path, data, content_type):
        answer = self.service.ask("POST", path, data, {"Content-Type": content_type})

        class Response:
            status_code = answer.status
            content_type = answer.headers["content-type"]

        Response.data = answer.body
        return Response
