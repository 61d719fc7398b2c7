"""The codes of topics against the standards as they were when they were looked up."""

from __future__ import annotations

from model import Taxonomy
from model.crosswalk import load_crosswalk

IPTC = {
    "20000086": "cyber crime",
    "20000097": "fraud",
    "20000103": "terrorism",
    "20000107": "court",
    "20000111": "trial",
    "20000123": "antitrust regulations",
    "20000206": "patent, copyright and trademark",
    "20000574": "election",
    "20000587": "fundamental rights",
    "20000588": "censorship and freedom of speech",
    "20000591": "freedom of the press",
    "20000627": "data protection policy",
    "20000636": "regulation of industry",
    "20000769": "social networking",
    "20000775": "discrimination",
    "20000803": "abusive behaviour",
    "20000813": "suicide",
    "20000815": "pornography",
    "20001173": "regulatory authority",
    "20001182": "social media",
    "20001284": "bullying",
    "20001298": "artificial intelligence",
    "20001299": "surveillance",
    "20001300": "privacy",
    "20001319": "disinformation and misinformation",
}
DSA = {
    "ANIMAL_WELFARE",
    "CONSUMER_INFORMATION",
    "CYBER_VIOLENCE",
    "CYBER_VIOLENCE_AGAINST_WOMEN",
    "DATA_PROTECTION_AND_PRIVACY_VIOLATIONS",
    "ILLEGAL_OR_HARMFUL_SPEECH",
    "INTELLECTUAL_PROPERTY_INFRINGEMENTS",
    "NEGATIVE_EFFECTS_ON_CIVIC_DISCOURSE_OR_ELECTIONS",
    "NOT_SPECIFIED_NOTICE",
    "OTHER_VIOLATION_TC",
    "PROTECTION_OF_MINORS",
    "RISK_FOR_PUBLIC_SECURITY",
    "SCAMS_AND_FRAUD",
    "SELF_HARM",
    "UNSAFE_AND_PROHIBITED_PRODUCTS",
    "VIOLENCE",
}


def used(standard: str) -> set[str]:
    return {code for topic in Taxonomy.default().topics for code in topic.codes[standard]}


def test_the_crosswalk_names_codes_as_the_standards_do():
    standards = load_crosswalk()["standards"]
    assert set(standards) == {"iptc", "dsa"}
    for code, name in standards["iptc"]["codes"].items():
        assert name == IPTC[code.removeprefix("medtop:")]
    prefix = standards["dsa"]["prefix"]
    assert prefix == "STATEMENT_CATEGORY_"
    assert {code.removeprefix(prefix) for code in standards["dsa"]["codes"]} <= DSA


def test_the_crosswalk_holds_the_codes_of_the_topics_and_no_others():
    crosswalk = load_crosswalk()
    assert (crosswalk["version"], crosswalk["relation"]) == ("1", "is about")
    for standard, content in crosswalk["standards"].items():
        assert set(content["codes"]) == used(standard)


def test_every_topic_is_about_something_in_the_media_topics():
    for topic in Taxonomy.default().topics:
        assert topic.codes["iptc"], topic.slug


def test_the_service_gives_the_codes_with_what_they_mean(client):
    answer = client.get("/v1/topics").get_json()
    assert answer["crosswalk"] == load_crosswalk()
    codes = {topic["slug"]: topic["codes"] for topic in answer["topics"]}
    assert codes["fraud"]["dsa"] == ["STATEMENT_CATEGORY_SCAMS_AND_FRAUD"]
    assert codes["disinformation"]["iptc"] == ["medtop:20001319"]
