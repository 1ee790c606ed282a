// The name that decisions carry: one for all tabs of this browser.
import { $, note } from "./elements.js";
import { askOnce, review } from "./server.js";

export class Reviewer {
  constructor() {
    this.name = document.documentElement.dataset.reviewer;
    this.changes = 0; // an answer that was asked for before one of them says nothing new
    this.channel = new BroadcastChannel(`poc-aug-review ${review}`);
    this.channel.onmessage = ({ data }) => this.heard(data.reviewer);
    this.show();
  }

  /** Gives this browser another name. */
  async rename(name) {
    this.changes += 1;
    const { reviewer } = await askOnce("api/reviewer", { body: { reviewer: name } });
    this.changes += 1;
    this.name = reviewer;
    this.show();
    this.channel.postMessage({ reviewer });
  }

  /** Gives a server that was started again the name that this page shows. */
  async again() {
    if (this.name) await this.rename(this.name);
  }

  /** Takes the name that another tab chose, or that the server knows this browser by. */
  heard(name) {
    if (name === undefined || name === this.name) return;
    this.changes += 1;
    this.name = name;
    this.show();
    note(name ? `Decisions of this browser now carry the name ${name}` : "Decisions of this browser now carry no name", "plain", 10);
  }

  show() {
    $("reviewer").textContent = this.name || "no name";
  }
}
