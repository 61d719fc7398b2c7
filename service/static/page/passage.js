// One passage: its text, its topics as chips with their probabilities, why each, and what a reader says of it.

import * as catalogue from "./catalogue.js";
import { Problem } from "./api.js";
import { Correction, chipButton } from "./correction.js";
import { bar, button, make, textNodes } from "./elements.js";
import { explain, inWords, shaded, table } from "./explanation.js";
import { label, say, sayNumber, sayTopic, words } from "./words.js";

let cards = 0;

/** A chip's inside: name, bar, probability. */
export function chipContent(slug, score) {
  return [sayTopic(make("span", { class: "name" }), slug), bar(score), sayNumber(make("span", { class: "score" }), score, 2)];
}

/** The card of a passage. `correct` turns correcting on; `done` is called when feedback was kept. */
export class PassageCard {
  constructor(passage, { point = "balanced", correct = false, open = false, done } = {}) {
    this.passage = passage;
    this.point = point;
    this.pinned = null;
    this.shown = null;
    cards += 1;
    const dir = { dir: "auto", class: "text", id: `passage-${cards}` };
    this.text = make("p", dir, ...textNodes(passage.text));
    if (passage.furniture) {
      this.element = make("article", { class: "passage furniture" }, this.text, make("p", { class: "aside", say: "passage.furniture" }));
      return;
    }
    this.chips = make("ul", { class: "chips", label: "passage.topics" });
    this.panel = make("div", { class: "panel", id: `why-${cards}`, hidden: true });
    this.spoken = make("p", { class: "unseen", role: "status" });
    this.element = make(
      "article",
      { class: "passage", "aria-describedby": this.text.id, label: "passage.label" },
      this.text,
      make("div", { class: "about" }, this.chips, this.notes(), this.tools()),
      this.panel,
      this.spoken,
    );
    if (correct) {
      this.correction = new Correction(passage, (_, editable) => this.listChips(editable), { open, done });
      this.element.append(this.correction.element);
    }
    this.listChips(open);
  }

  /** Chips of the topics given, and, while they are corrected, of those removed. */
  listChips(editable = false) {
    const { topics, scores } = this.passage;
    const wanted = this.correction?.wanted ?? new Set(topics);
    const listed = [...new Set([...topics, ...wanted])];
    const chips = listed.map((slug) => {
      const added = !topics.includes(slug), removed = !wanted.has(slug);
      const chip = this.chip(slug, scores[slug] ?? 0);
      const item = make("li", { class: removed ? "removed" : added ? "added" : null }, chip);
      if (added) item.append(make("span", { class: "unseen", say: "correct.is-added" }));
      if (removed) item.append(make("span", { class: "unseen", say: "correct.is-removed" }));
      if (editable) item.append(chipButton(this.correction, slug));
      return item;
    });
    if (!chips.length) chips.push(make("li", { class: "nothing", say: "passage.nothing" }));
    this.chips.replaceChildren(...chips);
  }

  chip(slug, score) {
    const element = make(
      "button",
      {
        type: "button", class: `chip ${catalogue.groupOf(slug)}`, "aria-expanded": String(this.pinned === slug), "aria-controls": this.panel.id,
        on: {
          pointerenter: () => this.shade(slug),
          pointerleave: () => this.shade(this.pinned),
          focus: () => this.shade(slug),
          blur: () => this.shade(this.pinned),
          click: () => this.pin(this.pinned === slug ? null : slug),
        },
      },
      ...chipContent(slug, score),
    );
    element.dataset.slug = slug;
    return element;
  }

  notes() {
    const { needs_review: needed, reasons, language, truncated } = this.passage;
    const notes = make("div", { class: "notes" });
    if (truncated) notes.append(make("p", { class: "note", say: "passage.truncated" }));
    if (!needed) return notes;
    const listed = make("ul", {}, ...reasons.map((reason) => make("li", { say: [`reason.${reason}`, { language }] })));
    notes.append(make("div", { class: "note review" }, make("b", { say: "passage.review" }), listed));
    return notes;
  }

  tools() {
    const all = button("small quiet", "passage.all", () => this.toggleAll(all), { "aria-expanded": "false", "aria-controls": this.panel.id });
    this.all = all;
    return all;
  }

  /** Shades the words for a topic; null takes the shades away. */
  async shade(slug) {
    this.wanted = slug;
    if (slug === null) {
      if (this.shown !== null) this.text.replaceChildren(...textNodes(this.passage.text));
      this.shown = null;
      this.element.classList.remove("shaded");
      return;
    }
    try {
      const { parts } = await explain(this.passage, slug);
      if (this.wanted !== slug || this.shown === slug) return;
      this.text.replaceChildren(...shaded(this.passage.text, parts));
      this.shown = slug;
      this.element.classList.add("shaded");
      this.spoken.textContent = inWords(parts, slug);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.spoken.textContent = problem.inWords;
    }
  }

  /** Keeps a topic's words shaded and lists their contributions; null lets go. */
  async pin(slug) {
    this.pinned = slug;
    for (const chip of this.element.querySelectorAll(".chip")) chip.setAttribute("aria-expanded", String(chip.dataset.slug === slug));
    this.all.setAttribute("aria-expanded", "false");
    this.panel.hidden = slug === null;
    await this.shade(slug);
    if (slug === null || this.pinned !== slug) return;
    try {
      const explained = await explain(this.passage, slug);
      if (this.pinned !== slug) return;
      this.panel.replaceChildren(this.decision(slug), ...this.otherVersion(explained), legend(), table(slug, explained));
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.panel.replaceChildren(make("p", { class: "error", say: problem.key }));
    }
  }

  /** A topic's definition, and its threshold with what that buys. */
  decision(slug) {
    const at = catalogue.thresholdOf(slug, this.point);
    const about = make("p", { class: "definition" }, make("b", {}, `${catalogue.nameOf(slug)}. `), catalogue.definitionOf(slug));
    if (!at) return about;
    const given = this.passage.topics.includes(slug) ? "explain.given" : "explain.not-given";
    const values = { score: this.passage.scores[slug], threshold: at.threshold, precision: at.precision, recall: at.recall };
    return make("div", {}, about, make("p", { class: "soft", say: [at.precision === undefined ? `${given}-bare` : given, values] }));
  }

  /** Says so when another version explains than the one that read the passage. */
  otherVersion({ version }) {
    const { version: read } = this.passage;
    return version === read ? [] : [make("p", { class: "note", say: ["explain.other-version", { version, read }] })];
  }

  /** Lists the probability of every topic. */
  toggleAll(control) {
    const open = control.getAttribute("aria-expanded") === "true";
    this.pin(null);
    control.setAttribute("aria-expanded", String(!open));
    this.panel.hidden = open;
    if (open) return;
    const ordered = Object.entries(this.passage.scores).sort(([, a], [, b]) => b - a);
    const rows = ordered.map(([slug, score]) => make("li", {}, this.chip(slug, score)));
    const facts = { scope: this.passage.scope, coverage: this.passage.vocabulary_coverage, language: this.passage.language };
    this.panel.replaceChildren(make("p", { class: "soft", say: ["passage.facts", facts] }), make("ul", { class: "all-scores" }, ...rows));
  }
}

/** What the shades mean, without relying on colour. */
export function legend() {
  const key = (kind, said) => make("span", {}, make("mark", { class: kind, "data-shade": 3, say: said }), " ");
  return label(make("p", { class: "legend" }, key("for", "legend.for"), key("against", "legend.against"), say(make("span"), "legend.strength")), "legend.label");
}
