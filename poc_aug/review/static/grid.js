// A grid of thumbnails of which only those in sight are in the page, however many there are.
import { $, counted, digits, make } from "./elements.js";
import { address } from "./pictures.js";

const GAP = 10;
const FOOT = 46; // room under a picture for its label
const isTouch = matchMedia("(pointer: coarse)");
const SETTLE_MS = 60; // a row that scrolls past faster than this is not asked for

export class Grid {
  constructor(things, { stateOf, onOpen, onMove }) {
    Object.assign(this, { things, stateOf, onOpen, onMove });
    this.scroller = $("grid-scroller");
    this.space = $("grid-space");
    this.cells = new Map(); // index -> element
    this.chosen = new Set(); // ids
    this.focus = 0;
    this.anchor = 0;
    this.scroller.addEventListener("scroll", () => this.draw());
    this.scroller.addEventListener("click", (event) => this.click(event));
    this.scroller.addEventListener("dblclick", (event) => { if (this.indexOf(event) >= 0) this.onOpen(this.focus); });
    new ResizeObserver(() => this.draw(true)).observe(this.scroller);
    $("grid-all").addEventListener("click", () => this.chooseAll());
    $("grid-none").addEventListener("click", () => this.chooseNone());
  }

  get isShown() {
    return this.scroller.offsetParent !== null;
  }

  measure() {
    const width = this.scroller.clientWidth - GAP;
    const aim = width < 500 ? 112 : 168;
    this.columns = Math.max(1, Math.floor(width / (aim + GAP)));
    this.side = Math.floor(width / this.columns) - GAP;
    this.pitch = this.side + FOOT + GAP;
    this.rows = Math.ceil(this.things.ids.length / this.columns);
    this.space.style.height = `${this.rows * this.pitch + GAP}px`;
  }

  draw(isNew = false) {
    if (!this.isShown) return;
    this.measure();
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / this.pitch) - 1);
    const last = Math.ceil((this.scroller.scrollTop + this.scroller.clientHeight) / this.pitch) + 1;
    const from = first * this.columns, to = Math.min(this.things.ids.length, last * this.columns);
    for (const [index, cell] of this.cells) {
      if (index >= from && index < to && cell.dataset.id === this.things.ids[index]) continue;
      cell.querySelector("img").removeAttribute("src"); // gives up a picture on its way
      cell.remove();
      this.cells.delete(index);
    }
    for (let index = from; index < to; index += 1) {
      const cell = this.cells.get(index) ?? this.addCell(index);
      this.place(cell, index);
      this.fill(cell, index);
    }
    clearTimeout(this.settling);
    if (isNew) this.askForPictures();
    else this.settling = setTimeout(() => this.askForPictures(), SETTLE_MS);
    this.tell();
  }

  addCell(index) {
    const picture = make("img", { alt: "", draggable: "false", decoding: "async" });
    picture.addEventListener("error", () => cell.classList.add("has-no-picture"));
    picture.addEventListener("load", () => cell.classList.remove("has-no-picture"));
    const cell = make("div", { class: "cell", role: "option", id: `cell-${index}` }, make("div", { class: "thumb" }, picture),
      make("div", { class: "cell-foot" }, make("span", { class: "cell-label" }), make("span", { class: "state" })));
    cell.dataset.id = this.things.ids[index];
    cell.dataset.index = index;
    this.cells.set(index, cell);
    this.space.append(cell);
    return cell;
  }

  place(cell, index) {
    cell.style.width = `${this.side}px`;
    cell.style.height = `${this.side + FOOT}px`;
    cell.style.transform = `translate(${GAP + (index % this.columns) * (this.side + GAP)}px, ${GAP + Math.floor(index / this.columns) * this.pitch}px)`;
  }

  fill(cell, index) {
    const thing = this.things.at(index);
    const state = this.stateOf(thing);
    cell.setAttribute("aria-selected", String(this.chosen.has(thing.id)));
    cell.setAttribute("aria-posinset", index + 1);
    cell.setAttribute("aria-setsize", this.things.ids.length);
    cell.setAttribute("aria-label", `${thing.label}, ${thing.key}, ${state.text}`);
    cell.classList.toggle("is-focus", index === this.focus);
    cell.classList.toggle("has-conflict", thing.conflict);
    cell.dataset.decision = state.name;
    cell.querySelector(".cell-label").textContent = thing.label;
    cell.querySelector(".cell-label").title = `${thing.label} in ${thing.key}`;
    const badge = cell.querySelector(".state");
    badge.textContent = state.name === "undecided" ? "" : state.text;
    badge.dataset.state = state.name;
  }

  askForPictures() {
    const width = Math.ceil((this.side * Math.min(2, devicePixelRatio)) / 64) * 64;
    for (const cell of this.cells.values()) {
      const picture = cell.querySelector("img");
      if (!picture.hasAttribute("src")) picture.src = `${address(cell.dataset.id, "thumb")}?width=${width}`;
    }
  }

  /** Asks once more for what failed. */
  again() {
    for (const cell of this.cells.values()) if (cell.classList.contains("has-no-picture")) cell.querySelector("img").removeAttribute("src");
    if (this.isShown) this.askForPictures();
  }

  tell() {
    const count = this.chosen.size;
    const all = counted(this.things.length, "insertion");
    $("grid-text").textContent = count ? `${digits(count)} of ${all} chosen` : `${all}: ${isTouch.matches ? "tap to choose" : "click, Shift and Ctrl choose"}`;
    $("grid-none").disabled = count === 0;
    const cell = this.cells.get(this.focus);
    if (cell) this.scroller.setAttribute("aria-activedescendant", cell.id);
    else this.scroller.removeAttribute("aria-activedescendant");
  }

  indexOf(event) {
    const cell = event.target.closest(".cell");
    return cell ? Number(cell.dataset.index) : -1;
  }

  click(event) {
    const index = this.indexOf(event);
    if (index < 0) return;
    const id = this.things.ids[index];
    if (event.shiftKey) this.chooseRange(this.anchor, index, event.ctrlKey || event.metaKey);
    else {
      if (event.ctrlKey || event.metaKey || isTouch.matches) this.toggle(id);
      else this.chosen = new Set([id]);
      this.anchor = index;
    }
    this.go(index);
  }

  toggle(id) {
    if (!this.chosen.delete(id)) this.chosen.add(id);
  }

  chooseRange(from, to, isAdded) {
    const [first, last] = from < to ? [from, to] : [to, from];
    if (!isAdded) this.chosen.clear();
    for (const id of this.things.ids.slice(first, last + 1)) this.chosen.add(id);
  }

  chooseAll() {
    this.chosen = new Set(this.things.ids);
    this.draw();
  }

  chooseNone() {
    this.chosen.clear();
    this.draw();
  }

  /** Moves the focus, and scrolls to it. */
  go(index) {
    this.focus = Math.min(Math.max(0, index), Math.max(0, this.things.ids.length - 1));
    if (this.isShown) {
      this.measure();
      const top = Math.floor(this.focus / this.columns) * this.pitch;
      const { scrollTop, clientHeight } = this.scroller;
      if (top < scrollTop) this.scroller.scrollTop = top;
      else if (top + this.pitch + GAP > scrollTop + clientHeight) this.scroller.scrollTop = top + this.pitch + GAP - clientHeight;
      this.draw();
    }
    this.onMove(this.focus);
  }

  /** What a key does here; whether it did something. */
  key(key, event) {
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.pitch)) * this.columns;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns, PageUp: -page, PageDown: page, Home: -Infinity, End: Infinity };
    if (key in steps) {
      const last = this.things.ids.length - 1;
      const target = Math.min(last, Math.max(0, this.focus + steps[key]));
      if (event.shiftKey) this.chooseRange(this.anchor, target, false);
      else this.anchor = target;
      this.go(target);
    } else if (key === " ") {
      this.toggle(this.things.ids[this.focus]);
      this.anchor = this.focus;
      this.draw();
    } else if (key === "A") this.chooseAll();
    else if (key === "Escape") this.chooseNone();
    else if (key === "Enter") this.onOpen(this.focus);
    else return false;
    return true;
  }

  /** What a decision is about: what is chosen, otherwise the one in focus. */
  targets() {
    if (this.chosen.size) return this.things.ids.filter((id) => this.chosen.has(id));
    return this.things.ids.length ? [this.things.ids[this.focus]] : [];
  }

  reset() {
    this.chosen.clear();
    this.focus = this.anchor = 0;
    for (const cell of this.cells.values()) cell.remove();
    this.cells.clear();
    this.scroller.scrollTop = 0;
  }
}
