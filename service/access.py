"""Who may call what: API keys over HTTP.

Every call under ``/v1/`` needs a scope: `classify`, unless its view says otherwise with `needs`. Scopes do not include one another.
What is not under ``/v1/`` is open: liveness, readiness, metrics, the page, the documentation.

Without a file of keys, calls are open that neither change what is served nor give kept texts back: classifying, and sending feedback
(where feedback is on). All else is closed, because nobody can show a key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Blueprint, Flask, current_app, g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from service.keys import ADMIN, CLASSIFY, FEEDBACK, Key, Keys
from service.problems import ProblemError
from service.settings import Settings

_SCOPE = "vigie_scope"
_OPEN = "vigie_open_without_keys"
_REALM = 'Bearer realm="vigie"'
_View = TypeVar("_View", bound=Callable[..., Any])


def needs(scope: str, *, open_without_keys: bool = False) -> Callable[[_View], _View]:
    """Marks a view with the scope that a key needs to call it."""

    def mark(view: _View) -> _View:
        setattr(view, _SCOPE, scope)
        setattr(view, _OPEN, open_without_keys)
        return view

    return mark


def register(app: Flask, settings: Settings) -> None:
    """Reads the keys, limits the rate and guards the calls; with none of the settings a call to classify passes no hook at all."""
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies)  # type: ignore[method-assign]
    keys = Keys(settings.keys_file) if settings.keys_file else None
    app.extensions["vigie_keys"] = keys
    if settings.rate_limit:
        # Before the keys are asked for, so that guessing keys is limited too.
        from service.limits import register as register_limits

        register_limits(app, settings)
    if keys is not None:
        app.before_request(_check)


def guard(blueprint: Blueprint) -> None:
    """Guards a blueprint's calls where there is no file of keys, too."""
    blueprint.before_request(_check)


def caller() -> str | None:
    """The name of the key that the request shows; None where it shows none that is known, or there are no keys."""
    key = _key()
    return None if key is None else key.name


def _check() -> None:
    endpoint = request.endpoint
    if endpoint is None or not request.path.startswith("/v1/"):
        return
    view = current_app.view_functions[endpoint]
    scope: str = getattr(view, _SCOPE, CLASSIFY)
    if current_app.extensions["vigie_keys"] is None:
        if not getattr(view, _OPEN, False):
            raise ProblemError(
                403,
                f"this call needs a key with the scope {scope}, and the service has no keys; set "
                "VIGIE_KEYS_FILE and make one with `python -m service keys create`",
                "no-keys",
            )
        return
    key = _key()
    if key is None:
        raise _unauthorized()
    if scope not in key.scopes:
        raise ProblemError(
            403,
            f'the key "{key.name}" does not have the scope {scope}',
            "missing-scope",
            {"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{scope}"'},
        )


def _unauthorized() -> ProblemError:
    if request.headers.get("Authorization") is None:
        return ProblemError(
            401,
            "expected a header Authorization: Bearer KEY",
            "key-missing",
            {"WWW-Authenticate": _REALM},
        )
    return ProblemError(
        401,
        "this key is not known",
        "key-unknown",
        {"WWW-Authenticate": f'{_REALM}, error="invalid_token"'},
    )


def _key() -> Key | None:
    """The key of the request, looked up once. A request without one takes as long as one with a wrong one."""
    if "vigie_key" not in g:
        keys: Keys | None = current_app.extensions["vigie_keys"]
        g.vigie_key = None if keys is None else keys.find(_presented())
    key: Key | None = g.vigie_key
    return key


def _presented() -> str:
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if kind.lower() == "bearer" else ""


__all__ = ["ADMIN", "CLASSIFY", "FEEDBACK", "caller", "guard", "needs", "register"]
