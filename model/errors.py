"""The exceptions of Vigie, one tree.

VigieError                what a caller can catch to catch them all
├── TaxonomyError         a taxonomy file that breaks its own rules
├── UnknownNameError      a topic or an operating point that the model does not have (also a ValueError)
├── PassageError          a passage that cannot be read, with file and line
├── ArtifactError         a version folder that is missing, altered or from another format
├── RegistryError         a registry without the version asked for, or with nothing live
├── BulkError             a bulk run that cannot start or go on: input, output or cluster
├── SearchError           a search for parameters that cannot start or go on: grid, passages or cluster
└── SettingsError         a setting that is unknown or has a bad value
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class VigieError(Exception):
    """Root of every error that Vigie raises on purpose; its message is meant for the user."""


class TaxonomyError(VigieError):
    """A taxonomy breaks its rules: duplicate or malformed slug, missing name."""


class UnknownNameError(VigieError, ValueError):
    """A topic or operating point was named that does not exist."""


class PassageError(VigieError):
    """A passage cannot be used; the message starts with the file and line."""


class ArtifactError(VigieError):
    """A version cannot be loaded: a file is missing, altered or of another format."""


class RegistryError(VigieError):
    """The registry cannot do what was asked of it."""


class BulkError(VigieError):
    """A bulk run cannot start or go on; the message says which file, folder or address is at fault."""


class SearchError(VigieError):
    """A search for parameters cannot start or go on; the message says what is at fault."""


class SettingsError(VigieError):
    """A setting is unknown or its value is unusable."""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> str:
    """The message for an unknown name, with the closest known one: ``unknown topic "x"; did you mean "y"?``."""
    choices = list(known)
    close = difflib.get_close_matches(str(name), choices, n=1)
    if close:
        return f'unknown {kind} "{name}"; did you mean "{close[0]}"?'
    listed = ", ".join(choices[:30]) + (", …" if len(choices) > 30 else "")
    return f'unknown {kind} "{name}"; known: {listed}'
