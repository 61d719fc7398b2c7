"""The Flask application, put together."""

from __future__ import annotations

from flask import Flask

from service import access, admin_routes, feedback_routes, logs, page, problems
from service.drift import Traffic
from service.front import Front
from service.live import ModelSource
from service.metrics import Metrics
from service.observation import ObservedRequest, Observer
from service.routes import api
from service.settings import Settings


def create_app(settings: Settings | None = None) -> Flask:
    """The application with its model loaded; without a model it starts too, and answers 503 until there is one."""
    settings = settings or Settings.from_environment()
    logs.configure(settings.log_level)
    app = Flask("service")
    app.request_class = ObservedRequest
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    metrics = Metrics()
    metrics.listen(app)
    traffic = Traffic(metrics.folder)
    source = ModelSource(settings, metrics)
    source.follow()
    problems.register(app)
    access.register(app, settings)
    feedback_routes.register(app, settings)
    observer = Observer(metrics, traffic, app.extensions["vigie_review"])
    observer.start()
    app.extensions["vigie_settings"] = settings
    app.extensions["vigie_models"] = source
    app.extensions["vigie_observer"] = observer
    app.register_blueprint(api)
    app.register_blueprint(feedback_routes.feedback_api)
    app.register_blueprint(admin_routes.admin_api)
    app.register_blueprint(page.page_api)
    front = Front(app, settings, source, observer)
    app.extensions["vigie_front"] = front
    app.wsgi_app = front  # type: ignore[method-assign]
    return app
