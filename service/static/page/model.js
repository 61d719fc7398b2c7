// The model card and the registry: what answers, since when, how well, and what else there is.

import { ask, attempt, key } from "./api.js";
import * as catalogue from "./catalogue.js";
import { growth, tradeoff } from "./charts.js";
import { button, make } from "./elements.js";
import { label, languageWords, say, sayMoment, sayNumber, sayTopic } from "./words.js";

const FIGURES = ["micro_f1", "macro_f1", "precision", "recall", "map", "false_topic_rate", "ece"];
const FOREMOST = ["precision", "recall", "micro_f1", "false_topic_rate"];
const POINTS = ["recall", "balanced", "precision"];

export class View {
  constructor(root, { keys }) {
    this.root = root;
    this.keys = keys;
    this.card = root.querySelector("#card");
    document.addEventListener("vigie:language", () => this.found && this.show());
  }

  async open() {
    await attempt(this.root, async () => {
      const [model, models] = await Promise.all([ask("v1/model", { wait: true }), ask("v1/models", { wait: true })]);
      await catalogue.follow(model.version);
      this.found = { model, models };
      this.show();
    });
  }

  show() {
    const { model, models } = this.found;
    this.card.replaceChildren(this.summary(model), languages(model.metrics), curve(model), byTopic(), data(model), this.registry(models));
  }

  summary({ version, live_since: since, metrics, training }) {
    const tiles = FOREMOST.map((name) => make("div", { class: "tile" }, make("dt", { say: `figure.${name}` }), make("dd", {}, sayNumber(make("b"), metrics[name], 3)), make("dd", { class: "soft", say: `figure.${name}.about` })));
    const live = make("p", { class: "live" }, make("span", { class: "pill", say: "model.live" }), " ", make("code", {}, version), " ");
    if (since) live.append(say(make("span"), "model.since"), " ", sayMoment(make("time", { datetime: since }), since));
    const about = make("p", { class: "soft", say: ["model.about", { passages: training.passages, events: training.events }] });
    return make("section", {}, live, make("dl", { class: "tiles" }, ...tiles), about, this.report(version));
  }

  report(version) {
    const path = `v1/models/${encodeURIComponent(version)}/report`;
    if (!this.keys) return make("p", {}, make("a", { href: path, say: "model.report" }));
    // A link cannot show a key: the report is fetched with it, and saved.
    return make("p", {}, button("", "model.report-save", () => attempt(this.root, () => save(path, `vigie-${version}.html`))));
  }

  registry({ live, models }) {
    const rows = [...models].reverse().map((model) => {
      const state = model.version === live ? make("span", { class: "pill", say: "model.live" }) : make("span", { class: "soft", say: "model.kept" });
      const since = model.live_since ? sayMoment(make("time", { datetime: model.live_since }), model.live_since) : "–";
      const cells = [state, since, sayNumber(make("span"), model.training.passages), sayNumber(make("span"), model.metrics.micro_f1, 3), sayNumber(make("span"), model.metrics.macro_f1, 3)];
      return make("tr", {}, make("th", { scope: "row" }, make("code", {}, model.version)), ...cells.map((cell) => make("td", {}, cell)));
    });
    const heads = ["version", "state", "since", "passages", "micro_f1", "macro_f1"].map((name) => make("th", { scope: "col", say: `registry.${name}` }));
    return make("section", { id: "registry" }, make("h2", { say: "model.registry" }), wide("model.registry", make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows))));
  }
}

function languages({ per_language: parts, ...all }) {
  const heads = [make("th", { scope: "col", say: "figure.language" }), ...FIGURES.map((name) => make("th", { scope: "col", say: `figure.${name}` })), make("th", { scope: "col", say: "figure.n" })];
  const row = (name, figures) =>
    make("tr", {}, make("th", { scope: "row", say: languageWords(name) }), ...FIGURES.map((figure) => sayNumber(make("td"), figures[figure], 3)), sayNumber(make("td"), figures.n));
  const rows = [row("all", all), ...Object.entries(parts).map(([name, figures]) => row(name, figures))];
  return make("section", {}, make("h2", { say: "model.figures" }), make("p", { class: "soft", say: "model.held-out" }), wide("model.figures", make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows))));
}

function curve({ learning_curve: points }) {
  if (points.length < 2) return "";
  const chart = label(growth(points.map(({ passages, map }) => [passages, map])), "model.curve");
  return make("section", {}, make("h2", { say: "model.curve" }), make("p", { class: "soft", say: "model.curve-about" }), make("div", { class: "plot" }, chart));
}

/** A topic a row: precision against recall at the three points, and the thresholds that give them. */
function byTopic() {
  const heads = ["topic", "plot", ...POINTS].map((name) => make("th", { scope: "col", say: `bytopic.${name}` }));
  const rows = catalogue.topics().map(({ slug, thresholds, held_out: figures }) => {
    const points = POINTS.filter((point) => thresholds[point]?.precision !== undefined).map((point) => ({ point, ...thresholds[point] }));
    const chart = points.length ? label(tradeoff(points, "balanced"), "bytopic.chart", { topic: slug }) : "";
    const cells = POINTS.map((point) => {
      const at = thresholds[point];
      if (!at) return make("td", {}, "–");
      const bought = at.precision === undefined ? "" : make("span", { class: "soft", say: ["bytopic.bought", { precision: at.precision, recall: at.recall }] });
      const missed = at.reached === false ? make("em", { say: "bytopic.missed" }) : "";
      return make("td", {}, sayNumber(make("b"), at.threshold, 2), " ", bought, " ", missed);
    });
    const name = make("th", { scope: "row" }, sayTopic(make("span"), slug), make("span", { class: "soft block", say: ["topics.support", { n: figures.support }] }));
    return make("tr", {}, name, make("td", {}, chart), ...cells);
  });
  return make("section", {}, make("h2", { say: "model.topics" }), make("p", { class: "soft", say: "model.topics-about" }), wide("model.topics", make("table", { class: "by-topic" }, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows))));
}

function data({ training, taxonomy }) {
  const facts = [
    ["data.passages", sayNumber(make("dd"), training.passages)],
    ["data.events", sayNumber(make("dd"), training.events)],
    ["data.without", sayNumber(make("dd"), training.without_topic ?? 0)],
    ...Object.entries(training.per_language ?? {}).map(([name, n]) => [languageWords(name), sayNumber(make("dd"), n)]),
    ["data.taxonomy", make("dd", {}, `${taxonomy.name} ${taxonomy.version}`)],
    ["data.digest", make("dd", {}, make("code", {}, String(training.data_sha256 ?? "").slice(0, 16)))],
  ];
  return make("section", {}, make("h2", { say: "model.data" }), make("dl", { class: "facts" }, ...facts.map(([said, value]) => make("div", {}, make("dt", { say: said }), value))));
}

function wide(name, table) {
  return label(make("div", { class: "wide", tabindex: 0, role: "group" }, table), name);
}

async function save(path, name) {
  if (!key.get()) {
    window.dispatchEvent(new CustomEvent("vigie:key-wanted"));
    return;
  }
  const address = URL.createObjectURL(await ask(path, { raw: true }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
