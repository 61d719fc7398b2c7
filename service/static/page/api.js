// Calls to the service. What goes wrong becomes a Problem, which the page can put in words.

import { say, words } from "./words.js";

const KEY = "vigie-key";
const TRIES = 4;

export class Problem extends Error {
  constructor(status, type, detail, retry = null) {
    super(detail);
    this.status = status;
    this.type = type;
    this.retry = retry;
  }

  /** The key of the words that say what happened. */
  get key() {
    const known = ["feedback-off", "no-keys", "key-missing", "key-unknown", "missing-scope", "database-unavailable"];
    if (known.includes(this.type)) return `problem.${this.type}`;
    return [0, 404, 413, 422, 429, 503].includes(this.status) ? `problem.${this.status}` : "problem.other";
  }

  /** What the service says of it, where that says more than the words do. */
  get detail() {
    const detail = document.createElement("small");
    detail.lang = "en";
    detail.textContent = [0, 401].includes(this.status) ? "" : this.message;
    return detail;
  }

  get inWords() {
    return words(this.key);
  }
}

let keyHere = "";

export const key = {
  get() {
    try {
      return sessionStorage.getItem(KEY) ?? "";
    } catch {
      return keyHere;
    }
  },
  set(value) {
    keyHere = value;
    try {
      if (value) sessionStorage.setItem(KEY, value);
      else sessionStorage.removeItem(KEY);
    } catch {
      // Storage is closed to us: the key holds until the page is left.
    }
  },
};

/** Does a view's work; a problem is said in the view's place for errors, and returned. */
export async function attempt(root, work) {
  const error = root.querySelector(".error");
  try {
    await work();
    error.hidden = true;
    return null;
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    error.hidden = false;
    say(error, problem.key);
    return problem;
  }
}

/** Asks the service; the answer's JSON, or null where there is none. `wait` tries again while the service is busy. */
export async function ask(path, { method = "GET", body, signal, keepalive = false, wait = false, raw = false } = {}) {
  for (let tried = 1; ; tried += 1) {
    try {
      return await askOnce(path, { method, body, signal, keepalive, raw });
    } catch (problem) {
      const busy = problem instanceof Problem && (problem.status === 429 || problem.type === "busy");
      if (!wait || !busy || tried === TRIES) throw problem;
      await pause((problem.retry ?? 1) * 1000, signal);
    }
  }
}

async function askOnce(path, { method, body, signal, keepalive, raw }) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  let problem;
  try {
    const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal, keepalive });
    if (answer.ok) return raw ? await answer.blob() : answer.status === 204 ? null : await answer.json();
    problem = await problemOf(answer);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    problem = new Problem(0, "unreachable", String(error.message));
  }
  throw problem;
}

async function problemOf(answer) {
  let problem = {};
  try {
    problem = await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    // Something in between answered, and not with a problem document.
  }
  const type = String(problem.type ?? "").replace("urn:vigie:problem:", "");
  if (answer.status === 401) window.dispatchEvent(new CustomEvent("vigie:key-wanted"));
  return new Problem(answer.status, type, problem.detail ?? answer.statusText, Number(answer.headers.get("Retry-After")) || null);
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("", "AbortError"));
    });
  });
}
