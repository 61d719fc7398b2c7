// Drift: recent traffic beside the training data, in small charts over the last hour.

import { ask, attempt } from "./api.js";
import * as catalogue from "./catalogue.js";
import { columns, sparkline } from "./charts.js";
import { button, make } from "./elements.js";
import { label, languageWords, say, sayShare, sayTopic, words } from "./words.js";

const EVERY_MILLISECONDS = 15_000;
const FEWEST = 100;
const FAR = 4;

export class View {
  constructor(root) {
    this.root = root;
    this.charts = root.querySelector("#drift-charts");
    this.status = root.querySelector("#drift-status");
    document.addEventListener("vigie:language", () => this.found && this.show());
  }

  async open() {
    clearInterval(this.timer);
    this.timer = setInterval(() => !this.root.hidden && !document.hidden && this.load(), EVERY_MILLISECONDS);
    await this.load();
  }

  async load() {
    const problem = await attempt(this.root, async () => {
      [this.found] = await Promise.all([ask("v1/drift", { wait: true }), catalogue.load()]);
      this.show();
    });
    // Without a key each try would ask for one again.
    if (problem?.status === 401) clearInterval(this.timer);
  }

  show() {
    const { passages, languages, history, step_seconds: step } = this.found;
    say(this.status, "drift.status", { n: passages, minutes: (history.length * step) / 60 });
    this.root.querySelector("#drift-empty").hidden = passages > 0;
    const open = new Set([...this.charts.querySelectorAll("[aria-expanded=true]")].map((more) => more.dataset.of));
    const focused = this.charts.contains(document.activeElement) ? document.activeElement.dataset.of : undefined;
    const listed = Object.entries(languages).filter(([, entry]) => entry.passages);
    const sections = listed.map(([language, entry]) => section(language, entry, history, open.has(language)));
    this.charts.replaceChildren(...(passages ? [volume(history)] : []), ...sections);
    if (focused) this.charts.querySelector(`[data-of="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }
}

function volume(history) {
  const counts = history.map((step) => Object.values(step).reduce((sum, { passages }) => sum + passages, 0));
  const chart = label(columns(counts), "drift.volume-chart", { most: Math.max(...counts) });
  return make("section", { class: "card volume" }, make("h2", { say: "drift.volume" }), chart, ends());
}

function section(language, entry, history, isOpen) {
  const steps = history.map((step) => step[language] ?? null);
  const share = history.map((step) => {
    const all = Object.values(step).reduce((sum, { passages }) => sum + passages, 0);
    return all ? (step[language]?.passages ?? 0) / all : null;
  });
  const coverage = steps.map((step) => step?.vocabulary_coverage ?? null);
  const topics = Object.entries(entry.topics).sort(([, a], [, b]) => Math.abs(b.z ?? 0) - Math.abs(a.z ?? 0));
  const charts = topics.map(([slug, rates]) => {
    const values = steps.map((step) => (step ? (step.topics[slug] ?? 0) : null));
    return chart(sayTopic(make("h4"), slug), values, rates, entry.passages);
  });
  const few = entry.passages < FEWEST ? make("p", { class: "note", say: ["drift.few", { n: entry.passages }] }) : "";
  const head = make("h2", { say: languageWords(language) });
  const rest = make("div", { class: "small-charts", hidden: !isOpen }, ...charts.slice(6));
  const more = button("small quiet", ["drift.more", { n: Math.max(charts.length - 6, 0) }], () => {
    rest.hidden = !rest.hidden;
    more.setAttribute("aria-expanded", String(!rest.hidden));
  }, { "aria-expanded": String(isOpen) });
  more.dataset.of = language;
  return make(
    "section",
    { class: "card" },
    head,
    few,
    make("div", { class: "small-charts" }, chart(make("h3", { say: "drift.share" }), share, entry.share, entry.passages, 1), chart(make("h3", { say: "drift.coverage" }), coverage, entry.vocabulary_coverage, entry.passages, 1)),
    make("h3", { say: "drift.topics" }),
    make("div", { class: "small-charts" }, ...charts.slice(0, 6)),
    ...(charts.length > 6 ? [more, rest] : []),
  );
}

function chart(head, values, { recent, training, z = null }, passages, most = null) {
  const isFar = z !== null && Math.abs(z) >= FAR && passages >= FEWEST;
  const figures = make("p", { class: "figures-line" }, sayShare(make("b"), recent ?? 0));
  if (training !== null) figures.append(" ", say(make("span", { class: "soft" }), "drift.training", { training: { share: training } }));
  if (isFar) figures.append(" ", say(make("span", { class: "pill warn" }), z > 0 ? "drift.more-than" : "drift.less-than", { z: Math.abs(z) }));
  const svg = sparkline(values, { compared: training, most });
  svg.setAttribute("aria-label", words("drift.chart", { name: head.textContent }));
  return make("div", { class: "small-chart" }, head, svg, figures);
}

function ends() {
  return make("p", { class: "ends soft" }, make("span", { say: "drift.hour-ago" }), make("span", { say: "drift.now" }));
}
