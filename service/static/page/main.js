// The page's frame: views, language, theme, key. Views other than reading are loaded when they are first opened.

import { key } from "./api.js";
import * as catalogue from "./catalogue.js";
import { Reading } from "./reading.js";
import { counts } from "./sending.js";
import { currentLanguage, label, say, speak, words } from "./words.js";

const VIEWS = ["read", "review", "topics", "model", "drift"];
const LOADED = { review: "./review.js", topics: "./topics.js", model: "./model.js", drift: "./drift.js" };
const page = document.documentElement;
const { feedback, keys, mostCharacters } = page.dataset;
const opened = new Map();
let shown = "read";

function stored(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function store(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // The choice holds until the page is left.
  }
}

async function open(name, moved) {
  shown = name;
  for (const view of VIEWS) document.querySelector(`#view-${view}`).hidden = view !== name;
  for (const link of document.querySelectorAll("[data-view]")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  entitle(name);
  const root = document.querySelector(`#view-${name}`);
  if (moved) {
    window.scrollTo(0, 0);
    root.querySelector("h1").focus({ preventScroll: true });
  }
  if (!LOADED[name]) return;
  if (!opened.has(name)) {
    const loading = load(name, root);
    opened.set(name, loading);
    loading.catch(() => opened.delete(name));
  }
  await (await opened.get(name)).open();
}

async function load(name, root) {
  const { View } = await import(LOADED[name]);
  return new View(root, { feedback: feedback === "on", keys: keys === "on" });
}

function entitle(name) {
  document.title = `${words(`nav.${name}`)} · Vigie`;
}

const viewAsked = () => location.hash.slice(1) || "read";

function setUpLanguage() {
  const mark = () => {
    for (const choice of document.querySelectorAll("[data-language]")) {
      choice.setAttribute("aria-pressed", String(choice.dataset.language === currentLanguage()));
    }
  };
  for (const choice of document.querySelectorAll("[data-language]")) {
    choice.addEventListener("click", async () => {
      await speak(choice.dataset.language);
      store("vigie-language", choice.dataset.language);
      mark();
      entitle(shown);
    });
  }
  mark();
}

function setUpTheme() {
  const control = document.querySelector("#theme");
  const isDark = () => page.dataset.theme === "dark" || (!page.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  const tell = () => label(control, isDark() ? "theme.to-light" : "theme.to-dark");
  control.addEventListener("click", () => {
    page.dataset.theme = isDark() ? "light" : "dark";
    store("vigie-theme", page.dataset.theme);
    tell();
  });
  tell();
}

function setUpKey(changed) {
  const dialog = document.querySelector("#key-dialog");
  if (!dialog) return;
  const field = dialog.querySelector("#key");
  const ask = () => {
    if (dialog.open) return;
    field.value = key.get();
    dialog.showModal();
  };
  document.querySelector("#key-button").addEventListener("click", ask);
  window.addEventListener("vigie:key-wanted", ask);
  const end = (value) => {
    if (value !== null) key.set(value);
    dialog.close();
    catalogue.forget();
    changed();
  };
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") end(field.value.trim());
  });
  dialog.querySelector("#key-keep").addEventListener("click", () => end(field.value.trim()));
  dialog.querySelector("#key-forget").addEventListener("click", () => end(""));
  dialog.querySelector("#key-cancel").addEventListener("click", () => dialog.close());
}

function showCounts() {
  const element = document.querySelector("#counts");
  element.hidden = !Object.values(counts).some((count) => count);
  say(element, "counts", counts);
}

const wanted = [new URLSearchParams(location.search).get("lang"), stored("vigie-language"), currentLanguage()];
await speak(wanted.find((language) => ["en", "fr"].includes(language)));
setUpLanguage();
setUpTheme();
const reading = new Reading(document.querySelector("#view-read"), { feedback: feedback === "on", mostCharacters: Number(mostCharacters) });
document.addEventListener("vigie:language", () => reading.describePoint());
document.addEventListener("vigie:counts", showCounts);
setUpKey(() => {
  reading.later();
  catalogue.load().then(() => reading.describePoint(), () => {});
  opened.get(shown)?.then((view) => view.open());
});
window.addEventListener("hashchange", () => {
  if (VIEWS.includes(viewAsked())) open(viewAsked(), true);
  else document.querySelector("#main").focus();
});
open(VIEWS.includes(viewAsked()) ? viewAsked() : "read", false);
catalogue.load().then(
  () => reading.describePoint(),
  (problem) => reading.failed(problem),
);
page.dataset.ready = "yes";
