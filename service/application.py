"""The Flask application, put together."""

from __future__ import annotations

import logging

from flask import Flask

from service import access, admin_routes, feedback_routes, problems
from service.live import ModelSource
from service.routes import api
from service.settings import Settings


def create_app(settings: Settings | None = None) -> Flask:
    """The application with its model loaded; without a model it starts too, and answers 503 until there is one."""
    settings = settings or Settings.from_environment()
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    app = Flask("service")
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    source = ModelSource(settings)
    source.follow()
    app.extensions["vigie_settings"] = settings
    app.extensions["vigie_models"] = source
    problems.register(app)
    access.register(app, settings)
    feedback_routes.register(app, settings)
    app.register_blueprint(api)
    app.register_blueprint(feedback_routes.feedback_api)
    app.register_blueprint(admin_routes.admin_api)
    return app
