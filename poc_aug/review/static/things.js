// What the filter shows, in its order: a list that is read in pages, and stays as it was until the filter changes.
import { ask } from "./server.js";

const FIRST = 60;
const PAGE = 1000;
const CALM_MS = 1000;

export class Things extends EventTarget {
  constructor() {
    super();
    this.all = new Map();
    this.clear();
  }

  clear() {
    this.ids = [];
    this.places = new Map();
    this.total = 0;
    this.complete = false;
    this.isListing = false;
  }

  get length() {
    return this.complete ? this.ids.length : Math.max(this.total, this.ids.length);
  }

  at(index) {
    return this.all.get(this.ids[index]);
  }

  get(id) {
    return this.all.get(id);
  }

  place(id) {
    return this.places.get(id) ?? -1;
  }

  /** Reads the list of a filter: resolves with its first page, and goes on in the background. */
  async read(filter) {
    this.reading?.abort();
    const reading = (this.reading = new AbortController());
    const first = await this.page(filter, 0, FIRST, reading.signal);
    this.clear();
    this.all = new Map();
    this.add(first);
    // The first picture comes first: the rest of the list would keep the server from it.
    const calm = new Promise((resolve) => { this.goOn = resolve; setTimeout(resolve, CALM_MS); });
    calm.then(() => this.rest(filter, reading.signal, first.things.length)).catch((error) => {
      if (!reading.signal.aborted) this.dispatchEvent(new CustomEvent("trouble", { detail: error }));
    });
    return first;
  }

  page(filter, offset, limit, signal) {
    return ask(`api/things?${new URLSearchParams({ ...filter, offset, limit })}`, { signal });
  }

  async rest(filter, signal, offset) {
    await this.pages(filter, signal, offset);
    // A server that still lists its cache finds further things in between: once it is done, the order is read anew.
    while (this.isListing) {
      await new Promise((resolve) => setTimeout(resolve, 300));
      if (signal.aborted) return;
      const before = this.ids;
      const found = [];
      let page;
      do {
        page = await this.page(filter, found.length, PAGE, signal);
        if (signal.aborted) return;
        for (const thing of page.things) this.all.set(thing.id, thing);
        found.push(...page.things.map((thing) => thing.id));
      } while (page.things.length && found.length < page.total);
      const there = new Set(found);
      this.ids = [...before.filter((id) => !there.has(id)), ...there];
      this.places = new Map(this.ids.map((id, index) => [id, index]));
      this.total = this.ids.length;
      this.isListing = page.indexing;
      this.dispatchEvent(new CustomEvent("changed", { detail: null }));
    }
    this.complete = true;
    this.dispatchEvent(new Event("changed"));
  }

  async pages(filter, signal, offset) {
    while (offset < this.total) {
      const page = await this.page(filter, offset, PAGE, signal);
      if (signal.aborted) return;
      const added = this.add(page);
      // A decision made meanwhile takes things out of the server's list: what was not shifted away is read again.
      const gone = filter.decision ? this.ids.filter((id) => !matches(this.get(id), filter.decision)).length : 0;
      const next = Math.max(0, this.ids.length - gone);
      if (page.things.length === 0) break;
      offset = added === 0 ? offset + page.things.length : Math.min(next, offset + page.things.length);
    }
  }

  add(page) {
    this.total = page.total;
    this.isListing ||= page.indexing === true;
    let added = 0;
    for (const thing of page.things) {
      if (!this.places.has(thing.id)) {
        this.places.set(thing.id, this.ids.length);
        this.ids.push(thing.id);
        added += 1;
      }
      this.all.set(thing.id, thing);
    }
    this.complete = this.ids.length >= page.total && !this.isListing;
    this.dispatchEvent(new Event("changed"));
    return added;
  }

  /** Takes what the server says of things that are in the list. */
  take(things) {
    const known = things.filter((thing) => this.all.has(thing.id));
    for (const thing of known) this.all.set(thing.id, thing);
    if (known.length) this.dispatchEvent(new CustomEvent("changed", { detail: known }));
    return known;
  }

  /** The next places, in a circle, of what waits for a decision. */
  waiting(from, count, isOpen) {
    const found = [];
    for (let step = 1; step <= this.ids.length && found.length < count; step += 1) {
      const index = (from + step + this.ids.length) % this.ids.length;
      if (isOpen(this.at(index))) found.push(index);
    }
    return found;
  }

  /** How many of each decision there are in what was read. */
  tally() {
    const tally = { accept: 0, reject: 0, relabel: 0, skip: 0, attempts: 0 };
    for (const id of this.ids) {
      const thing = this.all.get(id);
      if (isAttempt(thing)) tally.attempts += 1;
      else if (thing.decision) tally[thing.decision] += 1;
    }
    return tally;
  }
}

export const isAttempt = (thing) => thing.kind === "rejected attempts";

function matches(thing, decision) {
  if (decision === "undecided") return !thing.decision;
  if (decision === "conflict") return thing.conflict;
  return thing.decision === decision;
}
