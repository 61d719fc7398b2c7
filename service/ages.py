"""Ages as people write them."""

from __future__ import annotations

import re
from datetime import timedelta

from model.errors import VigieError

_AGE = re.compile(r"(\d{1,6})\s*(h|d|w)")
_HOURS = {"h": 1, "d": 24, "w": 7 * 24}


class AgeError(VigieError):
    """An age that cannot be understood."""


def parse_age(written: str) -> timedelta:
    """The age that ``90d``, ``12h`` or ``2w`` says; AgeError for anything else, and for more than a century."""
    found = _AGE.fullmatch(written.strip().lower())
    hours = int(found[1]) * _HOURS[found[2]] if found else 0
    if not found or hours > 100 * 366 * 24:
        raise AgeError(f'expected an age as 90d, 12h or 2w, got "{written[:40]}"')
    return timedelta(hours=hours)
