"""Examples of each call for the OpenAPI document; a test sends every request and holds every answer against its schema.

Answers are as a model gave them, shortened to two topics.
"""

from __future__ import annotations

from typing import Any

TEXT = "Twitter a suspendu le compte du sénateur après des messages de haine."
_SCORES = {"deplatforming": 0.9412, "hate-speech": 0.7205}
_RESULT: dict[str, Any] = {
    "id": None,
    "language": "fr",
    "topics": ["deplatforming", "hate-speech"],
    "scope": 0.9871,
    "scores": _SCORES,
    "needs_review": False,
    "reasons": [],
    "truncated": False,
    "vocabulary_coverage": 0.9167,
}
_TAXONOMY = {"name": "vigie", "version": "1"}
_MODEL = {
    "version": "v0123456789ab",
    "taxonomy": _TAXONOMY,
    "operating_point": "balanced",
    "unreached": [],
}
CLASSIFY_IN = {"passages": [{"id": "a", "text": TEXT}], "operating_point": "balanced"}
CLASSIFY_OUT = {"model": _MODEL, "results": [{**_RESULT, "id": "a"}]}
STREAM_IN = '{"id": 1, "text": "Twitter suspended the account."}\n{"id": 2}\n'
STREAM_OUT = (
    '{"id":1,"language":"en","topics":["deplatforming"],"scope":0.98,"scores":{"deplatforming":0.94},"needs_review":false,"reasons":[],'
    '"truncated":false,"vocabulary_coverage":1.0}\n'
    '{"type":"urn:vigie:problem:invalid","title":"The request has the wrong shape","status":422,"detail":"text: Field required",'
    '"where":"text","line":2}\n'
)
ARTICLE_IN = {
    "title": "Un sénateur banni de Twitter",
    "text": f"{TEXT}\n\nLire aussi : Les réseaux sociaux et la haine\n",
}
ARTICLE_OUT = {
    "model": _MODEL,
    "text": ARTICLE_IN["text"],
    "topics": [{"topic": "deplatforming", "score": 0.9412, "passages": 2}],
    "passages": [
        {**_RESULT, "title": True, "furniture": False, "start": None, "end": None},
        {**_RESULT, "title": False, "furniture": False, "start": 0, "end": len(TEXT)},
    ],
}
REPORT = "<!doctype html>…"
TOPICS = {
    "taxonomy": _TAXONOMY,
    "crosswalk": {
        "version": "1",
        "relation": "is about",
        "standards": {
            "iptc": {
                "name": "IPTC Media Topics",
                "prefix": "",
                "codes": {"medtop:20001182": "social media"},
            }
        },
    },
    "topics": [
        {
            "slug": "deplatforming",
            "name": {"fr": "Bannissement", "en": "Deplatforming"},
            "definition": {
                "fr": "Un compte est fermé ou suspendu.",
                "en": "An account is closed.",
            },
            "thresholds": {
                "balanced": {"threshold": 0.35, "precision": 0.8, "recall": 0.8, "reached": True}
            },
            "held_out": {"precision": 0.8, "recall": 0.8, "f1": 0.8, "support": 250},
            "codes": {"iptc": ["medtop:20001182"], "dsa": []},
        }
    ],
}
_SUMMARY: dict[str, Any] = {
    "version": "v0123456789ab",
    "taxonomy": _TAXONOMY,
    "languages": ["en", "fr"],
    "training": {"passages": 10000, "events": 6000},
    "metrics": {"micro_f1": 0.8, "macro_f1": 0.75},
    "learning_curve": [{"passages": 5000, "map": 0.7}, {"passages": 10000, "map": 0.8}],
    "live_since": "2026-01-31T08:00:00.000+00:00",
}
MODEL = _SUMMARY
MODELS = {"live": "v0123456789ab", "models": [{**_SUMMARY, "live": True}]}
DRIFT = {
    "model": "v0123456789ab",
    "window_seconds": 3600,
    "passages": 1200,
    "languages": {
        "fr": {
            "passages": 1200,
            "share": {"recent": 1.0, "training": 0.5, "z": 34.64},
            "vocabulary_coverage": {"recent": 0.91, "training": 0.95},
            "topics": {"deplatforming": {"recent": 0.05, "training": 0.06, "z": -1.46}},
        }
    },
    "step_seconds": 300,
    "history": [
        {"fr": {"passages": 1200, "vocabulary_coverage": 0.91, "topics": {"deplatforming": 0.05}}}
    ],
}
METRICS = (
    "# HELP vigie_passages_total passages classified\n# TYPE vigie_passages_total counter\n"
    "vigie_passages_total 1200.0\n"
)
DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Vigie", "version": "1.0.0"},
    "paths": {},
    "components": {"schemas": {}},
}
_SAID = {
    "version": "v0123456789ab",
    "topics": ["deplatforming"],
    "scores": {"deplatforming": 0.94, "hate-speech": 0.12},
}
FEEDBACK_IN = {"text": TEXT, "topics": ["deplatforming"], "model": "v0123456789ab"}
FEEDBACK_KEPT: dict[str, Any] = {
    "id": 1,
    "kind": "confirmation",
    "language": "fr",
    "topics": ["deplatforming"],
    "model": _SAID,
    "comment": None,
    "given_by": "newsroom",
    "given_at": "2026-01-31T08:00:00.000+00:00",
    "reviewed": False,
    "reviewed_by": None,
    "reviewed_at": None,
}
FEEDBACK_PAGE = {"feedback": [{**FEEDBACK_KEPT, "text": TEXT}], "next": None}
FEEDBACK_EXPORT = (
    '{"id":"feedback-0123456789abcdef","lang":"en","event":"feedback-0123456789abcdef","topics":["deplatforming"],'
    '"text":"Twitter suspended the account.","feedback":1,"kind":"confirmation","model":"v0123456789ab",'
    '"given_at":"2026-01-31T08:00:00.000+00:00","reviewed":true}\n'
)
WAITING_PAGE = {
    "passages": [
        {
            "id": 1,
            "text": TEXT,
            "language": "fr",
            "model": _SAID,
            "reasons": ["near_threshold"],
            "margin": 0.0123,
            "seen_at": "2026-01-31T08:00:00.000+00:00",
        }
    ]
}
LIVE = {"live": "v0123456789ab", "live_since": "2026-01-31T08:00:00.000+00:00"}
DIFFERENCES_IN = {"passages": [{"id": "a", "text": TEXT}]}
DIFFERENCES = {
    "old": "v0123456789ab",
    "new": "vba9876543210",
    "passages": 1,
    "differences": [
        {
            "id": "a",
            "text": TEXT,
            "lost": ["hate-speech"],
            "gained": [],
            "terms": {"hate-speech": [{"text": "haine", "start": 63, "end": 68, "change": -0.4}]},
        }
    ],
    "more": False,
}
