// Correcting the topics of a passage: chips are removed and put back, a combobox adds topics, and all of it can be undone.

import * as catalogue from "./catalogue.js";
import { button, make } from "./elements.js";
import { Sending } from "./sending.js";
import { label, plain, say, words } from "./words.js";

let combos = 0;

/** A box to choose a topic in by typing, as in the ARIA pattern: the list follows what is typed, arrows choose, Enter takes. */
class TopicBox {
  constructor(isTaken, take) {
    this.isTaken = isTaken;
    this.take = take;
    this.active = -1;
    this.found = [];
    combos += 1;
    this.list = make("ul", { role: "listbox", id: `topics-${combos}`, hidden: true, label: "correct.topics" });
    this.input = make("input", {
      type: "text", role: "combobox", autocomplete: "off", spellcheck: "false", "aria-expanded": "false", "aria-controls": this.list.id,
      "aria-autocomplete": "list", label: "correct.add", "data-w-placeholder": "correct.add", placeholder: words("correct.add"),
      on: {
        input: () => this.open(),
        focus: () => this.open(),
        click: () => this.open(),
        blur: () => this.close(),
        keydown: (event) => this.press(event),
      },
    });
    this.element = make("div", { class: "combo" }, this.input, this.list);
  }

  open() {
    const typed = plain(this.input.value);
    this.found = catalogue.topics().filter(({ slug }) => {
      return !this.isTaken(slug) && (plain(catalogue.nameOf(slug)).includes(typed) || slug.includes(typed));
    });
    this.list.replaceChildren(
      ...this.found.map(({ slug }, i) => {
        const name = make("b", {}, catalogue.nameOf(slug));
        const about = make("small", {}, catalogue.definitionOf(slug));
        const take = (event) => {
          event.preventDefault();
          this.choose(i);
        };
        return make("li", { role: "option", id: `${this.list.id}-${i}`, "aria-selected": "false", on: { pointerdown: take } }, name, about);
      }),
    );
    if (!this.found.length) this.list.append(make("li", { class: "none", role: "option", "aria-disabled": "true", "aria-selected": "false", say: "correct.none" }));
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.activate(typed && this.found.length ? 0 : -1);
  }

  close() {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.activate(-1);
  }

  activate(i) {
    this.active = i;
    [...this.list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === i)));
    if (i < 0) this.input.removeAttribute("aria-activedescendant");
    else {
      this.input.setAttribute("aria-activedescendant", `${this.list.id}-${i}`);
      this.list.children[i].scrollIntoView({ block: "nearest" });
    }
  }

  choose(i) {
    const { slug } = this.found[i];
    this.input.value = "";
    this.close();
    this.take(slug);
  }

  press(event) {
    const { key } = event;
    if (key === "Escape" && !this.list.hidden) this.close();
    else if (key === "ArrowDown" || key === "ArrowUp") {
      if (this.list.hidden) this.open();
      const n = this.found.length;
      if (n) this.activate(key === "ArrowDown" ? (this.active + 1) % n : (this.active + n - (this.active < 0 ? 0 : 1)) % n);
    } else if (key === "Enter" && this.active >= 0) this.choose(this.active);
    else return;
    event.preventDefault();
  }
}

/** The correction of a passage. `show` is told which topics are added and which removed. */
export class Correction {
  constructor(passage, show, { open = false, done = () => {} } = {}) {
    this.passage = passage;
    this.show = show;
    this.done = done;
    this.given = new Set(passage.topics);
    this.wanted = new Set(passage.topics);
    this.isOpenAlways = open;
    this.history = [];
    this.isKept = false;
    this.state = "open"; // or waiting, sending, kept, failed
    this.box = new TopicBox((slug) => this.wanted.has(slug), (slug) => this.change(slug, true));
    this.status = make("span", { class: "outcome", role: "status", tabindex: -1 });
    this.editor = make("div", { class: "editor", hidden: !open }, this.box.element);
    this.confirm = button(open ? "small primary" : "small", "correct.confirm", () => this.send());
    this.toggle = button("small", "correct.open", () => this.setOpen(this.editor.hidden), { "aria-expanded": String(open) });
    this.undo = button("small", "correct.undo", () => this.undoLast(), { disabled: true });
    const buttons = make("div", { class: "buttons" }, this.confirm, open ? null : this.toggle, this.undo, this.status);
    this.element = make("div", { class: "correction", role: "group", label: "correct.group" }, this.editor, buttons);
  }

  get isChanged() {
    return this.wanted.size !== this.given.size || [...this.wanted].some((slug) => !this.given.has(slug));
  }

  setOpen(open) {
    this.editor.hidden = !open;
    this.toggle.setAttribute("aria-expanded", String(open));
    this.refresh();
    if (open) this.box.input.focus();
  }

  /** Adds or removes a topic. */
  change(slug, add) {
    this.history.push(new Set(this.wanted));
    if (add) this.wanted.add(slug);
    else this.wanted.delete(slug);
    say(this.status, add ? "correct.added" : "correct.removed", { topic: slug });
    this.refresh();
  }

  undoLast() {
    if (this.state === "waiting") {
      this.sending.undo();
      return;
    }
    const before = this.history.pop();
    if (!before) return;
    this.wanted = before;
    say(this.status, "correct.undone");
    this.refresh();
  }

  send() {
    const topics = [...this.wanted].sort();
    const { text, version } = this.passage;
    this.state = "waiting";
    this.sending = new Sending({ text, topics, model: version, confirms: !this.isChanged }, (state, more) => this.told(state, more));
    say(this.status, this.isChanged ? "correct.waiting" : "correct.waiting-confirmed");
    this.refresh();
    this.undo.focus();
  }

  told(state, more) {
    this.state = { sent: "sending", undone: "open" }[state] ?? state;
    this.status.title = "";
    if (state === "sent") say(this.status, "correct.sending");
    if (state === "undone") say(this.status, "correct.undone");
    if (state === "kept") say(this.status, more.kind === "correction" ? "correct.kept" : "correct.kept-confirmed");
    if (state === "failed") {
      say(this.status, more.key ?? "problem.other");
      this.status.title = more.message;
    }
    if (state === "kept") Object.assign(this, { history: [], given: new Set(this.wanted), isKept: true });
    this.refresh();
    if (state === "undone") this.confirm.focus();
    if (state === "kept") this.done(more);
  }

  refresh() {
    const isLocked = ["waiting", "sending"].includes(this.state);
    const wasOnUndo = document.activeElement === this.undo;
    for (const control of [this.toggle, this.box.input]) control.disabled = isLocked;
    // What is kept is not sent again until something changes.
    this.confirm.disabled = isLocked || (this.isKept && !this.isChanged);
    this.undo.disabled = !(this.state === "waiting" || (!isLocked && this.history.length));
    this.confirm.classList.toggle("primary", this.isOpenAlways || this.isChanged);
    this.element.dataset.state = this.state;
    say(this.confirm, this.isChanged ? "correct.send" : "correct.confirm");
    // What cannot be pressed is not shown, so focus may not stay on it.
    if (wasOnUndo && this.undo.disabled) (this.confirm.disabled ? this.status : this.confirm).focus();
    this.show(this, !this.editor.hidden && !isLocked);
  }
}

/** The button on a chip that removes its topic, or puts it back. */
export function chipButton(correction, slug) {
  const isIn = correction.wanted.has(slug);
  const act = () => {
    correction.change(slug, !isIn);
    correction.box.input.focus();
  };
  const element = make("button", { type: "button", class: "on-chip", on: { click: act } }, isIn ? "×" : "↺");
  return label(element, isIn ? "correct.remove" : "correct.put-back", { topic: slug });
}
