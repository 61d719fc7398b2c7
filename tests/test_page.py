"""The page in a real browser, on real servers: reading, correcting, looking, in both languages and at two widths.

A screenshot of each function is kept in var/screenshots.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import time
from contextlib import suppress
from pathlib import Path

import pytest
from browsing import DESKTOP, SCREENSHOTS, TELEPHONE, browsing, program
from conftest import make_registry
from playwright.sync_api import Error
from running import JSON, running, wait_for
from servers import missing

from service.keys import create_key
from service.page import FOLDER, example_articles

WORDS = {
    language: json.loads((FOLDER / "words" / f"{language}.json").read_text(encoding="utf-8"))
    for language in ("fr", "en")
}
WIDTHS = {"telephone": TELEPHONE, "desktop": DESKTOP}
VIEWS = ("read", "review", "topics", "model", "drift")
ARTICLES = {"fr": "forum-clairval", "en": "pebble-outage"}
SEVERAL = pytest.mark.parametrize(
    ("language", "width"), [(language, width) for language in WORDS for width in WIDTHS]
)
UNSURE = [
    "The court saw the zqwv plokk of the vbrtk wzztu kjhgf qqwrt on Monday.",
    "The app vbrtk banned the seller wzztu for the plokk qqwrt zqwv kjhgf.",
    "Le juge a vu le plokk du zqwv wzztu, le compte kjhgf vbrtk qqwrt.",
]
"""More made-up words than known ones: a reason for review whatever the model."""


# What needs no browser


def test_both_languages_have_the_same_words():
    assert set(WORDS["fr"]) == set(WORDS["en"])
    for key, english in WORDS["en"].items():
        names = set(re.findall(r"\{(\w+)\}", english))
        assert set(re.findall(r"\{(\w+)\}", WORDS["fr"][key])) == names, key


@pytest.mark.parametrize("language", sorted(WORDS))
def test_the_page_speaks_the_language_of_the_browser(client, language):
    other = "en" if language == "fr" else "fr"
    answer = client.get("/", headers={"Accept-Language": f"{language}-CA, {other};q=0.5"})
    assert answer.headers["Content-Language"] == language
    assert {"Accept-Language", "Accept-Encoding"} <= set(answer.headers["Vary"].split(", "))
    assert WORDS[language]["read.lede"].split(",")[0] in answer.text
    assert f'<html lang="{language}"' in client.get(f"/?lang={language}").text
    assert '<html lang="en"' in client.get("/", headers={"Accept-Language": "de"}).text


def test_every_word_of_the_template_is_known(client):
    page = client.get("/").text
    keys = re.findall(r'data-w(?:-label|-placeholder)?="([^"]*)"', page)
    assert len(keys) > 40
    assert set(keys) <= set(WORDS["en"])


def test_the_page_allows_no_script_but_its_own_and_no_other_host(client):
    answer = client.get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "Set-Cookie" not in answer.headers
    assert (
        re.findall(r"<script(?! src| type=.module. src)|<style|\son\w+=|style=", answer.text) == []
    )
    for path in [*FOLDER.glob("*.*"), *FOLDER.glob("words/*")]:
        content = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|innerHTML|document\.write|eval\(", content), path.name
    assert not re.search("https?://", answer.text)


def test_what_the_page_is_made_of_is_compressed_for_those_who_read_it(client):
    with client.get("/page/page.css") as plain:
        content = plain.data
        assert "Content-Encoding" not in plain.headers
    encoding = {"Accept-Encoding": "gzip"}
    answer = client.get("/page/page.css", headers=encoding, buffered=True)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.data) == content
    again = {"Accept-Encoding": "gzip", "If-None-Match": answer.headers["ETag"]}
    assert client.get("/page/page.css", headers=again, buffered=True).status_code == 304


def test_the_report_is_shown_without_the_passages_that_it_quotes(client, version, passages):
    answer = client.get(f"/v1/models/{client.get('/v1/model').get_json()['version']}/report")
    assert answer.status_code == 200
    beginnings = {passage.text[:50] for passage in passages if len(passage.text) > 50}
    assert any(beginning in report_of(version) for beginning in beginnings)
    assert not any(beginning in answer.text for beginning in beginnings)
    assert "<h2>Confusions</h2>" in answer.text
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert "script-src" not in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("name", ["nothing", "..", "v1/../..", "current"])
def test_a_report_of_no_version_is_not_found(client, name):
    assert client.get(f"/v1/models/{name}/report").status_code == 404


def report_of(version: Path) -> str:
    import html

    return html.unescape((version / "report.html").read_text(encoding="utf-8"))


# The browser and the servers


@pytest.fixture(scope="module")
def browser():
    executable = program()
    if executable is None:
        missing("needs a browser: apt-get install chromium")
    with browsing(executable) as browser:
        yield browser


@pytest.fixture(scope="module")
def plain(version, tmp_path_factory):
    """A service as it comes: no feedback, no keys."""
    with running(tmp_path_factory.mktemp("plain"), "--model", str(version)) as service:
        yield service


@pytest.fixture(scope="module")
def keyed(version, tmp_path_factory):
    """A service with feedback and keys, and the key that its pages use."""
    folder = tmp_path_factory.mktemp("keyed")
    registry = make_registry(version, folder / "registry")
    key = create_key(folder / "keys", "all", ["classify", "feedback", "admin"])
    settings = {
        "registry": registry.root,
        "keys_file": folder / "keys",
        "database_url": f"sqlite:///{folder}/feedback.db",
        "review_percent": 100,
    }
    with running(folder, **settings) as service:
        service.key = key
        yield service


class Visit:
    """A page of a service in a context of its own; whatever goes wrong in it fails the test."""

    def __init__(self, browser, service, language="en", width="desktop", key=None, **options):
        self.context = browser.new_context(
            locale=language, viewport=WIDTHS[width] if isinstance(width, str) else width, **options
        )
        if key:
            self.context.add_init_script(
                f"location.protocol === 'http:' && sessionStorage.setItem('vigie-key', '{key}')"
            )
        self.page = self.context.new_page()
        self.page.set_default_timeout(8000)
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.wrong.append("dialog"), dialog.dismiss()))
        self.page.on("console", self._heard)
        self.page.on("request", self._asked)
        self.asked: list = []
        self.address = f"http://127.0.0.1:{service.port}/"
        self.service, self.language, self.width, self.key = service, language, width, key

    def _heard(self, message):
        # A status of 4xx or 5xx is logged by the browser itself, and tested for where it is meant.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.wrong.append(message.text)

    def _asked(self, request):
        self.asked.append(request)
        if not request.url.startswith((self.address, "blob:")):
            self.wrong.append(f"asked {request.url}")

    def open(self, view=""):
        self.page.goto(f"{self.address}#{view}" if view else self.address)
        self.page.wait_for_selector("html[data-ready]")
        return self.page

    def say(self, key, **values):
        return re.sub(r"\{(\w+)\}", lambda m: str(values[m[1]]), WORDS[self.language][key])

    def read(self, text):
        """Puts a text into the box and waits until it is read."""
        self.page.fill("#text", text)
        self.done()

    def example(self):
        self.page.click(f'[data-example="{ARTICLES[self.language]}"]')
        self.until("document.querySelector('#text').value.length > 1000")
        self.done()

    def done(self):
        self.until("document.querySelector('#findings').ariaBusy === 'false'")

    def until(self, condition, arg=None, seconds=8):
        """Waits until a condition holds in the page. Playwright's own way needs `eval`, which the page forbids."""
        function = condition if "=>" in condition.split("(")[0] else f"() => {condition}"
        deadline = time.monotonic() + seconds
        while not self.page.evaluate(function, arg):
            assert time.monotonic() < deadline, condition
            self.page.wait_for_timeout(20)

    def keep(self, name):
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        width = self.width if isinstance(self.width, str) else self.width["width"]
        self.page.screenshot(path=SCREENSHOTS / f"{name}-{self.language}-{width}.png")

    def ask(self, method, path, body=None):
        headers = {"Content-Type": JSON, "Authorization": f"Bearer {self.key}"}
        return self.service.ask(method, path, body and json.dumps(body), headers)

    def feedback(self):
        return self.ask("GET", "/v1/feedback?limit=500").json()["feedback"]

    def end(self):
        if not self.page.is_closed():
            assert "⟦" not in self.page.content(), "a word is missing"
        self.context.close()
        assert self.wrong == []


@pytest.fixture
def visit(browser, plain):
    """Opens visits to the service as it comes."""
    yield from visits(browser, plain)


@pytest.fixture
def keyed_visit(browser, keyed):
    """Opens visits to the service with feedback, with its key."""
    yield from visits(browser, keyed, key=keyed.key)


def visits(browser, service, **more):
    opened = []

    def open_one(*arguments, **options):
        opened.append(Visit(browser, service, *arguments, **{**more, **options}))
        return opened[-1]

    yield open_one
    for one in opened:
        one.end()


# Reading


@SEVERAL
def test_an_article_is_read_with_its_topics_and_their_reasons(visit, language, width):
    v = visit(language, width)
    page = v.open()
    v.keep("empty")
    v.example()
    topics = page.locator("#article-topics .chip")
    assert topics.count() >= 3
    scores = [number(text) for text in page.locator("#article-topics .score").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)
    assert page.locator(".passage:not(.furniture)").count() >= 8
    furniture = page.locator(".passage.furniture")
    assert furniture.count() >= 4
    assert furniture.first.inner_text().endswith(v.say("passage.furniture"))
    assert furniture.locator(".chip").count() == 0
    v.keep("read")

    chip = page.locator("#passages .chip").first
    chip.focus()
    page.wait_for_selector(".text mark.for")
    shades = page.locator("#passages .text mark").evaluate_all("ms => ms.map(m => m.dataset.shade)")
    assert len(set(shades)) >= 2
    assert not page.locator(".contributions").count()
    page.keyboard.press("Enter")
    page.wait_for_selector(".contributions")
    rows = [number(text) for text in page.locator(".contributions td").all_inner_texts()]
    assert sum(rows[:-1]) == pytest.approx(rows[-1], abs=0.01)
    score = number(chip.locator(".score").inner_text())
    assert 1 / (1 + math.exp(-rows[-1])) == pytest.approx(score, abs=0.006)
    page.locator(".contributions").scroll_into_view_if_needed()
    v.keep("why")
    chip.press("Enter")
    page.locator("#clear").focus()
    assert page.locator("#passages .text mark").count() == 0


def number(text: str) -> float:
    return float(text.replace(",", ".").replace("\u2212", "-"))


def test_for_and_against_differ_without_colour(visit):
    v = visit("fr")
    page = v.open()
    v.example()
    chips = page.locator("#passages .chip")
    for i in range(chips.count()):
        chips.nth(i).focus()
        page.wait_for_selector(".text mark")
        if page.locator(".text mark.against").count() and page.locator(".text mark.for").count():
            break
    lines = [
        page.locator(f".text mark.{kind}").first.evaluate(
            "m => getComputedStyle(m).borderBottomStyle"
        )
        for kind in ("for", "against")
    ]
    assert lines == ["solid", "dashed"]
    spoken = page.locator("#passages [role=status]").all_inner_texts()
    assert any(re.search(r"\w+\. Pour\s: .+\. Contre\s: .+\.", text) for text in spoken)


def altered(alter, done=None):
    """Answers as the service does, with its JSON altered; `done` is told of each answer."""

    def handle(route):
        answer = route.fetch()
        content = answer.json()
        alter(content)
        route.fulfill(response=answer, json=content)
        if done is not None:
            done.append(content)

    return handle


def test_another_version_explains_with_its_own_probability_and_is_asked_once(visit):
    v = visit()
    page = v.open()

    def other(answer):
        answer["model"]["version"] = "v-other"
        (result,) = answer["results"]
        result["scores"] = dict.fromkeys(result["scores"], 0.25)

    page.route("**/v1/classify", altered(other))
    v.example()
    v.asked.clear()
    page.locator("#passages .chip").first.click()  # hover, focus and click
    page.wait_for_selector(".contributions")
    rows = [number(text) for text in page.locator(".contributions td").all_inner_texts()]
    assert rows[-1] == pytest.approx(math.log(0.25 / 0.75), abs=0.001)
    assert sum(rows[:-1]) == pytest.approx(rows[-1], abs=0.01)
    assert "0.25" in page.inner_text(".contributions caption")
    assert page.inner_text(".panel:visible .note").startswith("Version v-other explains here")
    assert len([request for request in v.asked if "classify" in request.url]) == 1


@pytest.mark.parametrize("language", sorted(WORDS))
def test_reasons_for_review_stand_there_in_words(visit, language):
    v = visit(language)
    page = v.open()
    v.read("Xqzw vbrrt plokk wzzt kjhgf qqwrt.\nLa modération.")
    notes = page.locator(".note.review").all_inner_texts()
    assert any(v.say("reason.low_vocabulary_coverage") in note for note in notes)
    assert any(v.say("reason.too_short") in note for note in notes)
    v.keep("reasons")


@SEVERAL
def test_the_operating_point_says_what_it_buys(visit, language, width):
    v = visit(language, width)
    page = v.open()
    v.example()
    given, bought = {}, {}
    page.focus("#point")
    page.keyboard.press("Home")
    for point in ("recall", "balanced", "precision"):
        v.until(
            "name => document.querySelector('#point-name').textContent === name",
            arg=v.say(f"point.{point}"),
        )
        page.wait_for_timeout(300)
        v.done()
        assert page.get_attribute("#point", "aria-valuetext") == v.say(f"point.{point}")
        given[point] = page.locator("#passages .chip").count()
        bought[point] = [
            int(re.search(r"\d+", page.inner_text(f"#bought-{name}"))[0])
            for name in ("precision", "recall")
        ]
        page.keyboard.press("ArrowRight")
    assert given["recall"] > given["balanced"]
    assert bought["recall"][1] > bought["balanced"][1]
    assert bought["precision"][0] >= bought["balanced"][0]
    page.locator("#point").scroll_into_view_if_needed()
    v.keep("point")


def test_what_the_balanced_point_buys_is_what_the_model_card_says(visit, client):
    v = visit()
    page = v.open()
    metrics = client.get("/v1/model").get_json()["metrics"]
    page.wait_for_selector("#point-figures:not([hidden])")
    for name in ("precision", "recall"):
        shown = int(page.inner_text(f"#bought-{name}").split()[0])
        # How often a topic that was never right was given is not in the model's figures.
        assert shown == pytest.approx(metrics[name] * 100, abs=3)


def test_all_probabilities_are_there_on_demand_and_explained(visit):
    v = visit()
    page = v.open()
    v.example()
    page.locator(".passage:not(.furniture) button.quiet").first.click()
    page.wait_for_selector(".all-scores .chip")
    assert page.locator(".all-scores .chip").count() == 24
    page.locator(".all-scores .chip").nth(5).click()
    page.wait_for_selector(".contributions")
    assert "Not given" in page.locator(".panel:visible").inner_text()


def test_a_topic_of_the_article_filters_its_passages(visit):
    v = visit()
    page = v.open()
    v.example()
    whole = page.locator("#passages > li:visible").count()
    chip = page.locator("#article-topics .chip").first
    topic = chip.get_attribute("data-only")
    chip.press("Enter")
    assert page.locator("#passages > li:visible").count() < whole
    for item in page.locator("#passages > li:visible").all():
        assert item.locator(f'[data-slug="{topic}"]').count()
    chip.press("Enter")
    assert page.locator("#passages > li:visible").count() == whole


HTML = """<!doctype html><html><head><title>t</title><script>window.harmed = 1</script></head><body>
<nav>Menu</nav><article><h1>The court and the app</h1><p onclick="window.harmed = 1">The court in Harlow ordered the app to restore the
accounts of the users that it had suspended in March over spam.</p><p>Its moderators had warned the company about the filter.</p>
<img src=x onerror="window.harmed = 1"></article></body></html>"""


def paste(page, text):
    page.evaluate(
        """text => {
            const data = new DataTransfer();
            data.setData("text/plain", text);
            const box = document.querySelector("#text");
            box.focus();
            const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
            if (box.dispatchEvent(event)) {
                box.setRangeText(text, box.selectionStart, box.selectionEnd, "end");
                box.dispatchEvent(new Event("input", { bubbles: true }));
            }
        }""",
        text,
    )


def drop(page, content, name):
    page.evaluate(
        """([content, name]) => {
            const data = new DataTransfer();
            data.items.add(new File([content], name));
            for (const kind of ["dragover", "drop"]) {
                document.querySelector("#text").dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
            }
        }""",
        [content, name],
    )


@pytest.mark.parametrize("way", ["paste", "drop", "file"])
def test_a_web_page_is_cleaned_and_can_be_read_as_it_is(visit, way, tmp_path):
    v = visit()
    page = v.open()
    if way == "paste":
        paste(page, HTML)
    elif way == "drop":
        drop(page, HTML, "page.html")
    else:
        (tmp_path / "page.html").write_text(HTML)
        page.set_input_files("#file", tmp_path / "page.html")
    page.wait_for_selector("#notice button")
    assert "<" not in page.input_value("#text")
    assert "The court in Harlow" in page.locator("#passages").text_content()
    page.click("#notice button")
    v.done()
    assert page.input_value("#text") == HTML
    assert 'onclick="window.harmed = 1"' in page.locator("#passages").text_content()
    assert page.evaluate("window.harmed") is None


def test_what_is_chosen_while_a_page_is_cleaned_stands(visit):
    v = visit()
    page = v.open()
    held = []
    page.route(
        "**/v1/articles",
        lambda route: (
            held.append(route) if "html" in route.request.post_data_json else route.continue_()
        ),
    )
    paste(page, HTML)
    wait_for(lambda: pumped(page) and held, "the page to be cleaned")
    v.example()
    text = page.input_value("#text")
    with suppress(Error):  # given up by the page
        held[0].continue_()
    page.wait_for_timeout(300)
    assert page.input_value("#text") == text
    assert not page.locator("#notice button").count()


def test_a_page_pasted_right_after_typing_is_cleaned(visit):
    v = visit()
    page = v.open()
    page.evaluate(
        """() => {
            const box = document.querySelector("#text");
            box.value = "typed";
            box.dispatchEvent(new Event("input"));
            box.select();
        }"""
    )
    page.route("**/v1/articles", lambda route: (time.sleep(0.4), route.continue_()))
    paste(page, HTML)
    page.wait_for_selector("#notice button")
    assert page.input_value("#text").startswith("The court and the app")


@pytest.mark.parametrize("way", ["paste", "drop", "type"])
def test_text_is_read_however_it_comes(visit, way):
    v = visit()
    page = v.open()
    text = "The court ordered the app to restore the account."
    if way == "type":
        page.locator("#text").press_sequentially(text)
    else:
        (paste(page, text) if way == "paste" else drop(page, text, "article.txt"))
    page.wait_for_selector(".passage")
    v.done()
    assert page.locator("#passages .text").all_inner_texts() == [text]


LONG = "\n\n".join(
    f"Paragraph {i}: the judge ruled in the lawsuit against the platform number {i}, and its users, who had sued in federal court, will appeal."
    for i in range(120)
)


def test_topics_appear_as_the_passages_of_a_long_article_are_answered(visit):
    v = visit()
    page = v.open()
    held = []
    page.wait_for_selector("#point-figures:not([hidden])")
    page.route(
        "**/v1/articles",
        lambda route: held.append(route) if held_back(route) else route.continue_(),
    )
    first = []

    def held_back(route):
        first.append(route)
        return len(first) > 1

    page.fill("#text", LONG)
    wait_for(lambda: pumped(page) and held, "the second part to be asked for")
    assert 5 < page.locator(".passage").count() < 60
    assert page.locator("#article-topics .chip").count() >= 1
    assert page.is_visible("#progress")
    # What is typed meanwhile stands there at once.
    page.focus("#text")
    page.keyboard.press("Control+End")
    page.keyboard.type(" And so on.")
    assert page.input_value("#text").endswith("appeal. And so on.")
    page.unroute_all(behavior="ignoreErrors")
    for route in held:
        with suppress(Error):  # given up by the page for what was typed
            route.continue_()
    v.until("document.querySelectorAll('.passage').length === 120")
    v.until("[...document.querySelectorAll('.passage')].at(-1).textContent.includes('And so on.')")


def pumped(page) -> bool:
    """Lets the browser's events come in."""
    page.wait_for_timeout(20)
    return True


def test_versions_that_take_turns_are_asked_thrice_at_most_and_said_to_differ(visit):
    v = visit()
    page = v.open()
    answered = []

    def take_turns(answer):
        answer["model"]["version"] = f"v-{len(answered) % 2}"

    page.route("**/v1/articles", altered(take_turns, answered))
    v.read(LONG)
    assert len(answered) < 30
    assert page.locator(".passage").count() == 120
    assert page.inner_text("#reading-status") == v.say("read.differ", n=120)


def test_the_topics_are_those_of_the_version_that_answers(visit):
    v = visit()
    page = v.open()
    v.read("The court ordered the app to restore the account.")

    def rename(answer):
        for topic in answer["topics"]:
            topic["name"]["en"] = f"New {topic['slug']}"

    page.route("**/v1/topics", altered(rename))
    page.route("**/v1/articles", altered(lambda answer: answer["model"].update(version="v-new")))
    v.read("The judge ruled in the lawsuit against the platform, and its users will appeal.")
    names = page.locator("#article-topics .name").all_inner_texts()
    assert names
    assert all(name.startswith("New ") for name in names)


def test_typing_asks_for_the_changed_paragraph_alone(visit):
    v = visit()
    page = v.open()
    v.read(LONG)
    v.asked.clear()
    page.focus("#text")
    page.keyboard.press("Control+End")
    page.keyboard.type(" Indeed.")
    v.until(
        "document.querySelector('#passages > li:last-child .text').textContent.endsWith('Indeed.')"
    )
    bodies = [
        json.loads(request.post_data)["text"] for request in v.asked if "articles" in request.url
    ]
    assert bodies
    assert all(body.startswith("Paragraph 119") and "\n" not in body for body in bodies)


def test_typing_into_100_000_characters_does_not_block(visit):
    v = visit()
    page = v.open()
    text = "\n".join([LONG] * 7)[:100_000]
    v.read(text)
    assert page.locator(".passage").count() == 200
    page.evaluate(
        "new PerformanceObserver(l => (window.longest = Math.max(window.longest ?? 0, ...l.getEntries().map(e => e.duration)))).observe({type: 'longtask'})"
    )
    page.focus("#text")
    page.keyboard.press("Control+End")
    began = time.monotonic()
    page.keyboard.type(" This is what was typed.")
    assert time.monotonic() - began < 3
    assert page.input_value("#text").endswith("This is what was typed.")
    page.wait_for_timeout(400)
    v.done()
    # A frame missed here and there goes unnoticed; half a second would be felt, on a busy machine too.
    assert (page.evaluate("window.longest") or 0) < 500
    page.get_by_role("button", name=re.compile("Show .* more passages")).click()
    v.until("document.querySelectorAll('.passage').length > 700")


HOSTILE = {
    "script": "<script>window.harmed = 1</script> was the account's name, and the app banned it.",
    "handler": '"><img src=x onerror="window.harmed = 1"><svg/onload=window.harmed=1> The court ordered the app to close the account.',
    "link": '<a href="javascript:window.harmed=1">The court</a> ordered the app to close the account {{7*7}} ${window.harmed=1}.',
    "bidi": "The court \u202eordered the app\u202c to \u2066restore\u2069 the account\u200b of the seller \U0001f468\u200d\U0001f469\u200d\U0001f467.",
    "surrogates": "The court \ud800 ordered the app \udc00 to restore the account \U0001f600 of the seller.",
    "characters": "The court ordered it. " + "x" * 99_000 + " end",
    "lines": "the court\n" * 10_000,
    "words": "the court ordered the app to restore the account " * 2000,
    "marks": "a" + "\u0301" * 5000 + " The court ordered the app to restore the account.",
}


@pytest.mark.parametrize("kind", sorted(HOSTILE))
def test_hostile_text_is_shown_as_text_and_nothing_runs(visit, kind):
    v = visit("en", "telephone")
    page = v.open()
    text = HOSTILE[kind]
    page.evaluate(
        "text => { window.text = text }", text
    ) if kind != "surrogates" else page.evaluate(
        "text => { window.text = JSON.parse(text) }", json.dumps(text)
    )
    page.evaluate(
        "() => { const box = document.querySelector('#text'); box.value = window.text; box.dispatchEvent(new Event('input')) }"
    )
    page.wait_for_selector(".passage")
    v.done()
    assert page.evaluate("window.harmed") is None
    shown = "".join(page.locator("#passages .text").all_inner_texts())
    if kind in {"script", "handler", "link"}:
        assert shown == text
    if kind == "bidi":
        assert list(page.locator(".text .mark").all_inner_texts()) == [
            "RLO",
            "PDF",
            "LRI",
            "PDI",
            "ZWSP",
        ]
        assert not set("\u202e\u2066\u2069") & set(shown)
        assert "\U0001f468\u200d\U0001f469\u200d\U0001f467" in shown
    chips = page.locator("#passages .chip")
    if chips.count():
        chips.first.click()
        page.wait_for_selector(".contributions")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    v.keep(f"hostile-{kind}")
    v.read("The court ordered the app to restore the account.")
    assert page.locator(".passage").count() == 1


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_too_long_an_article_is_not_sent_and_the_limit_is_said(visit, way):
    v = visit()
    page = v.open()
    v.asked.clear()
    text = "x " * 600_000
    if way == "paste":
        paste(page, text)
    else:
        drop(page, text, "article.txt")
    page.wait_for_selector("#reading-error:not([hidden])")
    assert page.inner_text("#reading-error").startswith("1,200,000 characters: at most 1,000,000")
    assert [request for request in v.asked if "articles" in request.url] == []
    v.example()
    assert page.is_hidden("#reading-error")


@pytest.mark.parametrize("language", sorted(WORDS))
def test_what_goes_wrong_is_said_and_can_be_tried_again(visit, language):
    v = visit(language)
    page = v.open()
    page.route("**/v1/articles", lambda route: route.abort())
    page.fill("#text", "The court ordered the app to restore the account.")
    page.wait_for_selector("#reading-error:not([hidden])")
    assert page.inner_text("#reading-error").startswith(v.say("problem.0"))
    v.keep("error")
    other = "en" if language == "fr" else "fr"
    page.click(f'[data-language="{other}"]')
    page.wait_for_selector(f"html[lang={other}]")
    assert page.inner_text("#reading-error").startswith(WORDS[other]["problem.0"])
    page.unroute("**/v1/articles")
    page.click("#reading-error button")
    page.wait_for_selector(".passage")
    assert page.is_hidden("#reading-error")


def test_a_service_without_a_model_is_said_so(visit):
    v = visit()
    problem = json.dumps(
        {"type": "urn:vigie:problem:no-model", "status": 503, "detail": "no model is loaded"}
    )
    v.page.route("**/v1/topics", lambda route: route.fulfill(status=503, body=problem))
    page = v.open()
    page.wait_for_selector("#reading-error:not([hidden])")
    assert "no model is loaded" in page.inner_text("#reading-error")


def test_an_answer_that_breaks_off_is_said_so(visit):
    v = visit()
    page = v.open()
    page.route("**/v1/articles", lambda route: route.fulfill(status=200, body='{"model": '))
    page.fill("#text", "The court ordered the app to restore the account.")
    page.wait_for_selector("#reading-error:not([hidden])")
    assert page.inner_text("#reading-error").startswith(v.say("problem.0"))


def test_a_busy_service_is_asked_again(visit):
    v = visit()
    page = v.open()
    busy = json.dumps(
        {"type": "urn:vigie:problem:busy", "status": 503, "detail": "all places are taken"}
    )
    refused = []

    def refuse_once(route):
        if refused:
            route.continue_()
        else:
            refused.append(route)
            route.fulfill(status=503, body=busy, headers={"Retry-After": "1"})

    page.route("**/v1/articles", refuse_once)
    page.fill("#text", "The court ordered the app to restore the account.")
    page.wait_for_selector(".passage")
    assert refused


# Correcting


@SEVERAL
def test_a_passage_is_corrected_with_the_keyboard_alone(keyed_visit, language, width):
    v = keyed_visit(language, width)
    page = v.open()
    page.clock.install()
    text = f"The judge in Harlow ruled in the lawsuit against the platform, and its users will appeal, {language} {width}."
    v.page.fill("#text", text)
    page.clock.run_for(1000)
    page.wait_for_selector(".passage")
    given = page.locator("#passages .chip").evaluate_all("cs => cs.map(c => c.dataset.slug)")
    assert given
    group = page.get_by_role("group", name=v.say("correct.group"))
    group.get_by_role("button", name=v.say("correct.open")).press("Enter")
    box = group.get_by_role("combobox")
    assert box.evaluate("b => b === document.activeElement")
    page.keyboard.type("fraud" if language == "en" else "frau")
    assert box.get_attribute("aria-expanded") == "true"
    v.keep("correct")
    page.keyboard.press("Enter")
    removal = page.get_by_role(
        "button", name=v.say("correct.remove", topic="(.*)").replace("(.*)", "")
    )
    removal.first.press("Enter")
    assert page.locator(".chips .removed").count() == 1
    assert page.locator(".chips .added").count() == 1
    undo = group.get_by_role("button", name=v.say("correct.undo"))
    undo.press("Enter")
    assert page.locator(".chips .removed").count() == 0
    send = group.get_by_role("button", name=v.say("correct.send"))
    send.press("Enter")
    page.clock.run_for(1000)
    assert undo.evaluate("b => b === document.activeElement")
    page.keyboard.press("Enter")
    assert v.say("correct.undone") in group.inner_text()
    assert [entry for entry in v.feedback() if entry["text"] == text] == []
    send.press("Enter")
    page.clock.run_for(9000)
    v.until(
        "words => document.querySelector('.correction').innerText.includes(words)",
        arg=v.say("correct.kept"),
    )
    (kept,) = [entry for entry in v.feedback() if entry["text"] == text]
    assert kept["kind"] == "correction"
    assert set(kept["topics"]) == {*given, "fraud"}
    assert page.inner_text("#counts") == v.say("counts", confirmed=0, corrected=1, dismissed=0)
    v.keep("corrected")


def test_a_passage_is_confirmed(keyed_visit):
    v = keyed_visit()
    page = v.open()
    page.clock.install()
    text = "The court in Leeds ordered the app to restore the account of the seller."
    page.fill("#text", text)
    page.clock.run_for(1000)
    confirm = page.get_by_role("button", name="Confirm")
    confirm.click()
    page.clock.run_for(9000)
    page.wait_for_selector('.correction[data-state="kept"]')
    assert confirm.is_hidden()
    assert page.evaluate("document.activeElement.className") == "outcome"
    (kept,) = [entry for entry in v.feedback() if entry["text"] == text]
    assert kept["kind"] == "confirmation"


def test_what_waits_is_sent_when_the_page_is_left(keyed_visit):
    v = keyed_visit()
    page = v.open()
    text = "The court in York ordered the app to restore the account of the seller."
    v.read(text)
    page.get_by_role("button", name="Confirm").click()
    page.goto(f"{v.address}docs")
    wait_for(lambda: any(entry["text"] == text for entry in v.feedback()), "feedback to be kept")


def test_feedback_that_is_not_kept_is_said_so_and_can_be_sent_again(keyed_visit):
    v = keyed_visit()
    page = v.open()
    page.clock.install()
    page.route("**/v1/feedback", lambda route: route.abort())
    page.fill("#text", "The court in Bath ordered the app to restore the account of the seller.")
    page.clock.run_for(1000)
    page.get_by_role("button", name="Confirm").click()
    page.clock.run_for(9000)
    page.wait_for_selector('.correction[data-state="failed"]')
    assert "The service cannot be reached." in page.inner_text(".correction")
    assert page.is_hidden("#counts")
    assert page.get_by_role("button", name="Confirm").is_enabled()


@SEVERAL
def test_the_review_queue_is_worked_through(keyed_visit, language, width):
    v = keyed_visit(language, width)
    for waiting in v.ask("GET", "/v1/review?limit=500").json()["passages"]:
        v.ask("DELETE", f"/v1/review/{waiting['id']}")
    ending = "…" * (1 + 2 * list(WORDS).index(language) + list(WIDTHS).index(width))
    for text in UNSURE:
        v.ask("POST", "/v1/classify", {"text": text + ending})
    wait_for(lambda: len(v.ask("GET", "/v1/review").json()["passages"]) >= 2, "the queue to fill")
    expected = [waiting["text"] for waiting in v.ask("GET", "/v1/review").json()["passages"]]
    page = v.open("review")
    page.wait_for_selector("#queue .passage")
    assert page.locator("#queue .text").all_inner_texts() == expected
    assert page.inner_text("#queue-status") == v.say("review.waiting.other", n=len(expected))
    v.keep("review")

    page.clock.install()
    page.locator("#queue .correction .primary").first.press("Enter")
    page.clock.run_for(9000)
    page.wait_for_selector('#queue .correction[data-state="kept"]')
    page.clock.run_for(2000)
    assert page.locator("#queue .text").all_inner_texts() == expected[1:]
    assert page.locator("#queue .correction .primary").first.evaluate(
        "b => b === document.activeElement"
    )
    for left in range(len(expected) - 1, 0, -1):
        page.get_by_role("button", name=v.say("review.dismiss")).first.press("Enter")
        v.until(
            "n => (globalThis.left = document.querySelectorAll('#queue > li').length) <= n",
            arg=left,
        )
        page.clock.run_for(100)
        v.until("n => document.querySelectorAll('#queue > li').length < n", arg=left)
    page.wait_for_selector("#queue-empty:not([hidden])")
    assert v.ask("GET", "/v1/review").json()["passages"] == []
    v.keep("review-empty")


@pytest.mark.parametrize("language", sorted(WORDS))
def test_with_feedback_off_the_page_says_how_to_turn_it_on(visit, language):
    v = visit(language)
    page = v.open()
    page.get_by_text(v.say("correct.off"), exact=True).first.click()
    assert "VIGIE_DATABASE_URL=sqlite:///var/feedback.db make serve" in page.inner_text("#findings")
    page.goto(f"{v.address}#review")
    page.wait_for_selector("[data-when=off]:not([hidden])")
    assert "VIGIE_DATABASE_URL" in page.inner_text("#view-review")
    assert page.locator(".correction").count() == 0
    v.keep("feedback-off")


def test_a_key_is_asked_for_and_kept_for_this_tab_alone(keyed_visit, keyed):
    v = keyed_visit(key=None)
    page = v.open()
    page.wait_for_selector("#key-dialog[open]")
    v.keep("key")
    page.fill("#key", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#key-dialog[open]")
    v.until(
        "document.querySelector('#reading-error').textContent.includes('not known') || document.querySelector('#key-dialog').open"
    )
    page.fill("#key", keyed.key)
    page.click("#key-keep")
    v.read("The court in Derby ordered the app to restore the account of the seller.")
    assert page.locator(".passage").count() == 1
    assert page.evaluate("Object.keys(localStorage)") == []
    assert page.evaluate("Object.keys(sessionStorage)") == ["vigie-key"]
    assert v.context.cookies() == []
    page.click("#key-button")
    page.click("#key-forget")
    assert page.evaluate("Object.keys(sessionStorage)") == []


def test_a_key_holds_where_storage_is_blocked(keyed_visit, keyed):
    v = keyed_visit(key=None)
    v.context.add_init_script(
        "Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('', 'SecurityError'); } })"
    )
    page = v.open()
    page.wait_for_selector("#key-dialog[open]")
    page.fill("#key", keyed.key)
    page.click("#key-keep")
    v.read("The court in Derby ordered the app to restore the account of the seller.")
    assert page.locator(".passage").count() == 1


def test_whoever_gives_no_key_is_not_asked_again_and_again(keyed_visit):
    v = keyed_visit(key=None)
    page = v.page
    page.clock.install()
    v.open("drift")
    page.wait_for_selector("#view-drift .error:not([hidden])")
    page.click("#key-cancel")
    page.clock.run_for(60_000)
    page.wait_for_timeout(200)
    assert not page.evaluate("document.querySelector('#key-dialog').open")


# Looking


@SEVERAL
def test_the_topics_stand_there_with_definitions_figures_and_codes(visit, language, width):
    v = visit(language, width)
    page = v.open("topics")
    page.wait_for_selector(".cards .card")
    assert page.locator(".cards .card").count() == 24
    v.keep("topics")
    page.fill("#topic-search", "escroquer" if language == "fr" else "scams")
    if language == "fr":
        page.fill("#topic-search", "arnaques")
    card = page.locator(".cards .card:visible")
    assert card.count() == 1
    text = card.inner_text()
    for part in (
        "fraud",
        "SCAMS_AND_FRAUD",
        "medtop:20000097",
        "medtop:20000086",
        v.say("topics.about"),
    ):
        assert part in text
    assert card.locator(".figures dd").count() == 3


@SEVERAL
def test_the_model_card_and_the_registry(keyed_visit, language, width):
    v = keyed_visit(language, width)
    page = v.open("model")
    page.wait_for_selector("#registry td")
    model = v.ask("GET", "/v1/model").json()
    text = page.inner_text("#card")
    assert model["version"] in text
    assert page.locator("#card .tile").count() == 4
    assert page.locator(".plot svg polyline").count() == (
        1 if len(model["learning_curve"]) > 1 else 0
    )
    assert page.locator(".by-topic tbody tr").count() == 24
    assert page.locator(".by-topic svg").count() == 24
    row = page.locator("#registry tbody tr").inner_text()
    assert v.say("model.live") in row
    assert page.locator("#registry time").get_attribute("datetime") == model["live_since"]
    with page.expect_download() as saved:
        page.get_by_role("button", name=v.say("model.report-save")).click()
    assert saved.value.suggested_filename == f"vigie-{model['version']}.html"
    v.keep("model")


def test_a_report_that_cannot_be_fetched_is_said(keyed_visit):
    v = keyed_visit()
    page = v.open("model")
    page.wait_for_selector("#registry td")
    page.route("**/report", lambda route: route.abort())
    page.get_by_role("button", name=v.say("model.report-save")).click()
    error = page.locator("#view-model .error")
    error.wait_for(state="visible")
    assert error.inner_text() == v.say("problem.0")


def test_the_report_is_shown_with_its_style_and_no_script(visit):
    v = visit()
    page = v.open("model")
    page.get_by_role("link", name=v.say("model.report")).click()
    page.wait_for_selector("figure svg polyline")
    assert page.locator("body").evaluate("b => getComputedStyle(b).maxWidth") == "1120px"
    box = page.locator("figure svg").first.bounding_box()
    assert box["width"] > 100
    assert box["height"] > 60
    v.keep("report")


@SEVERAL
def test_drift_is_charted_over_time(visit, language, width):
    v = visit(language, width)
    v.ask("POST", "/v1/articles", {"text": example_articles()[0]["text"]})
    v.ask("POST", "/v1/articles", {"text": example_articles()[2]["text"]})
    page = v.open("drift")
    page.wait_for_selector(".small-chart svg")
    assert (
        page.locator(".small-chart svg[aria-label]").count()
        == page.locator(".small-chart svg").count()
    )
    assert page.locator(".small-chart .compared").count() > 20
    assert page.locator("#drift-charts section").count() >= 3
    assert page.locator(".volume rect").count() == 12
    v.keep("drift")


def test_focus_stays_where_it_is_when_the_charts_are_drawn_anew(visit):
    v = visit()
    v.ask("POST", "/v1/articles", {"text": example_articles()[0]["text"]})
    page = v.page
    page.clock.install()
    v.open("drift")
    more = page.locator("[data-of]").first
    more.focus()
    page.evaluate("window.drawn = document.querySelector('[data-of]')")
    page.clock.run_for(16_000)
    v.until("!window.drawn.isConnected")
    assert more.evaluate("b => b === document.activeElement")


def test_languages_without_a_name_go_by_their_code(visit):
    v = visit()

    def add(model):
        model["metrics"]["per_language"]["oc"] = model["metrics"]["per_language"]["fr"]

    v.page.route("**/v1/model", altered(add))
    page = v.open("model")
    page.wait_for_selector("#card")
    page.get_by_role("rowheader", name="Other language (oc)").wait_for()


# The frame


def test_the_skip_link_leads_to_the_content_of_the_view(visit):
    v = visit()
    page = v.open("topics")
    page.wait_for_selector(".cards .card")
    page.locator(".skip").press("Enter")
    v.until("document.activeElement.id === 'main'")
    page.wait_for_timeout(100)
    assert page.is_visible("#view-topics")
    assert page.is_hidden("#view-read")


def test_a_language_that_the_page_does_not_speak_leaves_the_one_it_has(visit):
    v = visit("fr")
    v.page.goto(f"{v.address}?lang=de")
    v.page.wait_for_selector("html[data-ready]")
    assert v.page.inner_text("h1:visible") == v.say("read.title")


def test_words_that_cannot_be_loaded_leave_those_of_the_service(visit):
    v = visit("fr")
    v.page.route("**/words/*.json", lambda route: route.abort())
    page = v.open()
    assert page.inner_text("h1:visible") == v.say("read.title")
    page.click('[data-example="forum-clairval"]')
    page.wait_for_selector("#passages .chip")
    page.close()


def test_the_language_is_switched_in_place_and_remembered(visit):
    v = visit("fr")
    page = v.open()
    v.example()
    before = page.input_value("#text")
    page.locator("#passages .chip").first.click()
    page.wait_for_selector(".contributions")
    page.get_by_role("button", name="EN, English").click()
    page.wait_for_selector("html[lang=en]")
    assert page.title() == "Read · Vigie"
    assert page.inner_text("h1:visible") == WORDS["en"]["read.title"]
    assert page.input_value("#text") == before
    assert "Adds to the log-odds" in page.inner_text(".contributions")
    assert "," not in page.locator("#passages .score").first.inner_text()
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.inner_text("h1:visible") == WORDS["en"]["read.title"]


def test_the_theme_follows_the_browser_and_is_switched_and_remembered(visit):
    v = visit("en", color_scheme="dark")
    page = v.open()
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(15, 21, 27)"
    page.get_by_role("button", name="Light theme").press("Enter")
    v.until(f"{ground} === 'rgb(246, 247, 248)'")
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate(ground) == "rgb(246, 247, 248)"
    assert page.get_by_role("button", name="Dark theme").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", sorted(WIDTHS))
def test_axe_finds_nothing(keyed_visit, scheme, width):
    from axe_playwright_python.sync_playwright import Axe

    v = keyed_visit(
        "fr" if scheme == "light" else "en", width, color_scheme=scheme, bypass_csp=True
    )
    v.ask("POST", "/v1/articles", {"text": example_articles()[0]["text"]})
    v.ask("POST", "/v1/classify", {"text": UNSURE[0]})
    page = v.open()
    found = {"empty": axe_violations(Axe(), page)}
    v.read("\n".join([*example_articles()[0]["text"].split("\n")[10:18], *UNSURE]))
    chip = page.locator("#passages .chip").first
    chip.click()
    page.wait_for_selector(".contributions")
    page.get_by_role("group", name=v.say("correct.group")).nth(3).get_by_role(
        "button", name=v.say("correct.open")
    ).click()
    page.wait_for_selector("[role=option]")
    found["read"] = axe_violations(Axe(), page)
    for view in VIEWS[1:] if width == "desktop" else ("review",):
        page.goto(f"{v.address}#{view}")
        page.wait_for_selector(f"#view-{view} :is(.card, .tile, .passage, .empty:not([hidden]))")
        found[view] = axe_violations(Axe(), page)
        v.keep(f"axe-{view}-{scheme}")
    assert {view: violations for view, violations in found.items() if violations} == {}


def axe_violations(axe, page) -> list[str]:
    page.wait_for_timeout(200)  # until transitions of colour are over
    # Of many that are alike some are looked at: axe takes its time.
    page.evaluate(
        """document.querySelectorAll(
            ".cards > li:nth-child(n+4), .by-topic tbody tr:nth-child(n+4), .small-chart:nth-child(n+4), [role=option]:nth-child(n+4)"
        ).forEach(e => e.remove())"""
    )
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = axe.run(page, options={"runOnly": {"type": "tag", "values": tags}}).response[
        "violations"
    ]
    return [f"{entry['id']}: {[node['target'] for node in entry['nodes']][:3]}" for entry in found]


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_wider_than_a_narrow_screen(keyed_visit, view):
    v = keyed_visit("fr", {"width": 320, "height": 640})
    page = v.open(view)
    if view == "read":
        v.example()
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    v.keep(f"narrow-{view}")


def test_the_keyboard_reaches_every_control(visit):
    v = visit()
    page = v.open()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    v.example()
    page.evaluate("window.reached = new Set()")
    for _ in range(150):
        page.evaluate("window.reached.add(document.activeElement)")
        page.keyboard.press("Tab")
    missed = page.evaluate(
        """[...document.querySelectorAll('button:enabled, a[href], input, textarea, summary')]
            .filter(e => e.checkVisibility() && !window.reached.has(e)).map(e => e.outerHTML.slice(0, 120))"""
    )
    assert missed == []


def test_the_first_view_is_small_and_quick(visit):
    v = visit()
    page = v.page
    session = v.context.new_cdp_session(page)
    session.send("Network.enable")
    received = []
    session.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    best = math.inf
    for _ in range(3):
        session.send("Network.clearBrowserCache")
        received.clear()
        page.goto("about:blank")
        began = time.monotonic()
        v.open()
        page.wait_for_selector("#point-figures:not([hidden])")
        best = min(best, time.monotonic() - began)
        page.wait_for_load_state("networkidle")
        assert 10 < len(received) < 30
        assert sum(received) < 100_000
    assert best < 1
