"""The topics: their slugs, names, definitions and codes in other standards."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from model.errors import TaxonomyError

LANGUAGES = ("fr", "en")

_SLUG = re.compile(r"\S(?:.{0,98}\S)?")


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic; `name` and `definition` by language, `codes` by standard (``iptc``, ``dsa``)."""

    slug: str
    name: dict[str, str] = field(default_factory=dict)
    definition: dict[str, str] = field(default_factory=dict)
    group: str = ""
    codes: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """An ordered set of topics with a name and a version of its own."""

    name: str
    version: str
    topics: tuple[Topic, ...]

    @property
    def slugs(self) -> tuple[str, ...]:
        """The slugs in order: the order of a model's columns."""
        return tuple(topic.slug for topic in self.topics)

    @classmethod
    def load(cls, path: Path) -> Taxonomy:
        """Reads a taxonomy file (JSON, as `taxonomy.json` here); TaxonomyError says what is wrong and where."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise TaxonomyError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise TaxonomyError(f"{path}: not JSON: {error}") from error
        return cls.from_json(content, source=str(path))

    @classmethod
    def from_json(cls, content: Any, source: str = "taxonomy") -> Taxonomy:
        """Builds a taxonomy from parsed JSON; `source` opens the error messages."""
        if not isinstance(content, dict) or not isinstance(content.get("topics"), list):
            raise TaxonomyError(f'{source}: expected an object with a list "topics"')
        topics = tuple(
            _topic(entry, f"{source}: topics[{place}]")
            for place, entry in enumerate(content["topics"])
        )
        _check_slugs([topic.slug for topic in topics], source)
        return cls(str(content.get("name", "")), str(content.get("version", "")), topics)

    @classmethod
    def default(cls) -> Taxonomy:
        """The 24 topics that Vigie comes with."""
        with resources.as_file(resources.files("model") / "taxonomy.json") as path:
            return cls.load(path)

    @classmethod
    def from_slugs(cls, slugs: Iterable[str]) -> Taxonomy:
        """A bare taxonomy of the given topics, sorted: what ``--taxonomy from-data`` makes."""
        ordered = sorted(set(slugs))
        _check_slugs(ordered, "topics of the passages")
        return cls("from-data", "", tuple(Topic(slug) for slug in ordered))

    def to_json(self) -> dict[str, Any]:
        """The content of a taxonomy file."""
        return {
            "name": self.name,
            "version": self.version,
            "topics": [asdict(topic) for topic in self.topics],
        }


def _topic(entry: Any, where: str) -> Topic:
    if not isinstance(entry, dict) or not isinstance(entry.get("slug"), str):
        raise TaxonomyError(f'{where}: expected an object with a "slug"')
    unknown = entry.keys() - {"slug", "name", "definition", "group", "codes"}
    if unknown:
        raise TaxonomyError(f'{where}: unknown key "{min(unknown)}"')
    for key in ("name", "definition", "codes"):
        if not isinstance(entry.get(key, {}), dict):
            raise TaxonomyError(f'{where}: "{key}" must be an object')
    return Topic(
        slug=entry["slug"],
        name=entry.get("name", {}),
        definition=entry.get("definition", {}),
        group=str(entry.get("group", "")),
        codes=entry.get("codes", {}),
    )


def _check_slugs(slugs: list[str], source: str) -> None:
    if not slugs:
        raise TaxonomyError(f"{source}: no topic")
    seen: set[str] = set()
    for slug in slugs:
        if not _SLUG.fullmatch(slug):
            raise TaxonomyError(f"{source}: {slug!r} is not a usable topic name")
        if slug in seen:
            raise TaxonomyError(f'{source}: topic "{slug}" stands there twice')
        seen.add(slug)
