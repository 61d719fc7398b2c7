from __future__ import annotations

import json

import pytest

from model import Taxonomy, TaxonomyError


def test_our_topics_have_names_definitions_and_codes_in_both_languages():
    taxonomy = Taxonomy.default()
    assert len(taxonomy.slugs) == 24
    for topic in taxonomy.topics:
        for language in ("fr", "en"):
            assert topic.name[language]
            assert len(topic.definition[language]) > 30
        assert topic.group in {"legal", "action", "content"}
        assert all(code.startswith("medtop:") for code in topic.codes["iptc"])


def test_a_taxonomy_survives_being_written(tmp_path):
    path = tmp_path / "taxonomy.json"
    path.write_text(json.dumps(Taxonomy.default().to_json()))
    assert Taxonomy.load(path) == Taxonomy.default()


def test_topics_from_data_are_sorted_and_distinct():
    assert Taxonomy.from_slugs(["b", "a", "b"]).slugs == ("a", "b")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", 'expected an object with a list "topics"'),
        ('{"topics": []}', "no topic"),
        ('{"topics": [{}]}', r'topics\[0\]: expected an object with a "slug"'),
        ('{"topics": [{"slug": "a"}, {"slug": "a"}]}', 'topic "a" stands there twice'),
        ('{"topics": [{"slug": " "}]}', "not a usable topic name"),
        ('{"topics": [{"slug": "a", "colour": 1}]}', r'topics\[0\]: unknown key "colour"'),
        ('{"topics": [{"slug": "a", "name": "A"}]}', '"name" must be an object'),
    ],
)
def test_a_bad_taxonomy_is_refused_with_its_place(tmp_path, content, message):
    path = tmp_path / "taxonomy.json"
    path.write_text(content)
    with pytest.raises(TaxonomyError, match=message) as error:
        Taxonomy.load(path)
    assert str(path) in str(error.value)


def test_a_missing_taxonomy_is_said_so(tmp_path):
    with pytest.raises(TaxonomyError, match="cannot be read: No such file"):
        Taxonomy.load(tmp_path / "none.json")
