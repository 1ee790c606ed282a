// Dialogs: any class by typing part of its name, and whose decision counts.
import { $, clock, counted, make } from "./elements.js";
import { said } from "./details.js";

/** How well a name fits what was typed: at its begin, at a word's, inside, its letters in order; -1 if not at all. */
export function fit(name, typed) {
  const [whole, part] = [name.toLowerCase(), typed.toLowerCase()];
  if (whole.startsWith(part)) return 0;
  if (whole.split(/[\s_/-]+/).some((word) => word.startsWith(part))) return 1;
  if (whole.includes(part)) return 2;
  let at = -1;
  for (const letter of part) if ((at = whole.indexOf(letter, at + 1)) < 0) return -1;
  return 3;
}

export class RelabelDialog {
  constructor() {
    this.dialog = $("relabel-dialog");
    this.input = $("relabel-input");
    this.list = $("relabel-list");
    this.input.addEventListener("input", () => this.draw(0));
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.take(option.dataset.name);
    });
    this.dialog.addEventListener("click", (event) => { if (event.target === this.dialog) this.dialog.close(); });
  }

  /** Asks for one of `names`. */
  open(title, names, onTake) {
    Object.assign(this, { names, onTake });
    $("relabel-title").textContent = title;
    this.input.value = "";
    this.dialog.showModal();
    this.draw(0);
    this.input.focus();
  }

  draw(active) {
    const typed = this.input.value.trim();
    const fits = this.names.map((name, index) => ({ name, index, rank: fit(name, typed) })).filter(({ rank }) => rank >= 0);
    fits.sort((one, other) => one.rank - other.rank || one.index - other.index);
    this.found = fits.map(({ name }) => name);
    this.active = Math.max(0, Math.min(active, this.found.length - 1));
    this.list.replaceChildren(...fits.map(({ name, index }, place) => {
      const option = make("li", { role: "option", id: `relabel-${place}`, "aria-selected": String(place === this.active) }, make("span", { text: name }));
      if (index < 9) option.append(make("kbd", { text: String(index + 1) }));
      option.dataset.name = name;
      return option;
    }));
    if (!fits.length) this.list.append(make("li", { class: "none", text: "No class of the label schema has this in its name" }));
    this.input.setAttribute("aria-activedescendant", fits.length ? `relabel-${this.active}` : "");
    this.list.children[this.active]?.scrollIntoView({ block: "nearest" });
  }

  key(event) {
    if (!this.dialog.open) return; // it was just closed, and its field still has the focus
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
    if (event.key in steps) this.draw(this.active + steps[event.key]);
    else if (event.key === "Enter") { if (this.found.length) this.take(this.found[this.active]); }
    else return;
    event.preventDefault();
  }

  take(name) {
    this.dialog.close();
    this.onTake(name);
  }
}

export class ConflictDialog {
  constructor(things, reviewer, onForce) {
    Object.assign(this, { things, reviewer, onForce });
    this.dialog = $("conflict-dialog");
    this.waiting = [];
    $("conflict-theirs").addEventListener("click", () => this.settle(false));
    $("conflict-mine").addEventListener("click", () => this.settle(true));
    this.dialog.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key !== "t" && event.key !== "m") return;
      event.preventDefault();
      event.stopPropagation(); // the dialog is closed by now: the page would take the key as one of its own
      this.settle(event.key === "m");
    });
    this.dialog.addEventListener("close", () => this.next());
  }

  add(job, ids, things) {
    this.waiting.push({ job, ids, given: new Map(things.map((thing) => [thing.id, thing])) });
    if (!this.dialog.open) this.next();
  }

  next() {
    this.shown = this.waiting.shift();
    if (!this.shown) return;
    const { job, ids, given } = this.shown;
    $("conflict-text").textContent = ids.length === 1 ? "Somebody decided this insertion before your decision was stored." : `Somebody decided ${counted(ids.length, "insertion")} before your decision was stored.`;
    $("conflict-list").replaceChildren(...ids.slice(0, 8).map((id) => this.row(this.things.get(id) ?? given.get(id), job)), ...(ids.length > 8 ? [make("li", { text: `and ${ids.length - 8} more` })] : []));
    this.dialog.showModal();
    $("conflict-title").focus();
  }

  row(thing, job) {
    const last = thing.decisions?.at(-1) ?? { by: thing.by, op: thing.decision, time: thing.time, to: thing.label };
    const picture = make("img", { src: `picture/${encodeURIComponent(thing.id)}/thumb?width=128`, alt: "" });
    return make("li", {}, picture, make("div", {}, make("p", { class: "conflict-what", text: `${thing.class} in ${thing.key}` }),
      make("p", {}, make("b", { text: last.by || "somebody" }), ` ${said(last)}, ${clock(last.time)}`),
      make("p", {}, make("b", { text: job.by === this.reviewer.name ? "you" : job.by || "somebody" }), ` ${said(job)}, not stored`)));
  }

  settle(isMine) {
    const { job, ids } = this.shown;
    this.dialog.close();
    if (isMine) this.onForce(job, ids);
  }
}

/** The name that this browser's decisions carry. */
export class NameDialog {
  constructor(onName) {
    this.dialog = $("name-dialog");
    this.input = $("name-input");
    $("name-form").addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await onName(this.input.value);
        this.dialog.close();
      } catch (error) {
        $("name-error").textContent = [error.message, error.hint].filter(Boolean).join(" – ");
      }
    });
    $("name-leave").addEventListener("click", () => this.dialog.close());
  }

  open(name) {
    this.input.value = name;
    $("name-error").textContent = "";
    this.dialog.showModal();
    this.input.select();
  }
}
