"""The crosswalk: what the codes of topics in other standards mean.

A topic of the taxonomy lists codes (`Topic.codes`); ``crosswalk.json`` says which standards they are of, what each code is called there,
and what a topic says of a code: that it *is about* it. The DSA's categories codify decisions of platforms; news about such decisions is
about the category and is never itself in it. No code of IPTC stands for content moderation.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any


@cache
def load_crosswalk() -> dict[str, Any]:
    """The content of ``crosswalk.json``: `version`, `relation`, and `standards` with their codes."""
    content: dict[str, Any] = json.loads(
        (resources.files("model") / "crosswalk.json").read_text(encoding="utf-8")
    )
    return content
