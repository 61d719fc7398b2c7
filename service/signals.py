"""Signals that something went wrong outside of the service, for whoever counts (see Flask's signals). The sender is the application.

`limiter_unavailable` and `database_unavailable` carry `reason`, a short text without secrets; `feedback_kept` carries `kind`.
"""

from __future__ import annotations

from blinker import Namespace

_VIGIE = Namespace()
limiter_unavailable = _VIGIE.signal("limiter-unavailable")
database_unavailable = _VIGIE.signal("database-unavailable")
feedback_kept = _VIGIE.signal("feedback-kept")
