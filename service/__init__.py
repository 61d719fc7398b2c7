"""The service: the model for others to call, over HTTP and from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from service.settings import Settings


def create_app(settings: Settings | None = None) -> Flask:
    """The Flask application; settings come from the environment unless given. Any WSGI server can run it."""
    from service.application import create_app as create

    return create(settings)
