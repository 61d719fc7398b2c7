"""A short run of the soak benchmark: the service at 80 % of what it can do while versions take turns."""

from __future__ import annotations

import json
import subprocess
import sys

from running import ROOT


def test_under_steady_load_with_promotions_nothing_fails_mixes_or_grows(registry, pytestconfig):
    seconds = pytestconfig.getoption("--soak")
    done = subprocess.run(
        [
            *(sys.executable, "tests/benchmarks/soak.py", "--json", "--registry", registry.root),
            *("--seconds", str(seconds), "--every", str(seconds / 6), "--clients", "4"),
            *("--growth", "12"),  # Of a short run: what settles in minutes has not settled yet.
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["failures"] == {}
    assert report["promotions"] >= 5
    assert min(report["answers"].values()) > 100
