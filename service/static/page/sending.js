// What readers say of passages on its way to the service. A few seconds pass before it is sent, in which it can be taken back.

import { ask } from "./api.js";

const GRACE_MILLISECONDS = 8000;
const waiting = new Set();
export const counts = { confirmed: 0, corrected: 0, dismissed: 0 };

/** A change of the counts is told to whoever shows them. */
function count(kind, by) {
  counts[kind] += by;
  document.dispatchEvent(new CustomEvent("vigie:counts"));
}

/** Sends feedback after a while, unless it is taken back before. `changed` is told `waiting`, `kept`, `undone` or `failed`. */
export class Sending {
  constructor({ text, topics, model, confirms }, changed) {
    this.body = { text, topics, model };
    this.kind = confirms ? "confirmed" : "corrected";
    this.changed = changed;
    this.state = "waiting";
    waiting.add(this);
    count(this.kind, 1);
    this.timer = setTimeout(() => this.send(), GRACE_MILLISECONDS);
  }

  undo() {
    if (this.state !== "waiting") return;
    this.end("undone");
    count(this.kind, -1);
    this.changed("undone");
  }

  async send(keepalive = false) {
    if (this.state !== "waiting") return;
    this.end("sent");
    try {
      this.changed("sent");
      const kept = await ask("v1/feedback", { method: "POST", body: this.body, keepalive, wait: true });
      this.changed("kept", kept);
    } catch (problem) {
      count(this.kind, -1);
      this.changed("failed", problem);
    }
  }

  end(state) {
    this.state = state;
    clearTimeout(this.timer);
    waiting.delete(this);
  }
}

/** Takes a passage out of the review queue. */
export async function dismiss(identifier) {
  await ask(`v1/review/${identifier}`, { method: "DELETE", wait: true });
  count("dismissed", 1);
}

// What still waits is sent when the page goes away.
window.addEventListener("pagehide", () => [...waiting].forEach((sending) => sending.send(true)));
