// Elements, built by hand: whatever comes from outside is set as text and never read as markup.

import { label, say } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children. `say` and `label` give keys of words, alone or with values; `on` gives listeners. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  const { say: said, label: labelled, on = {}, ...rest } = attributes;
  for (const [name, value] of Object.entries(rest)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : value);
  }
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  if (said) say(element, ...[said].flat());
  if (labelled) label(element, ...[labelled].flat());
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** An SVG element. */
export function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A button that does one thing. */
export function button(kind, said, act, attributes = {}) {
  return make("button", { type: "button", class: kind, say: said, on: { click: act }, ...attributes });
}

/** A bar for a value from 0 to 1; its length says nothing that the number beside it does not. */
export function bar(value, kind = "bar") {
  const element = make("span", { class: kind, "aria-hidden": "true" });
  element.style.setProperty("--value", Math.min(Math.max(value, 0), 1).toFixed(4));
  return element;
}

const MARKS = /[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;
const MARK_NAMES = {
  "\u061c": "ALM", "\u200b": "ZWSP", "\u200c": "ZWNJ", "\u200d": "ZWJ", "\u200e": "LRM", "\u200f": "RLM", "\u202a": "LRE", "\u202b": "RLE",
  "\u202c": "PDF", "\u202d": "LRO", "\u202e": "RLO", "\u2066": "LRI", "\u2067": "RLI", "\u2068": "FSI", "\u2069": "PDI",
};

/** Text as nodes; a mark that would turn or hide what stands around it is named instead of obeyed. */
export function textNodes(text) {
  const nodes = [];
  let end = 0;
  for (const { 0: mark, index } of text.matchAll(MARKS)) {
    if (mark === "\u200d" || mark === "\u200c") continue; // They join emoji and letters, and turn nothing.
    if (index > end) nodes.push(document.createTextNode(text.slice(end, index)));
    const name = MARK_NAMES[mark] ?? `U+${mark.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
    nodes.push(make("span", { class: "mark" }, name));
    end = index + 1;
  }
  if (end < text.length) nodes.push(document.createTextNode(text.slice(end)));
  return nodes;
}

/** Where code points stand in a JavaScript string: a function from the one offset to the other. */
export function codePointOffsets(text) {
  if (!/[\ud800-\udfff]/.test(text)) return (offset) => offset;
  const places = [];
  let place = 0;
  for (const point of text) {
    places.push(place);
    place += point.length;
  }
  places.push(place);
  return (offset) => places[offset];
}
