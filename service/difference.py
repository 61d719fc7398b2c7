"""What two versions disagree on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from model.classifier import Classifier
from service.results import Identifier

_MOST_TERMS = 5


def differences(
    old: Classifier, new: Classifier, passages: Sequence[tuple[Identifier, str]]
) -> Iterator[dict[str, Any]]:
    """Each passage to which the versions give different topics, with the words whose contribution changed most."""
    texts = [text for _, text in passages]
    before, after = old.predict(texts), new.predict(texts)
    for (identifier, text), was, now in zip(passages, before, after, strict=True):
        lost = [topic for topic in was.topics if topic not in now.topics]
        gained = [topic for topic in now.topics if topic not in was.topics]
        if not lost and not gained:
            continue
        yield {
            "id": identifier,
            "text": text,
            "lost": lost,
            "gained": gained,
            "terms": {
                topic: _changed_terms(old, new, text, topic)
                for topic in (*lost, *gained)
                if topic in old.topics and topic in new.topics
            },
        }


def _changed_terms(old: Classifier, new: Classifier, text: str, topic: str) -> list[dict[str, Any]]:
    changes: dict[tuple[int, int], float] = {}
    for sign, classifier in ((-1.0, old), (1.0, new)):
        for part in classifier.explain(text, topic):
            place = part.start, part.end
            changes[place] = changes.get(place, 0.0) + sign * part.contribution
    strongest = sorted(changes.items(), key=lambda item: -abs(item[1]))[:_MOST_TERMS]
    return [
        {"text": text[start:end], "start": start, "end": end, "change": round(change, 6)}
        for (start, end), change in strongest
    ]
