// The review queue: passages that the model was least certain of, to confirm, correct or dismiss.

import { Problem, ask } from "./api.js";
import * as catalogue from "./catalogue.js";
import { button, make } from "./elements.js";
import { PassageCard } from "./passage.js";
import { dismiss } from "./sending.js";
import { say } from "./words.js";

const AT_ONCE = 20;
const SOON_MILLISECONDS = 900;

export class View {
  constructor(root, { feedback, keys }) {
    this.off = !feedback ? "off" : keys ? null : "no-keys";
    this.root = root;
    this.queue = root.querySelector("#queue");
    this.status = root.querySelector("#queue-status");
    this.error = root.querySelector("#queue-error");
    for (const about of root.querySelectorAll("[data-when]")) about.hidden = about.dataset.when !== (this.off ?? "on");
    root.querySelector("#queue-again").addEventListener("click", () => this.load());
  }

  async open() {
    // Whoever comes back goes on where they were.
    if (!this.off && !this.queue.children.length) await this.load();
  }

  async load() {
    this.error.hidden = true;
    say(this.status, "review.loading");
    try {
      await catalogue.load();
      const { passages } = await ask(`v1/review?limit=${AT_ONCE}`, { wait: true });
      this.queue.replaceChildren(...passages.map((waiting) => this.item(waiting)));
      this.tell();
    } catch (problem) {
      this.failed(problem);
    }
  }

  failed(problem) {
    if (!(problem instanceof Problem)) throw problem;
    this.status.textContent = "";
    this.error.hidden = false;
    this.error.replaceChildren(make("span", { say: problem.key }), " ", problem.detail);
  }

  item(waiting) {
    const { text, language, reasons, model } = waiting;
    const passage = {
      text, language, reasons, version: model.version, topics: model.topics, scores: model.scores, needs_review: reasons.length > 0, truncated: false,
    };
    const item = make("li");
    const card = new PassageCard(passage, { correct: true, open: true, done: () => this.leave(item) });
    const skip = button("small quiet", "review.dismiss", () => this.dismiss(waiting.id, item));
    card.correction.element.querySelector(".buttons").insertBefore(skip, card.correction.status);
    item.append(card.element);
    return item;
  }

  async dismiss(identifier, item) {
    try {
      await dismiss(identifier);
      this.leave(item, 0);
    } catch (problem) {
      this.failed(problem);
    }
  }

  /** Takes a passage off the list and moves on to the next one, unless the reader is elsewhere already. */
  leave(item, after = SOON_MILLISECONDS) {
    setTimeout(() => {
      const isHere = item.contains(document.activeElement) || document.activeElement === document.body;
      const next = item.nextElementSibling ?? item.previousElementSibling;
      item.remove();
      this.tell();
      if (isHere) (next?.querySelector(".correction .primary") ?? this.root.querySelector("#queue-again")).focus();
      if (!this.queue.children.length) this.load();
    }, after);
  }

  tell() {
    const n = this.queue.children.length;
    say(this.status, n === AT_ONCE ? "review.first" : "review.waiting", { n });
    this.root.querySelector("#queue-empty").hidden = n > 0;
  }
}
