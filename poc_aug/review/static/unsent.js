// Decisions that are not stored yet, in the browser's storage: they outlive the page, and the address of the server.
import { counted, note } from "./elements.js";
import { review } from "./server.js";

const VERSION = 1;
const ALL = "poc-aug-review-unsent ";
const OWN = `${ALL}${review} `; // of these caches; what the origin keeps is no other server's anyway

export class Unsent {
  constructor() {
    this.key = OWN + [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    this.storage = openStorage();
    this.isKept = this.storage !== null; // whether the storage holds what `save` was given last
    this.claims = new Set();
    this.cache = "";
    // Held for as long as this page lives: nobody else takes what it is about to send itself.
    navigator.locks?.request(this.key, () => new Promise(() => {}));
    // A page that comes back from a browser's history holds what another one may have sent meanwhile.
    addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  }

  /** Keeps the jobs in place of those before. */
  save(jobs) {
    if (!this.storage) return;
    const records = toRecords(jobs);
    try {
      if (records.length) this.storage.setItem(this.key, JSON.stringify({ version: VERSION, cache: this.cache, jobs: records }));
      else this.storage.removeItem(this.key);
      this.isKept = true;
    } catch (error) {
      // Full: what it held before would be sent again one day.
      this.storage.removeItem(this.key);
      this.isKept = false;
      console.warn("unsent decisions are kept by this page alone:", error.message);
    }
  }

  /** Gives `take` the jobs of pages that are gone, now and for as long as this page is open; `lose`: another page took ours. */
  async adopt(take, lose) {
    if (!this.storage) return;
    // First, so that nothing is missed while the locks are asked for.
    addEventListener("storage", ({ key, newValue }) => {
      if (newValue !== null && key?.startsWith(OWN)) this.wait(key, take);
      if (newValue === null && key === this.key && !navigator.locks) lose();
    });
    const others = this.keys(OWN);
    await Promise.all(others.map((key) => this.claim(key, take, { ifAvailable: true })));
    for (const key of others) this.wait(key, take);
  }

  /** Takes what a page leaves once it is closed. */
  wait(key, take) {
    if (!navigator.locks || key === this.key || this.claims.has(key) || this.storage.getItem(key) === null) return;
    this.claims.add(key);
    this.claim(key, take, {}).finally(() => this.claims.delete(key));
  }

  async claim(key, take, options) {
    const claimed = (lock) => {
      const text = lock === null ? null : this.storage.getItem(key);
      if (text === null) return;
      const jobs = fromText(text);
      if (jobs === null) {
        note("This browser keeps decisions that this page cannot read: they stay where they are", "bad", 20);
        return;
      }
      this.storage.removeItem(key);
      take(jobs);
    };
    // Without locks (a plain connection to another machine), an open page hears that its jobs were taken.
    await (navigator.locks ? navigator.locks.request(key, options, claimed) : claimed(undefined));
  }

  /** Says what waits for other caches at this address. */
  tellOthers() {
    if (!this.storage) return;
    const caches = new Map();
    for (const key of this.keys(ALL).filter((key) => !key.startsWith(OWN))) {
      const text = this.storage.getItem(key);
      const count = fromText(text)?.reduce((sum, job) => sum + job.ids.length, 0);
      if (count) caches.set(JSON.parse(text).cache, (caches.get(JSON.parse(text).cache) ?? 0) + count);
    }
    for (const [cache, count] of caches) note(`${counted(count, "decision")} about other caches (${cache}) wait in this browser until those are reviewed at this address`, "plain", 20);
  }

  keys(prefix) {
    return Object.keys(this.storage).filter((key) => key.startsWith(prefix) && key !== this.key);
  }
}

/** The storage; null where the browser denies it. */
function openStorage() {
  try {
    return window.localStorage;
  } catch (error) {
    console.warn("unsent decisions are kept by this page alone:", error.message);
    return null;
  }
}

/** Jobs as they are kept. An undo names what it takes back; one that does not would mean something else later on. */
function toRecords(jobs) {
  const kept = jobs.filter((job) => job.call === "decide" || job.of);
  return kept.map(({ call, ids, op, to, part, seen, marks, force, by, time, group, of }) => {
    if (call === "decide") return { call, ids, op, to, part, seen, marks, force, by, time, group };
    return kept.includes(of) ? { call, ids, time, of: kept.indexOf(of) } : { call, ids, time, by: of.by, after: of.after };
  });
}

/** Jobs that were kept; null if this page does not understand them. */
function fromText(text) {
  let kept;
  try {
    kept = JSON.parse(text);
  } catch {
    return null;
  }
  if (kept?.version !== VERSION || !Array.isArray(kept.jobs) || !kept.jobs.every((job) => Array.isArray(job?.ids))) return null;
  const groups = new Map();
  const jobs = [];
  for (const { of, after, by, ...job } of kept.jobs) {
    if (job.call === "undo") {
      const undone = of === undefined ? { ids: job.ids, by, after } : jobs[of];
      if (!undone) return null;
      jobs.push({ ...job, isLate: true, of: undone });
    } else {
      if (!groups.has(job.group)) groups.set(job.group, Symbol("one key"));
      jobs.push({ ...job, by, isLate: true, group: groups.get(job.group) });
    }
  }
  return jobs;
}
