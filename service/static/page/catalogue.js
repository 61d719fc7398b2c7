// The topics that the live model knows, kept while the same version answers.

import { ask } from "./api.js";
import { currentLanguage, setNames } from "./words.js";

const POINTS = ["recall", "balanced", "precision"];
let asked = null;
let version = null;
let bySlug = new Map();
let answer = { topics: [], crosswalk: { standards: {} } };

setNames((slug) => bySlug.get(slug)?.name?.[currentLanguage()] ?? slug);

/** Loads the topics; a failure is tried again the next time. */
export function load() {
  asked ??= ask("v1/topics", { wait: true }).then(
    (found) => {
      answer = found;
      bySlug = new Map(found.topics.map((topic) => [topic.slug, topic]));
      for (const e of document.querySelectorAll("[data-topic]")) e.textContent = nameOf(e.dataset.topic);
      return found;
    },
    (problem) => {
      asked = null;
      throw problem;
    },
  );
  return asked;
}

/** Forgets what was loaded: another key, or another version. */
export function forget() {
  asked = null;
}

/** Loads the topics of the version that answers: they do not name theirs, so they are asked for again once it is another or first known. */
export function follow(answering) {
  if (version !== answering) forget();
  version = answering;
  return load();
}

export const topics = () => answer.topics;
export const crosswalk = () => answer.crosswalk;
export const topic = (slug) => bySlug.get(slug);
export const nameOf = (slug) => bySlug.get(slug)?.name?.[currentLanguage()] ?? slug;
export const definitionOf = (slug) => bySlug.get(slug)?.definition?.[currentLanguage()] ?? "";
export const thresholdOf = (slug, point) => bySlug.get(slug)?.thresholds?.[point] ?? null;

/** The group that gives a topic its colour; other taxonomies have none. */
export function groupOf(slug) {
  const group = bySlug.get(slug)?.group;
  return ["legal", "action", "content"].includes(group) ? group : "other";
}

/** Precision and recall over all topics at each operating point, counted passage by passage (micro-averaged). */
export function bought() {
  return Object.fromEntries(
    POINTS.map((point) => {
      let right = 0, given = 0, there = 0;
      for (const { thresholds, held_out: figures } of answer.topics) {
        const at = thresholds[point];
        if (!at || at.precision === undefined || !figures.support) continue;
        const hits = at.recall * figures.support;
        right += hits;
        there += figures.support;
        if (at.precision > 0) given += hits / at.precision;
      }
      return [point, { precision: given ? right / given : null, recall: there ? right / there : null }];
    }),
  );
}
