// The page: which thing is shown, what keys do, and what is told of the server's answers.
import { hideBanner, showBanner, tellGone, tellLate, watch } from "./contact.js";
import { Decisions } from "./decisions.js";
import { said, showClasses, showDetails, stateOf } from "./details.js";
import { ConflictDialog, NameDialog, RelabelDialog } from "./dialogs.js";
import { $, counted, make, note } from "./elements.js";
import { Filters, readHash, writeHash } from "./filters.js";
import { Grid } from "./grid.js";
import { fillHelp, listen } from "./keyboard.js";
import { Panes } from "./panes.js";
import { Pictures } from "./pictures.js";
import { Progress } from "./progress.js";
import { Reviewer } from "./reviewer.js";
import { ask, isLasting, Link, onEnter } from "./server.js";
import { isAttempt, Things } from "./things.js";
import { Unsent } from "./unsent.js";

const HOLD_MS = 300;

class Page {
  constructor() {
    this.link = new Link();
    this.things = new Things();
    this.reviewer = new Reviewer();
    this.unsent = new Unsent();
    this.decisions = new Decisions(this.things, this.link, this.reviewer, this.unsent);
    this.pictures = new Pictures(() => { this.things.goOn?.(); this.panes.draw(); });
    this.panes = new Panes(this.pictures, () => this.preload());
    this.progress = new Progress();
    this.relabelDialog = new RelabelDialog();
    this.nameDialog = new NameDialog((name) => this.reviewer.rename(name));
    this.conflictDialog = new ConflictDialog(this.things, this.reviewer, ({ op, to, part, by }, ids) => this.decisions.decide(ids, op, { to, part, by, force: true }));
    this.grid = new Grid(this.things, {
      stateOf: (thing) => stateOf(thing, this.decisions),
      onOpen: (index) => { this.setView("one"); this.go(index); },
      onMove: (index) => { this.index = index; this.shownId = this.thing?.id; this.remember(); },
    });
    this.filters = new Filters((filter) => this.apply(filter));
    this.view = "one";
    this.index = 0;
    this.classes = [];
    this.listen();
    // A server that was started again does not know what this browser's reviewer is called.
    onEnter(() => this.reviewer.again());
    fillHelp();
  }

  // ------------------------------------------------------------------ begin

  async begin() {
    const { filter, view, at } = readHash();
    this.filters.fill(filter);
    this.known = this.keep(() => ask("api/state")).then((answer) => this.setState(answer));
    await this.apply(filter, { view, at });
    await this.known;
    await this.unsent.adopt((jobs) => this.decisions.adopt(jobs), () => this.decisions.lose());
    this.unsent.tellOthers();
    watch(this.link, this.version, this.reviewer, (things) => this.tellOthers(this.things.take(things)));
  }

  /** Asks until there is an answer: a page that opens while the server restarts is shown when it is back. */
  async keep(question) {
    for (;;) {
      try {
        const answer = await question();
        this.link.answered();
        return answer;
      } catch (error) {
        if (error.name === "AbortError" || isLasting(error)) throw error;
        this.link.failed(error);
        await this.link.again();
      }
    }
  }

  setState(state) {
    this.version ??= state.version;
    this.classes = state.relabel_classes;
    if (!state.has_dataset && this.panes.hasFrames) this.panes.withoutFrames();
    if (state.failure) note([state.failure.error, state.failure.hint].filter(Boolean).join(" – "), "bad", 20);
    if (state.damaged) note(`${counted(state.damaged, "record")} cannot be read: poc-aug verify names them`, "bad", 10);
    document.title = `Review · ${state.cache}`;
    $("cache-name").textContent = state.cache;
    this.unsent.cache = state.cache;
    this.filters.offer(state);
    showClasses(this.classes, (name) => this.relabelAs(name), () => this.openRelabel());
    this.show();
  }

  async apply(filter, { view = this.view, at = null } = {}) {
    const asked = (this.asked = Symbol("filter"));
    this.filters.count();
    try {
      // No key does anything before the classes and the name of the cache are known, too.
      await Promise.all([this.keep(() => this.things.read(filter)), this.known]);
    } catch (error) {
      if (asked === this.asked && error.name !== "AbortError") note([error.message, error.hint].filter(Boolean).join(" – "), "bad", 10);
      return;
    }
    if (asked !== this.asked) return;
    this.filter = filter;
    this.shownId = undefined;
    this.grid.reset();
    const place = at === null ? -1 : this.things.place(at);
    this.index = Math.max(0, place);
    this.sought = place < 0 ? at : null;
    if (place < 0 && this.isDone(this.things.at(0))) this.index = this.next(-1, 1)[0] ?? 0;
    this.setView(view);
  }

  // ------------------------------------------------------------------- show

  get thing() {
    return this.filter && this.things.at(this.index); // nothing before `begin` is through
  }

  isDone(thing) {
    return thing !== undefined && !this.isOpen(thing);
  }

  isOpen(thing) {
    return !thing.decision && !isAttempt(thing) && !this.decisions.open.has(thing.id);
  }

  next(from, count) {
    return this.things.waiting(from, count, (thing) => this.isOpen(thing));
  }

  setView(view) {
    this.view = view;
    document.body.dataset.view = view;
    $("show-one").setAttribute("aria-pressed", String(view === "one"));
    $("show-grid").setAttribute("aria-pressed", String(view === "grid"));
    this.show();
    if (view !== "grid") return;
    this.things.goOn?.();
    this.grid.anchor = this.index;
    this.grid.go(this.index);
    this.grid.draw(true);
    this.grid.scroller.focus({ preventScroll: true });
  }

  go(index) {
    if (index < 0 || index >= this.things.ids.length) return;
    this.index = index;
    if (this.view === "grid") this.grid.go(index);
    else this.show();
  }

  show() {
    const { thing } = this;
    const isEmpty = thing === undefined;
    $("empty").hidden = !isEmpty || this.filter === undefined;
    $("review").hidden = isEmpty || this.view === "grid";
    $("grid").hidden = isEmpty || this.view !== "grid";
    $("actions").hidden = isEmpty;
    if (isEmpty && this.filter !== undefined) this.showEmpty();
    if (!isEmpty && this.view === "one") {
      showDetails(thing, this.index, this.things, this.decisions, (about, decision) => this.settle(about, decision));
      this.preload();
      this.panes.show(thing);
    }
    if (!isEmpty && this.view === "grid") this.grid.draw();
    this.shownId = thing?.id;
    this.showProgress();
    this.remember();
  }

  showEmpty() {
    const isFiltered = Object.keys(this.filter).some((name) => name !== "sort");
    $("empty-title").textContent = isFiltered ? "Nothing matches this filter" : "Nothing to review";
    $("empty-text").textContent = isFiltered ? "Widen the filter, or reset it." : "The cache has no insertions.";
    $("empty-actions").replaceChildren(...(isFiltered ? [make("button", { type: "button", text: "Reset the filter", on: { click: () => this.filters.set({}) } })] : []));
  }

  showProgress() {
    const { left, all } = this.progress.show(this.things);
    const waiting = this.decisions.pending;
    document.body.dataset.pending = waiting;
    document.body.dataset.id = this.thing?.id ?? "";
    $("pending").hidden = waiting === 0;
    if (!this.link.up) showBanner(this.link, waiting, this.unsent.isKept);
    $("pending").textContent = waiting ? `${counted(waiting, "decision")} not stored yet` : "";
    if (left === 0 && all > 0 && this.left > 0 && this.things.complete) note("All of this filter is decided", "good", 6);
    this.left = left;
  }

  /** Reads this thing's pictures, then the first ones of the next two, then the rest. */
  preload() {
    if (!this.thing || this.view !== "one") return;
    const ahead = [...this.next(this.index, 2), this.index + 1, this.index - 1].map((index) => this.things.at(index)).filter(Boolean);
    const ofThis = this.panes.urls(this.thing);
    const ofThose = ahead.map((thing) => this.panes.urls(thing));
    const first = this.panes.layout === "four" ? 6 : 2;
    const urls = [...ofThis.slice(0, first), ...ofThose.slice(0, 1).flatMap((those) => those.slice(0, 2)), ...ofThis.slice(first)];
    urls.push(...ofThose.flatMap((those, place) => (place < 2 ? those : those.slice(0, 2))));
    this.pictures.want([...new Set(urls)]);
  }

  remember() {
    if (this.filter !== undefined) writeHash(this.filter, this.view, this.thing?.id);
  }

  // ----------------------------------------------------------------- decide

  targets() {
    return this.view === "grid" ? this.grid.targets() : this.thing ? [this.thing.id] : [];
  }

  decide(op, to = null, part = null) {
    const targets = this.targets();
    const ids = targets.filter((id) => !isAttempt(this.things.get(id)));
    if (ids.length < targets.length) note("Rejected attempts can only be looked at");
    if (!ids.length) return;
    this.decisions.decide(ids, op, { to, part });
    if (this.view === "grid") {
      const last = Math.max(...ids.map((id) => this.things.place(id)));
      if (ids.length > 1) note(`${counted(ids.length, "insertion")} ${said({ op, to })}: u takes it back`);
      this.grid.chosen.clear();
      const [next] = this.next(last, 1);
      if (ids.length === 1 && next !== undefined) this.grid.go(next);
    } else this.advance();
    this.show();
  }

  advance() {
    const [next] = this.next(this.index, 1);
    if (next !== undefined) this.index = next;
    else if (this.things.complete) note(this.decisions.pending > 1 ? "No other one waits for a decision" : "No other one of this filter waits for a decision");
  }

  relabel(number) {
    const name = this.classes[number - 1];
    if (name === undefined) note(`There are ${counted(this.classes.length, "class", "classes")} to relabel as`);
    else this.relabelAs(name);
  }

  openRelabel() {
    const count = this.targets().length;
    if (count) this.relabelDialog.open(count > 1 ? `Relabel ${counted(count, "insertion")} as` : "Relabel as", this.classes, (name) => this.relabelAs(name));
  }

  /** Relabels; of an object with several parts, it has to be known which one. */
  relabelAs(name) {
    const things = this.targets().map((id) => this.things.get(id)).filter((thing) => !isAttempt(thing));
    const parts = new Map(things.map((thing) => [JSON.stringify(thing.parts.map((part) => part.name)), thing.parts]));
    if (things.some((thing) => thing.kind === "frames")) note("A shifted frame has no class: accept, reject or skip it");
    else if (parts.size > 1 && [...parts.values()].some((some) => some.length > 1)) note("Objects with different parts: relabel them one by one");
    else {
      const [some] = parts.values();
      if (some === undefined || some.length < 2) this.decide("relabel", name);
      else this.relabelDialog.open(`Which part becomes ${name}?`, some.map((part) => part.name), (part) => this.decide("relabel", name, part));
    }
  }

  settle(thing, decision) {
    this.decisions.decide([thing.id], decision.op, { to: decision.to ?? null, part: decision.part ?? null, force: true });
    this.show();
  }

  act(op) {
    if (op === "relabel") this.openRelabel();
    else if (op === "undo") this.decisions.undo();
    else if (op === "back") this.go(this.index - 1);
    else if (op === "forward") this.go(this.index + 1);
    else this.decide(op);
  }

  // ----------------------------------------------------------------- listen

  listen() {
    listen((key, event) => this.key(key, event), (key) => this.released(key));
    $("actions").addEventListener("click", (event) => {
      const button = event.target.closest("[data-op]");
      if (button) this.act(button.dataset.op);
    });
    for (const button of document.querySelectorAll("button[data-face]"))
      button.addEventListener("click", () => this.panes.setFace(button.dataset.face));
    $("tool-blink").addEventListener("click", () => this.blink());
    $("tool-outline").addEventListener("click", () => this.panes.toggleOutline());
    $("tool-zoom").addEventListener("click", () => this.panes.nextZoom());
    $("tool-layout").addEventListener("click", () => this.panes.nextLayout());
    $("show-one").addEventListener("click", () => this.setView("one"));
    $("show-grid").addEventListener("click", () => this.setView("grid"));
    $("help-button").addEventListener("click", () => $("help-dialog").showModal());
    $("help-close").addEventListener("click", () => $("help-dialog").close());
    this.link.addEventListener("down", () => showBanner(this.link, this.decisions.pending, this.unsent.isKept));
    this.link.addEventListener("up", () => this.isBack());
    this.things.addEventListener("changed", (event) => this.changed(event.detail));
    this.things.addEventListener("trouble", (event) => this.listBroke(event.detail));
    const { decisions } = this;
    // That something waits is there at once; that nothing does any more, once it is drawn.
    decisions.addEventListener("pending", () => { if (decisions.pending) document.body.dataset.pending = decisions.pending; this.later(); });
    decisions.addEventListener("stored", ({ detail }) => { this.progress.stored(detail.ids.length); this.later(); });
    decisions.addEventListener("undone", ({ detail }) => this.undone(detail.ids));
    decisions.addEventListener("conflict", ({ detail }) => this.conflictDialog.add(detail.job, detail.ids, detail.things));
    decisions.addEventListener("late", ({ detail }) => tellLate(detail, this.reviewer.name));
    decisions.addEventListener("gone", ({ detail }) => { tellGone(detail.ids.length); this.later(); });
    decisions.addEventListener("refused", ({ detail }) => this.refused(detail));
    $("reviewer").addEventListener("click", () => this.nameDialog.open(this.reviewer.name));
    addEventListener("hashchange", () => this.hashChanged());
    addEventListener("beforeunload", (event) => { if (decisions.pending) event.preventDefault(); });
  }

  key(key, event) {
    const { panes } = this;
    if (this.view === "grid" && this.things.ids.length && this.grid.key(key, event)) return true;
    const pan = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[key];
    if (pan && event.shiftKey) panes.main.pan(pan[0] * 80, pan[1] * 80);
    else if (key === "b") { if (!event.repeat) { this.blinkAt = performance.now(); this.blink(); } }
    else {
      const does = {
        "?": () => $("help-dialog").showModal(), f: () => this.filters.toggle(), g: () => this.setView(this.view === "grid" ? "one" : "grid"),
        a: () => this.decide("accept"), r: () => this.decide("reject"), s: () => this.decide("skip"), u: () => this.decisions.undo(),
        l: () => this.openRelabel(), "/": () => this.openRelabel(), n: () => this.go(this.next(this.index, 1)[0] ?? this.index),
        ArrowRight: () => this.go(this.index + 1), ArrowLeft: () => this.go(this.index - 1), ArrowDown: () => this.go(this.index + 1), ArrowUp: () => this.go(this.index - 1),
        Home: () => this.go(0), End: () => this.go(this.things.ids.length - 1),
        m: () => panes.toggleOutline(), v: () => panes.nextLayout(), z: () => panes.nextZoom(), 0: () => panes.whole(),
        "+": () => panes.main.zoom(1.5), "=": () => panes.main.zoom(1.5), "-": () => panes.main.zoom(1 / 1.5), "−": () => panes.main.zoom(1 / 1.5),
      }[key] ?? (/^[1-9]$/.test(key) ? () => this.relabel(Number(key)) : null);
      if (!does) return false;
      // A key that is held down decides once.
      if (!(event.repeat && /^[arsu1-9l/?fgmvz]$/.test(key))) does();
    }
    return true;
  }

  released(key) {
    if (key !== "b" || this.blinkAt === undefined) return;
    if (performance.now() - this.blinkAt > HOLD_MS) this.panes.setFace("after");
    this.blinkAt = undefined;
  }

  blink() {
    this.panes.setFace(this.panes.face === "before" ? "after" : "before");
  }

  hashChanged() {
    const { filter, view, at } = readHash();
    this.filters.fill(filter);
    this.apply(filter, { view, at });
  }

  // ---------------------------------------------------------------- answers

  /** Draws once for all that changes in one turn. */
  later() {
    this.drawing ??= requestAnimationFrame(() => { this.drawing = undefined; this.show(); });
  }

  changed() {
    // The order may be another one now: what is shown stays.
    const place = this.shownId === undefined ? -1 : this.things.place(this.shownId);
    if (place >= 0) this.index = this.grid.focus = place;
    if (this.sought && this.things.place(this.sought) >= 0) {
      this.index = this.things.place(this.sought);
      this.sought = null;
    }
    this.later();
  }

  undone(ids) {
    const place = this.things.place(ids[0]);
    note(ids.length > 1 ? `Undone: ${counted(ids.length, "decision")}` : "Undone");
    if (place >= 0) this.go(place);
    this.later();
  }

  refused({ job, error }) {
    const what = job.call === "undo" ? "Nothing undone" : `Not stored (${said(job)})`;
    note([`${what}: ${error.message}`, error.hint].filter(Boolean).join(" – "), "bad", 10);
    if (job.call === "decide" && !job.isLate) this.go(this.things.place(job.ids[0]));
    this.later();
  }

  listBroke(error) {
    this.link.failed(error);
    this.isListBroken = true;
  }

  async isBack() {
    hideBanner();
    note("The server is back", "good");
    this.pictures.again();
    this.grid.again();
    this.show();
    if (this.isListBroken) {
      this.isListBroken = false;
      await this.apply(this.filter, { at: this.thing?.id });
    }
  }

  tellOthers(things) {
    const shown = things.find((thing) => thing.id === this.thing?.id && thing.by && thing.by !== this.reviewer.name);
    if (shown && this.view === "one" && !this.decisions.open.has(shown.id)) note(`${shown.by} ${said({ op: shown.decision, to: shown.label })} this one`, "plain", 6);
  }
}

new Page().begin();
