"""A real Dask cluster for tests: a scheduler and worker processes, each on ports of its own, that can be killed and cut off."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORKERS = 4


class Proxy:
    """Stands before the scheduler, so that its connections can be cut."""

    def __init__(self, port):
        self._target = port
        self._pairs = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                try:
                    theirs = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    ours.close()
                    continue
                self._pairs.append((ours, theirs))
                for pair in ((ours, theirs), (theirs, ours)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source, target):
        with contextlib.suppress(OSError):
            while block := source.recv(65536):
                target.sendall(block)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()

    def cut(self):
        """Ends every connection there is; new ones are let through. Returns how many it were."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
        return len(pairs)

    def close(self):
        self._listener.close()
        self.cut()


class Cluster:
    """A scheduler behind a proxy, and workers that are started again when they end, as a deployment does."""

    def __init__(self, folder):
        self._folder = folder
        self._log = (folder / "dask.log").open("ab")
        port = free_port()
        self._scheduler = self._start("scheduler", "--port", str(port), "--no-dashboard")
        wait_for_port(port)
        self.proxy = Proxy(port)
        self.address = f"tcp://127.0.0.1:{self.proxy.port}"
        self.workers = [self._start_worker() for _ in range(WORKERS)]
        self._open = True
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)
        self._supervisor.start()

    def _start(self, *arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments, "--host", "127.0.0.1"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=self._log,
            stderr=self._log,
        )

    def _start_worker(self):
        return self._start(
            "worker",
            self.address,
            "--no-nanny",
            "--no-dashboard",
            "--nthreads=1",
            f"--local-directory={self._folder}",
        )

    def _supervise(self):
        while self._open:
            for place, process in enumerate(self.workers):
                if process.poll() is not None and self._open:
                    self.workers[place] = self._start_worker()
            time.sleep(0.1)

    def kill_a_worker(self):
        self.workers[random.randrange(WORKERS)].send_signal(signal.SIGKILL)

    def close(self):
        self._open = False
        self._supervisor.join()
        for process in (*self.workers, self._scheduler):
            process.kill()
            process.wait()
        self.proxy.close()
        self._log.close()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_for_port(port):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise AssertionError("the scheduler did not start")
