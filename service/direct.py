"""``POST /v1/classify`` with one JSON body, answered without Flask in between.

Matching a route, making a request and a response and tearing down their contexts costs Flask as much time as scoring a passage takes. The
commonest call does without: the same function answers, with the same problems. Anything out of the ordinary (a stream, an encoding, a
body that is too large, a hook that looks at requests, such as one that asks for a key) is left to Flask.
"""

from __future__ import annotations

import io
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
_OK = "200 OK"

Environ = dict[str, Any]
Answer = tuple[str, str, bytes]
"""Status line, content type, body."""


class DirectClassification:
    """Answers the calls that it may answer."""

    def __init__(
        self, app: Flask, settings: Settings, source: ModelSource, observer: Observer
    ) -> None:
        self._app = app
        self._settings = settings
        self._source = source
        self._observer = observer

    def takes(self, environ: Environ) -> bool:
        """Whether a request, its body read already, can be answered here."""
        return (
            environ["PATH_INFO"] == PATH
            and environ["REQUEST_METHOD"] == "POST"
            and environ.get("CONTENT_TYPE") == _JSON
            and "HTTP_CONTENT_ENCODING" not in environ
            and type(environ["wsgi.input"]) is io.BytesIO
            and self._source.current is not None
            and not self._is_hooked()
            and len(environ["wsgi.input"].getbuffer()) <= self._settings.max_body_bytes
        )

    def answer(self, environ: Environ, observation: Observation) -> Answer:
        """The answer to a request that `takes` took."""
        observation.route = PATH
        live = self._source.current
        if live is None:
            raise RuntimeError("a model was live and is not any more")
        try:
            body = classification.answer(
                environ["wsgi.input"].getvalue(),
                live,
                self._settings,
                self._observer,
                observation,
            )
        except ProblemError as error:
            return _problem(error.to_json())
        except Exception as error:  # noqa: BLE001 - as Flask's own edge does
            return _problem(problems.unexpected(observation.method, PATH, error))
        return _OK, _JSON, body

    def _is_hooked(self) -> bool:
        before, after = self._app.before_request_funcs, self._app.after_request_funcs
        return bool(
            before.get(None) or before.get(_BLUEPRINT) or after.get(None) or after.get(_BLUEPRINT)
        )


def _problem(document: dict[str, Any]) -> Answer:
    status = f"{document['status']} {document['title']}"
    return status, problems.CONTENT_TYPE, orjson.dumps(document) + b"\n"
