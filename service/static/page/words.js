// The page's words in the reader's language, switched in place: each element carries the key of what it says.

let language = document.documentElement.lang;
// Until a language is loaded, the words that the service put on the page.
let dictionary = Object.fromEntries([...document.querySelectorAll("[data-w]")].map((e) => [e.dataset.w, e.textContent]));
let nameOf = (slug) => slug;

export const currentLanguage = () => language;

/** Sets what turns a topic's slug into its name in the language of now. */
export function setNames(name) {
  nameOf = name;
}

/** Loads a language and says everything on the page in it; what cannot be loaded leaves the words as they are. */
export async function speak(wanted) {
  try {
    const answer = await fetch(new URL(`words/${wanted}.json`, import.meta.url));
    if (!answer.ok) return;
    dictionary = await answer.json();
  } catch {
    return;
  }
  language = wanted;
  document.documentElement.lang = wanted;
  translate(document);
  document.dispatchEvent(new CustomEvent("vigie:language"));
}

/** The words of a key. `n` chooses between `key.one` and `key.other`; a `topic` is named; numbers are written as the language does. */
export function words(key, values = {}) {
  let entry = dictionary[key];
  if (entry === undefined && values.n !== undefined) {
    const category = new Intl.PluralRules(language).select(values.n);
    entry = dictionary[`${key}.${category}`] ?? dictionary[`${key}.other`];
  }
  if (entry === undefined) return `⟦${key}⟧`;
  return entry.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    if (name === "topic") return nameOf(value);
    if (name === "topics") return value.map(nameOf).join(", ");
    if (value?.share !== undefined) return percent(value.share);
    return typeof value === "number" ? numeral(value) : String(value);
  });
}

/** The words for a language that texts are in, by its code; `all` is all of them. */
export function languageWords(code) {
  return [`language.${["all", "en", "fr"].includes(code) ? code : "other"}`, { code }];
}

/** A text without accents and capitals, to search in. */
export function plain(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().trim();
}

/** A number as the language writes it. */
export function numeral(value, digits = null) {
  const places = digits ?? (Number.isInteger(value) ? 0 : 2);
  const options = { minimumFractionDigits: places, maximumFractionDigits: places };
  return new Intl.NumberFormat(language, options).format(value);
}

/** A share as the language writes it. */
export function percent(value) {
  return new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: value < 0.1 ? 1 : 0 }).format(value);
}

/** A time as the language writes it, in the reader's zone. */
export function moment(iso) {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso));
}

/** Lets an element say a key's words, now and after the language changes. */
export function say(element, key, values) {
  element.dataset.w = key;
  if (values) element.dataset.wValues = JSON.stringify(values);
  else delete element.dataset.wValues;
  element.textContent = words(key, values);
  return element;
}

/** As `say`, for the name that assistive technology reads. */
export function label(element, key, values) {
  element.dataset.wLabel = key;
  if (values) element.dataset.wLabelValues = JSON.stringify(values);
  element.setAttribute("aria-label", words(key, values));
  return element;
}

/** Lets an element say a number. */
export function sayNumber(element, value, digits = null) {
  element.dataset.number = value;
  if (digits !== null) element.dataset.digits = digits;
  element.textContent = numeral(value, digits);
  return element;
}

/** Lets an element say a share. */
export function sayShare(element, value) {
  element.dataset.share = value;
  element.textContent = percent(value);
  return element;
}

/** Lets an element say the name of a topic. */
export function sayTopic(element, slug) {
  element.dataset.topic = slug;
  element.textContent = nameOf(slug);
  return element;
}

/** Lets an element say a time. */
export function sayMoment(element, iso) {
  element.dataset.moment = iso;
  element.textContent = moment(iso);
  return element;
}

function translate(root) {
  const parsed = (value) => (value ? JSON.parse(value) : {});
  for (const e of root.querySelectorAll("[data-w]")) e.textContent = words(e.dataset.w, parsed(e.dataset.wValues));
  for (const e of root.querySelectorAll("[data-w-label]")) {
    e.setAttribute("aria-label", words(e.dataset.wLabel, parsed(e.dataset.wLabelValues)));
  }
  for (const e of root.querySelectorAll("[data-w-placeholder]")) e.placeholder = words(e.dataset.wPlaceholder);
  for (const e of root.querySelectorAll("[data-number]")) {
    e.textContent = numeral(Number(e.dataset.number), e.dataset.digits ? Number(e.dataset.digits) : null);
  }
  for (const e of root.querySelectorAll("[data-share]")) e.textContent = percent(Number(e.dataset.share));
  for (const e of root.querySelectorAll("[data-topic]")) e.textContent = nameOf(e.dataset.topic);
  for (const e of root.querySelectorAll("[data-moment]")) e.textContent = moment(e.dataset.moment);
}
