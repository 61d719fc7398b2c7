"""``POST /v1/classify`` with one JSON body, answered without Flask in between.

Matching a route, making a request and a response and tearing down their contexts costs Flask as much time as scoring a passage takes. The
commonest call does without: the same function answers, with the same problems. Anything out of the ordinary (a stream, an encoding, a
body that is too large, a hook that looks at requests, such as one that asks for a key) is left to Flask.
"""

from __future__ import annotations

from typing import Any

import orjson
from flask import Flask

from service import classification, problems
from service.live import ModelSource
from service.observation import Observation, Observer
from service.problems import ProblemError
from service.settings import Settings

PATH = "/v1/classify"
_BLUEPRINT = "api"
_JSON = "application/json"

Environ = dict[str, Any]
Answer = tuple[int, str, str, bytes]
"""Status, status line, content type, body."""


class DirectClassification:
    """Answers the calls that it may answer, for an application that is put together."""

    def __init__(
        self, app: Flask, settings: Settings, source: ModelSource, observer: Observer
    ) -> None:
        self._settings = settings
        self._source = source
        self._observer = observer
        hooks = (app.before_request_funcs, app.after_request_funcs)
        self._is_hooked = any(hook.get(None) or hook.get(_BLUEPRINT) for hook in hooks)

    def takes(self, environ: Environ) -> bool:
        """Whether a request can be answered here once its body is read."""
        return (
            environ["PATH_INFO"] == PATH
            and environ["REQUEST_METHOD"] == "POST"
            and environ.get("CONTENT_TYPE") == _JSON
            and "HTTP_CONTENT_ENCODING" not in environ
            and not self._is_hooked
            and self._source.current is not None
        )

    def answer(self, body: bytes, observation: Observation) -> Answer:
        """The answer to a request that `takes` took."""
        observation.route = PATH
        live = self._source.current
        if live is None:
            raise RuntimeError("a model was live and is not any more")
        try:
            content = classification.answer(body, live, self._settings, self._observer, observation)
        except ProblemError as error:
            return _problem(error.to_json())
        except Exception as error:  # noqa: BLE001 - as Flask's own edge does
            return _problem(problems.unexpected(observation.method, PATH, error))
        return 200, "200 OK", _JSON, content


def _problem(document: dict[str, Any]) -> Answer:
    status = document["status"]
    content = orjson.dumps(document) + b"\n"
    return status, f"{status} {document['title']}", problems.CONTENT_TYPE, content
