"""The report of a version as the service shows it: styled by its own style sheet, without scripts and without passages.

A report quotes passages that it was trained on, and those may be texts that readers sent as feedback. What is kept is never given back to
callers in general, so the cells that quote them are taken out; the file in the version's folder stays whole.
"""

from __future__ import annotations

import base64
import hashlib
import re

from model.artifact import QUOTED

FILE = "report.html"
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)


def without_passages(report: str) -> str:
    """The report without the cells that quote passages."""
    from lxml.html import document_fromstring, tostring

    document = document_fromstring(report)
    for cell in document.find_class(QUOTED):
        cell.drop_tree()
    return str(tostring(document, encoding="unicode", doctype="<!doctype html>"))


def content_security_policy(report: str) -> str:
    """A policy under which the report's own style sheets work, and nothing else does."""
    sources = " ".join(f"'sha256-{_digest(style)}'" for style in _STYLE.findall(report)) or "'none'"
    return (
        f"default-src 'none'; style-src {sources}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; sandbox"
    )


def _digest(content: str) -> str:
    return base64.b64encode(hashlib.sha256(content.encode("utf-8")).digest()).decode("ascii")
