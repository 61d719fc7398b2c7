"""Which connections are idle, on real ones, with the clock of the test."""

from __future__ import annotations

import socket
import sys
import time

import pytest

from service.connections import LEAST_BYTES, Connections

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells what sockets moved")
IDLE = 20.0


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def pair(listener):
    """A client, and the connection to it."""
    with socket.create_connection(listener.getsockname()) as client:
        connection, _ = listener.accept()
        with connection:
            yield client, connection


def send(pair, size: int) -> None:
    client, connection = pair
    client.sendall(b"x" * size)
    received = 0
    while received < size:
        received += len(connection.recv(65_536))
    time.sleep(0.01)


def test_a_connection_that_moves_nothing_is_closed_in_time(listener, pair):
    connections = Connections(listener.getsockname()[1], IDLE)
    assert connections.close_idle(0.0) == 0
    assert connections.close_idle(IDLE - 1) == 0
    assert connections.close_idle(IDLE) == 1
    assert pair[0].recv(1) == b""


def test_a_connection_that_moves_enough_stays(listener, pair):
    connections = Connections(listener.getsockname()[1], IDLE)
    for look in range(10):
        assert connections.close_idle(look * IDLE * 0.9) == 0
        send(pair, LEAST_BYTES)


def test_a_request_that_comes_just_before_the_look_is_not_cut_off(listener, pair):
    """On a connection that was kept open, a small request would else be lost on its way."""
    connections = Connections(listener.getsockname()[1], IDLE)
    connections.close_idle(0.0)
    send(pair, 100)
    assert connections.close_idle(IDLE) == 0
    assert connections.close_idle(IDLE + 5) == 1


def test_a_trickle_ends_after_twice_the_time(listener, pair):
    connections = Connections(listener.getsockname()[1], IDLE)
    closed = []
    for look in range(9):
        send(pair, 1)
        closed.append(connections.close_idle(look * IDLE / 4))
    assert closed == [0] * 8 + [1]


def test_while_a_request_computes_the_connection_it_came_on_stays(listener, pair):
    oldest: list[float | None] = [None]
    connections = Connections(listener.getsockname()[1], IDLE, lambda: oldest[0])
    connections.close_idle(0.0)
    send(pair, 10)
    connections.close_idle(IDLE / 4)
    oldest[0] = IDLE / 4
    assert connections.close_idle(3 * IDLE) == 0
    oldest[0] = None
    assert connections.close_idle(3 * IDLE + 1) == 1


def test_another_connection_from_the_same_port_begins_anew(listener):
    connections = Connections(listener.getsockname()[1], IDLE)
    address = None
    for size in (5000, 10):
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            if address is not None:
                client.bind(address)
            client.connect(listener.getsockname())
            address = client.getsockname()
            connection, _ = listener.accept()
            with connection:
                send((client, connection), size)
                assert connections.close_idle(IDLE * 0.9 if size == 5000 else IDLE * 1.8) == 0
