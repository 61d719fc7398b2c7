// Why a passage has a topic: the words that speak for and against it, in the text and in a table.

import { ask } from "./api.js";
import { codePointOffsets, make, textNodes } from "./elements.js";
import { label, sayNumber, words } from "./words.js";

const MOST_SHADED = 400;
const LEAST_SHADED = 0.08;
const MOST_LISTED = 100;
const SHADES = 4;
const SPOKEN = 4;

/** What each stretch of a passage adds to a topic's log-odds, with the probability and the version that these belong to; asked for once. */
export function explain(passage, slug) {
  passage.explained ??= new Map();
  if (!passage.explained.has(slug)) passage.explained.set(slug, askWhy(passage, slug));
  return passage.explained.get(slug);
}

async function askWhy(passage, slug) {
  try {
    const body = { text: passage.text, topics: [slug], explain: true };
    const { model, results } = await ask("v1/classify", { method: "POST", body, wait: true });
    return { parts: results[0].explanation[slug], score: results[0].scores[slug], version: model.version };
  } catch (problem) {
    passage.explained.delete(slug); // The next time it is tried again.
    throw problem;
  }
}

/** The passage's text with the words shaded by what they add. Where stretches overlap, what they add is added. */
export function shaded(text, parts) {
  const place = codePointOffsets(text);
  const strongest = parts.slice(0, MOST_SHADED);
  const most = Math.max(...strongest.map((part) => Math.abs(part.contribution)), 1e-9);
  const changes = new Map();
  for (const { start, end, contribution } of strongest) {
    changes.set(place(start), (changes.get(place(start)) ?? 0) + contribution);
    changes.set(place(end), (changes.get(place(end)) ?? 0) - contribution);
  }
  const bounds = [...new Set([0, text.length, ...changes.keys()])].sort((a, b) => a - b);
  const nodes = [];
  let weight = 0;
  for (let i = 0; i + 1 < bounds.length; i += 1) {
    weight += changes.get(bounds[i]) ?? 0;
    const stretch = textNodes(text.slice(bounds[i], bounds[i + 1]));
    const shade = Math.min(SHADES, Math.ceil((Math.abs(weight) / most) * SHADES));
    if (shade < 1 || Math.abs(weight) < most * LEAST_SHADED) nodes.push(...stretch);
    else nodes.push(make("mark", { class: weight > 0 ? "for" : "against", "data-shade": shade }, ...stretch));
  }
  return nodes;
}

/** The strongest words for and against, in a sentence for those who do not see the shades. */
export function inWords(parts, slug) {
  const strongest = (sign) => {
    const found = parts.filter((part) => Math.sign(part.contribution) === sign).map((part) => part.text);
    return [...new Set(found)].slice(0, SPOKEN).join(", ") || words("explain.none");
  };
  return words("explain.spoken", { topic: slug, for: strongest(1), against: strongest(-1) });
}

/** All contributions with what the topic starts from: together the log-odds of the probability. */
export function table(slug, { parts, score }) {
  const inside = Math.min(Math.max(score, 1e-6), 1 - 1e-6);
  const logOdds = Math.log(inside / (1 - inside));
  const added = parts.reduce((sum, part) => sum + part.contribution, 0);
  const listed = parts.slice(0, MOST_LISTED);
  const rest = parts.slice(MOST_LISTED).reduce((sum, part) => sum + part.contribution, 0);
  const body = make("tbody");
  const row = (head, value, kind = "") => body.append(make("tr", { class: kind }, head, sayNumber(make("td"), value, 4)));
  row(make("th", { scope: "row", say: "explain.start" }), logOdds - added, "sum");
  for (const { text, contribution } of listed) {
    row(make("th", { scope: "row", dir: "auto" }, ...textNodes(text)), contribution, contribution > 0 ? "for" : "against");
  }
  if (parts.length > listed.length) row(make("th", { scope: "row", say: ["explain.rest", { n: parts.length - listed.length }] }), rest);
  row(make("th", { scope: "row", say: "explain.total" }), logOdds, "sum");
  const head = make("tr", {}, make("th", { scope: "col", say: "explain.words" }), make("th", { scope: "col", say: "explain.adds" }));
  const caption = make("caption", { say: ["explain.caption", { topic: slug, score }] });
  const wide = make("div", { class: "wide", tabindex: 0, role: "group" }, make("table", { class: "contributions" }, caption, make("thead", {}, head), body));
  return label(wide, "explain.table", { topic: slug });
}
