// An article in parts: lines are sent some at a time, and what was answered for a line is kept, so that typing asks for the changed line alone.

import { ask } from "./api.js";
import * as catalogue from "./catalogue.js";
import { codePointOffsets } from "./elements.js";

const FIRST_CHARACTERS = 1500;
const MOST_CHARACTERS = 24_000;
const MOST_LINES = 200;
const MOST_KEPT = 4000;
const ROUNDS = 3;
const LETTERS = /\p{L}[^]*\p{L}/u;

export class ArticleReader {
  constructor() {
    this.kept = new Map();
    this.model = null;
  }

  /** The lines of a text that can hold passages. The service reads a line with two letters or more as a paragraph. */
  static lines(text) {
    return text.toWellFormed().split("\n").filter((line) => LETTERS.test(line));
  }

  /** What is known of a line at an operating point: its passages, or undefined. */
  passages(line, point) {
    return this.kept.get(`${point}\n${line}`);
  }

  /** Asks for the lines that are not known yet, part by part; calls `answered` after each part.
   *
   * Another version's answer starts it again, twice at most: where versions take turns, the last round keeps what each of them says. */
  async read(lines, point, signal, answered) {
    const wanted = [...new Set(lines)];
    const unknown = () => wanted.filter((line) => !this.passages(line, point));
    for (let round = 1; round <= ROUNDS; round += 1) {
      for (const part of parts(unknown())) {
        const answer = await this.ask({ text: part.join("\n"), operating_point: point }, signal);
        this.keep(answer, part, point, round === ROUNDS);
        answered();
      }
    }
    if (this.kept.size > MOST_KEPT) this.forgetAllBut(wanted, point);
  }

  forgetAllBut(lines, point) {
    const wanted = new Set(lines.map((line) => `${point}\n${line}`));
    for (const known of this.kept.keys()) if (!wanted.has(known)) this.kept.delete(known);
  }

  /** Cleans a page of HTML; its text, with what was answered for its lines kept. */
  async clean(html, point, signal) {
    const answer = await this.ask({ html: html.toWellFormed(), operating_point: point }, signal);
    this.keep(answer, ArticleReader.lines(answer.text), point);
    return answer.text;
  }

  async ask(body, signal) {
    const answer = await ask("v1/articles", { method: "POST", body, signal, wait: true });
    await catalogue.follow(answer.model.version);
    signal.throwIfAborted();
    return answer;
  }

  keep(answer, lines, point, mixes = false) {
    // Another version went live meanwhile: one version answers for all that is shown.
    if (!mixes && this.model && this.model.version !== answer.model.version) this.kept.clear();
    this.model = answer.model;
    const places = codePointOffsets(answer.text);
    const byLine = new Map(lines.map((line) => [line, []]));
    const owners = new Map();
    let begin = 0;
    const bounds = answer.text.split("\n").map((line) => {
      const bound = { line, begin, end: begin + line.length };
      begin = bound.end + 1;
      return bound;
    });
    let at = 0;
    for (const passage of answer.passages) {
      const start = places(passage.start);
      while (start >= bounds[at].end) at += 1;
      const { line, begin: lineBegin } = bounds[at];
      const listed = byLine.get(line);
      if (!listed) continue;
      // A line that stands in the article twice is kept once.
      const owner = owners.get(line) ?? owners.set(line, lineBegin).get(line);
      if (owner === lineBegin) listed.push({ ...passage, text: answer.text.slice(start, places(passage.end)), version: answer.model.version });
    }
    for (const [line, passages] of byLine) this.kept.set(`${point}\n${line}`, passages);
  }
}

/** The topics of an article: each that a passage has, with its highest probability and how many have it. */
export function articleTopics(passages) {
  const found = new Map();
  for (const { topics, scores } of passages) {
    for (const slug of topics) {
      const entry = found.get(slug) ?? { slug, score: 0, passages: 0 };
      entry.score = Math.max(entry.score, scores[slug]);
      entry.passages += 1;
      found.set(slug, entry);
    }
  }
  return [...found.values()].sort((a, b) => b.score - a.score || a.slug.localeCompare(b.slug));
}

/** Lines in parts that grow, so that the first answer comes at once and a long article needs few calls. */
function* parts(lines) {
  let part = [], characters = 0, most = FIRST_CHARACTERS;
  for (const line of lines) {
    if (part.length && (characters + line.length > most || part.length === MOST_LINES)) {
      yield part;
      [part, characters, most] = [[], 0, Math.min(most * 2, MOST_CHARACTERS)];
    }
    part.push(line);
    characters += line.length + 1;
  }
  if (part.length) yield part;
}
