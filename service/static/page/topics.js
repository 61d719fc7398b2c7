// The topics: what each is, which codes it is about, when it is given and how well that goes.

import { attempt } from "./api.js";
import * as catalogue from "./catalogue.js";
import { bar, make } from "./elements.js";
import { plain, say, sayNumber, sayTopic } from "./words.js";

const GROUPS = ["legal", "action", "content", "other"];

export class View {
  constructor(root) {
    this.root = root;
    this.list = root.querySelector("#topic-list");
    this.search = root.querySelector("#topic-search");
    this.search.addEventListener("input", () => this.filter());
    document.addEventListener("vigie:language", () => this.show());
  }

  async open() {
    await attempt(this.root, async () => {
      await catalogue.load();
      this.show();
    });
  }

  show() {
    const listed = GROUPS.map((group) => {
      const topics = catalogue.topics().filter(({ slug }) => catalogue.groupOf(slug) === group);
      if (!topics.length) return null;
      return make("section", { class: "group" }, make("h2", { say: `group.${group}` }), make("ul", { class: "cards" }, ...topics.map(entry)));
    });
    this.list.replaceChildren(...listed.filter(Boolean));
    this.filter();
  }

  filter() {
    const wanted = plain(this.search.value);
    let n = 0;
    for (const item of this.list.querySelectorAll(".cards > li")) {
      item.hidden = !plain(item.textContent).includes(wanted);
      if (!item.hidden) n += 1;
    }
    for (const group of this.list.children) group.hidden = !group.querySelector(".cards > li:not([hidden])");
    say(this.root.querySelector("#topic-count"), "topics.count", { n });
  }
}

function entry({ slug, codes = {}, thresholds, held_out: figures }) {
  const head = make("h3", {}, make("span", { class: `dot ${catalogue.groupOf(slug)}`, "aria-hidden": "true" }), sayTopic(make("span"), slug), " ", make("code", {}, slug));
  const figure = (name) => make("div", {}, make("dt", { say: `figure.${name}` }), make("dd", {}, sayNumber(make("span"), figures[name], 2), bar(figures[name])));
  const threshold = thresholds.balanced?.threshold;
  const limit = threshold === undefined ? null : make("div", {}, make("dt", { say: "figure.threshold" }), make("dd", {}, sayNumber(make("span"), threshold, 2), bar(threshold)));
  return make(
    "li",
    { class: "card" },
    head,
    make("p", {}, catalogue.definitionOf(slug)),
    make("dl", { class: "figures" }, figure("precision"), figure("recall"), limit),
    make("p", { class: "soft", say: ["topics.support", { n: figures.support }] }),
    crosswalk(codes),
  );
}

/** The codes that a topic is about, with what each is called in its standard. */
function crosswalk(codes) {
  const { standards } = catalogue.crosswalk();
  const rows = Object.entries(standards).flatMap(([standard, { prefix, codes: names }]) =>
    (codes[standard] ?? []).map((code) =>
      make("li", {}, make("span", { class: "standard" }, standard.toUpperCase()), " ", make("code", {}, code.replace(prefix, "")), make("span", { class: "soft", lang: "en" }, names[code] ? ` ${names[code]}` : "")),
    ),
  );
  if (!rows.length) return null;
  return make("div", { class: "codes" }, make("h4", { say: "topics.about" }), make("ul", {}, ...rows));
}
