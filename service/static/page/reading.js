// Reading: an article in, its passages with their topics out, part by part.

import { Problem } from "./api.js";
import { ArticleReader, articleTopics } from "./article.js";
import * as catalogue from "./catalogue.js";
import { button, make } from "./elements.js";
import { PassageCard, chipContent } from "./passage.js";
import { say, words } from "./words.js";

const POINTS = ["recall", "balanced", "precision"];
const PAUSE_MILLISECONDS = 220;
const MOST_SHOWN = 200;
const PAGE = /^\s*(?:<!doctype html|<html|<head|<body|<article|<main|<section|<div|<p|<h1)[\s>]/i;

export class Reading {
  constructor(root, { feedback, mostCharacters }) {
    const find = (id) => root.querySelector(`#${id}`);
    Object.assign(this, { text: find("text"), status: find("reading-status"), topics: find("article-topics"), list: find("passages") });
    Object.assign(this, { empty: find("empty"), point: find("point"), notice: find("notice"), error: find("reading-error") });
    Object.assign(this, { progress: find("progress"), root, feedback, mostCharacters });
    this.reader = new ArticleReader();
    this.cards = new Map();
    this.only = null;
    this.shownAll = false;
    this.text.addEventListener("input", () => this.later());
    this.text.addEventListener("paste", (event) => this.pasted(event));
    this.point.addEventListener("input", () => this.pointChanged());
    find("clear").addEventListener("click", () => this.take(""));
    find("file").addEventListener("change", (event) => this.takeFile(event.target));
    for (const example of root.querySelectorAll("[data-example]")) {
      example.addEventListener("click", () => this.takeExample(example.dataset.example));
    }
    this.acceptDrops(find("drop"));
    this.describePoint();
    this.describeCount();
    if (this.text.value) this.later();
  }

  get operatingPoint() {
    return POINTS[Number(this.point.value)];
  }

  /** Reads after a pause in typing. */
  later() {
    clearTimeout(this.timer);
    this.setBusy(true);
    this.timer = setTimeout(() => this.read(), PAUSE_MILLISECONDS);
  }

  setBusy(isBusy) {
    this.root.querySelector("#findings").setAttribute("aria-busy", String(isBusy));
  }

  /** Puts a text into the box and reads it. */
  take(text) {
    this.text.value = text;
    this.notice.replaceChildren();
    this.shownAll = false;
    this.only = null;
    clearTimeout(this.timer);
    return this.read();
  }

  async takeExample(id) {
    let articles;
    try {
      const answer = await fetch(new URL("examples.json", import.meta.url));
      articles = await answer.json();
    } catch {
      this.failed(new Problem(0, "unreachable", ""));
      return;
    }
    const { text } = articles.find((article) => article.id === id);
    this.take(text);
    this.text.scrollTop = 0;
    // On a telephone the findings stand below what fills the screen.
    if (matchMedia("(max-width: 60rem)").matches) this.root.querySelector("#findings").scrollIntoView();
  }

  pasted(event) {
    const pasted = event.clipboardData.getData("text/plain");
    if (this.tooLong(pasted)) {
      event.preventDefault();
      return;
    }
    const replaces = this.text.selectionStart === 0 && this.text.selectionEnd === this.text.value.length;
    if (!replaces || !PAGE.test(pasted)) return;
    event.preventDefault();
    this.takeHtml(pasted);
  }

  async takeFile(input) {
    const [file] = input.files;
    input.value = "";
    if (file) await this.takeContent(await file.text());
  }

  takeContent(content) {
    if (this.tooLong(content)) return null;
    return PAGE.test(content) ? this.takeHtml(content) : this.take(content);
  }

  /** Takes what looks like the source of a page: cleaned, with a way back to the source. */
  async takeHtml(html) {
    clearTimeout(this.timer);
    const signal = this.begin();
    this.text.value = "";
    say(this.status, "read.cleaning");
    // What was chosen or typed meanwhile is what the reader wants.
    const isOver = () => signal.aborted || this.text.value;
    let text;
    try {
      text = await this.reader.clean(html, this.operatingPoint, signal);
    } catch (problem) {
      if (isOver()) return;
      this.text.value = html;
      this.failed(problem);
      return;
    }
    if (isOver()) return;
    this.take(text);
    const back = button("small", "read.keep-source", () => this.take(html));
    this.notice.replaceChildren(make("span", { say: "read.cleaned" }), " ", back);
  }

  acceptDrops(area) {
    area.addEventListener("dragover", (event) => {
      event.preventDefault();
      area.classList.add("over");
    });
    area.addEventListener("dragleave", () => area.classList.remove("over"));
    area.addEventListener("drop", async (event) => {
      event.preventDefault();
      area.classList.remove("over");
      const [file] = event.dataTransfer.files;
      const content = file ? await file.text() : event.dataTransfer.getData("text/plain");
      if (content) await this.takeContent(content);
    });
  }

  pointChanged() {
    this.describePoint();
    if (this.text.value) this.later(); // An empty box may wait for a page that is being cleaned.
  }

  /** Says what the operating point buys, over all topics. */
  describePoint() {
    const point = this.operatingPoint;
    this.point.setAttribute("aria-valuetext", words(`point.${point}`));
    say(this.root.querySelector("#point-name"), `point.${point}`);
    const { precision, recall } = catalogue.bought()[point];
    const known = precision !== null && recall !== null;
    this.root.querySelector("#point-figures").hidden = !known;
    if (!known) return;
    for (const [name, value] of [["precision", precision], ["recall", recall]]) {
      const hundredth = Math.round(value * 100);
      say(this.root.querySelector(`#bought-${name}`), `point.bought-${name}`, { count: hundredth });
      this.root.querySelector(`#bar-${name}`).style.setProperty("--value", value.toFixed(4));
    }
  }

  /** Whether a text is longer than is read at once. It is not put into the box then: browsers stall on laying it out. */
  tooLong(text) {
    const isLong = text.length > this.mostCharacters;
    this.error.hidden = !isLong;
    if (isLong) this.error.replaceChildren(make("span", { say: ["read.too-long", { most: this.mostCharacters, count: text.length }] }));
    return isLong;
  }

  begin() {
    this.reading?.abort();
    this.reading = new AbortController();
    return this.reading.signal;
  }

  /** Reads the text as it is now: lines known already are shown at once, the others as they are answered. */
  async read() {
    const text = this.text.value;
    const signal = this.begin();
    this.describeCount();
    this.setBusy(!this.tooLong(text));
    if (!this.error.hidden) return;
    const lines = ArticleReader.lines(text);
    const point = this.operatingPoint;
    const show = () => this.show(lines, point);
    show();
    try {
      await catalogue.load();
      this.describePoint();
      await this.reader.read(lines, point, signal, show);
      this.describePoint();
      show();
      this.setBusy(false);
    } catch (problem) {
      this.failed(problem);
    }
  }

  failed(problem) {
    if (problem.name === "AbortError") return;
    if (!(problem instanceof Problem)) throw problem;
    this.error.hidden = false;
    this.error.replaceChildren(make("span", { say: problem.key }), " ", problem.detail, " ", button("small", "read.again", () => this.read()));
    this.root.querySelector("#found").hidden = !this.list.children.length;
    this.status.textContent = "";
    this.progress.hidden = true;
    this.setBusy(false);
  }

  describeCount() {
    say(this.root.querySelector("#count"), "read.characters", { n: this.text.value.length });
    this.root.querySelector("#clear").disabled = !this.text.value;
  }

  /** Shows what is known so far of some lines. */
  show(lines, point) {
    const known = lines.map((line) => this.reader.passages(line, point));
    const answered = known.filter((passages) => passages).length;
    const passages = known.flatMap((listed) => listed ?? []);
    const own = passages.filter((passage) => !passage.furniture);
    this.empty.hidden = lines.length > 0;
    this.root.querySelector("#found").hidden = !lines.length;
    this.progress.hidden = answered === lines.length;
    this.progress.max = lines.length || 1;
    this.progress.value = answered;
    if (!lines.length) this.status.textContent = "";
    else if (answered < lines.length) say(this.status, "read.progress", { answered, n: lines.length });
    else say(this.status, new Set(own.map(({ version }) => version)).size > 1 ? "read.differ" : "read.done", { n: own.length });
    this.showTopics(articleTopics(own), own.length && answered === lines.length);
    this.showPassages(passages, point);
  }

  showTopics(found, finished) {
    const focused = document.activeElement?.dataset?.only;
    if (this.only && !found.some(({ slug }) => slug === this.only)) this.only = null;
    const chips = found.map(({ slug, score, passages }) => {
      const chip = make(
        "button",
        { type: "button", class: `chip large ${catalogue.groupOf(slug)}`, "aria-pressed": String(this.only === slug), on: { click: () => this.filter(slug) } },
        ...chipContent(slug, score),
        make("span", { class: "soft", say: ["read.passages", { n: passages }] }),
      );
      chip.dataset.only = slug;
      return make("li", {}, chip);
    });
    if (!chips.length && finished) chips.push(make("li", { class: "nothing", say: "read.nothing" }));
    this.topics.replaceChildren(...chips);
    if (focused) this.topics.querySelector(`[data-only="${CSS.escape(focused)}"]`)?.focus();
  }

  /** Shows only the passages with a topic, or all again. */
  filter(slug) {
    this.only = this.only === slug ? null : slug;
    for (const chip of this.topics.querySelectorAll("[data-only]")) chip.setAttribute("aria-pressed", String(chip.dataset.only === this.only));
    this.applyFilter();
  }

  applyFilter() {
    for (const item of this.list.children) {
      item.hidden = this.only !== null && !item.card?.passage.topics.includes(this.only);
    }
  }

  /** Puts the cards into the order of the passages; a card that is there already stays as it is, with whatever is open in it. */
  showPassages(passages, point) {
    const most = this.shownAll ? Infinity : MOST_SHOWN;
    const before = this.cards;
    this.cards = new Map();
    this.more?.remove();
    let place = this.list.firstElementChild;
    for (const passage of passages.slice(0, most)) {
      const key = `${passage.version}\n${point}\n${passage.text}`;
      const item = before.get(key)?.shift() ?? this.makeItem(passage, point);
      this.cards.set(key, [...(this.cards.get(key) ?? []), item]);
      if (item === place) place = place.nextElementSibling;
      else this.list.insertBefore(item, place);
    }
    for (const items of before.values()) for (const item of items) item.remove();
    if (passages.length > most) {
      const more = button("", ["read.more", { n: passages.length - most }], () => {
        this.shownAll = true;
        this.read();
      });
      this.more = make("li", { class: "more" }, more);
      this.list.append(this.more);
    }
    this.applyFilter();
  }

  makeItem(passage, point) {
    const card = new PassageCard(passage, { point, correct: this.feedback });
    const item = make("li", {}, card.element);
    item.card = card;
    return item;
  }
}
