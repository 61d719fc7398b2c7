from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from running import JSON, ROOT, running, wait_for

from service import create_app, server
from service.settings import Settings

TEXT = "Twitter a suspendu le compte du sénateur après des messages de haine."
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? ([-\d.e+]+)$", re.MULTILINE)


def samples(text: str) -> dict[tuple[str, str], float]:
    """Values by name and labels; a line that is no sample fails."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = _SAMPLE.fullmatch(line)
            assert match, line
            found[match[1], match[2] or ""] = float(match[3])
    return found


def scrape(client) -> dict[tuple[str, str], float]:
    answer = client.get("/metrics")
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    return samples(answer.get_data(as_text=True))


@pytest.fixture
def fresh(version):
    """A client whose counts start at nothing."""
    return create_app(Settings(model=version)).test_client()


def test_requests_passages_topics_and_reasons_are_counted(fresh, classifier):
    texts = [TEXT, "Rien.", "The weather is fine today in the mountains."]
    expected = classifier.predict(texts)
    answer = fresh.post("/v1/classify", json={"passages": [{"text": t} for t in texts]})
    assert answer.status_code == 200
    assert fresh.post("/v1/classify", json={}).status_code == 422
    assert fresh.get("/v1/topics").status_code == 200
    assert fresh.get("/v1/nothing?q=secret").status_code == 404
    seen = scrape(fresh)
    assert seen["vigie_requests_total", 'route="/v1/classify",status="200"'] == 1
    assert seen["vigie_requests_total", 'route="/v1/classify",status="422"'] == 1
    assert seen["vigie_requests_total", 'route="/v1/topics",status="200"'] == 1
    assert seen["vigie_requests_total", 'route="none",status="404"'] == 1
    assert seen["vigie_passages_total", ""] == 3
    for topic in classifier.topics:
        given = sum(topic in prediction.topics for prediction in expected)
        assert seen.get(("vigie_topics_total", f'topic="{topic}"'), 0) == given
    for reason in ("too_short", "near_threshold", "other_language", "low_vocabulary_coverage"):
        count = sum(reason in prediction.reasons for prediction in expected)
        assert seen.get(("vigie_review_reasons_total", f'reason="{reason}"'), 0) == count
    assert seen["vigie_model_info", f'version="{classifier.version}"'] == 1


def test_latency_is_a_histogram_by_route(fresh):
    for _ in range(3):
        fresh.post("/v1/classify", json={"text": TEXT})
    seen = scrape(fresh)
    assert seen["vigie_request_seconds_count", 'route="/v1/classify"'] == 3
    assert seen["vigie_request_seconds_bucket", 'le="+Inf",route="/v1/classify"'] == 3
    assert 0 < seen["vigie_request_seconds_sum", 'route="/v1/classify"'] < 3


def test_articles_and_streams_are_counted_too(fresh):
    fresh.post("/v1/articles", json={"text": f"{TEXT}\nLire aussi : Rien\nUn autre paragraphe."})
    with fresh.post(
        "/v1/classify", data=b'{"text": "a"}\n{}\n', content_type="application/x-ndjson"
    ) as answer:
        assert answer.data.count(b"\n") == 2
    seen = scrape(fresh)
    assert seen["vigie_passages_total", ""] == 3
    assert (
        seen["vigie_requests_total", 'route="/v1/classify (application/x-ndjson)",status="200"']
        == 1
    )


def test_two_workers_count_as_one_and_a_dead_ones_counts_stay(version, tmp_path, classifier):
    with running(tmp_path, "--model", str(version), workers=2) as service:
        headers = {"Content-Type": JSON}
        body = json.dumps({"text": TEXT})
        label = f'version="{classifier.version}"'

        def total() -> dict[tuple[str, str], float]:
            return samples(service.get("/metrics").body.decode())

        wait_for(lambda: total().get(("vigie_model_info", label)) == 2, "both workers")
        with ThreadPoolExecutor(8) as threads:
            statuses = list(
                threads.map(
                    lambda _: service.ask("POST", "/v1/classify", body, headers).status, range(200)
                )
            )
        assert statuses == [200] * 200
        wait_for(lambda: total()["vigie_passages_total", ""] == 200, "all to be counted")
        for _ in range(6):
            seen = total()
            assert seen["vigie_requests_total", 'route="/v1/classify",status="200"'] == 200
            assert seen["vigie_passages_total", ""] == 200
            assert seen["vigie_request_seconds_count", 'route="/v1/classify"'] == 200
        time.sleep(max(0.0, 6 - _age(service)))  # granian ends as a whole when one dies young
        before = service.workers()
        os.kill(before[0], signal.SIGKILL)
        wait_for(lambda: len(set(service.workers()) - set(before)) == 1, "a new worker")
        wait_for(lambda: _answers(total) and total()["vigie_model_info", label] == 2, "two again")
        assert total()["vigie_passages_total", ""] == 200


def _age(service) -> float:
    return time.time() - min(Path(f"/proc/{pid}").stat().st_mtime for pid in service.workers())


def _answers(total) -> bool:
    try:
        total()
    except OSError:
        return False
    return True


def test_the_shared_folder_is_gone_when_the_server_ends(version, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    of_a_killed_server = tmp_path / "vigie-workers-left"
    of_a_killed_server.mkdir()
    with running(tmp_path, "--model", str(version)) as service:
        assert not of_a_killed_server.exists()
        (shared,) = tmp_path.glob("vigie-workers-*")
        assert list(shared.glob("counter_*.db"))
        with running(tmp_path, "--model", str(version)):
            assert len(list(tmp_path.glob("vigie-workers-*"))) == 2
            assert list(shared.glob("counter_*.db"))
        assert list(tmp_path.glob("vigie-workers-*")) == [shared]
        for pid in (service.process.pid, *service.workers()):
            os.kill(pid, signal.SIGKILL)
    with running(tmp_path, "--model", str(version)):
        assert not shared.exists()
    assert not list(tmp_path.glob("vigie-workers-*"))


def test_servers_of_the_same_process_number_keep_their_folders_apart(tmp_path, monkeypatch):
    """As in two containers with one disk."""
    monkeypatch.setattr(server, "_temporary_folders", lambda: [tmp_path])
    with server._shared_folder() as one:
        with server._shared_folder() as other:
            assert one.is_dir()
            assert other.is_dir()
        assert one.is_dir()
        assert not other.exists()
    assert not one.exists()


def test_workers_that_die_again_and_again_leave_one_file_of_counts(tmp_path, monkeypatch):
    """Each is a process that counts and is killed; nobody scrapes in between."""
    script = (
        "import os, signal\nfrom service.metrics import Metrics\nmetrics = Metrics()\n"
        "metrics.requests('/v1/classify', 200, [0.002, 0.2])\nmetrics.serving('v1', None)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    sizes = []
    for _ in range(6):
        subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment)
        sizes.append(len(list(tmp_path.iterdir())))
    assert max(sizes) <= 6, sorted(path.name for path in tmp_path.iterdir())
    script = "from service.metrics import Metrics\nprint(Metrics().render().decode())"
    rendered = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True
    ).stdout
    seen = samples(rendered.strip())
    assert seen["vigie_requests_total", 'route="/v1/classify",status="200"'] == 12
    assert seen["vigie_request_seconds_bucket", 'le="0.0025",route="/v1/classify"'] == 6
    assert seen["vigie_request_seconds_count", 'route="/v1/classify"'] == 12
    assert ("vigie_model_info", 'version="v1"') not in seen


def test_counting_a_request_costs_little(version, tmp_path):
    """In the files that workers share, where it costs most; the limit is generous, the figure is printed."""
    script = (
        "import sys, time\nfrom service.drift import Traffic\nfrom service.metrics import Metrics\n"
        "from service.observation import Observation, Observer\n"
        "observer = Observer(Metrics(), Traffic(None))\n"
        "class Model:\n    version = 'v1'\n"
        "results = [{'language': 'fr', 'topics': ['a', 'b'], 'reasons': ['c'], 'vocabulary_coverage': 1.0}]\n"
        "def once():\n"
        "    observation = Observation('id', 'POST', route='/v1/classify', status=200)\n"
        "    observer.classified(observation, Model, ['a'], results, comparable=True)\n"
        "    observer.answered(observation)\n"
        "best = 1.0\n"
        "for _ in range(20):\n"
        "    started = time.perf_counter()\n    for _ in range(500): once()\n"
        "    observer.settle()\n"
        "    best = min(best, (time.perf_counter() - started) / 500)\n"
        "print(round(best * 1e6, 1))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    print(done.stdout)
    assert float(done.stdout) < 60
