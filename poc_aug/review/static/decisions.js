// Decisions on their way to the journal: one after another, sent again until the server has stored them.
import { ask, Refused } from "./server.js";

const MOST_IDS = 2000; // in one call

export class Decisions extends EventTarget {
  constructor(things, link) {
    super();
    this.things = things;
    this.link = link;
    this.jobs = [];
    this.done = []; // decide calls of this page that can be undone, oldest first
    this.open = new Map(); // id -> the decision that is not yet stored
    this.isRunning = false;
  }

  decide(ids, op, { to = null, part = null, force = false } = {}) {
    const group = Symbol("one key");
    for (let at = 0; at < ids.length; at += MOST_IDS) {
      const some = ids.slice(at, at + MOST_IDS);
      const seen = Object.fromEntries(some.map((id) => [id, this.things.get(id)?.seen]).filter(([, mark]) => mark));
      const job = { call: "decide", ids: some, op, to, part, seen, force, group };
      this.done.push(job);
      this.push(job);
    }
  }

  /** Undoes what the last key decided; what has not been sent yet is never sent. */
  undo() {
    const group = this.done.at(-1)?.group;
    if (!group) {
      this.push({ call: "undo", ids: [], of: null });
      return;
    }
    while (this.done.at(-1)?.group === group) {
      const last = this.done.pop();
      if (this.jobs.includes(last) && !last.isSent) {
        this.jobs.splice(this.jobs.indexOf(last), 1);
        this.count();
        this.tell("undone", { ids: last.ids });
      } else this.push({ call: "undo", ids: last.ids, of: last });
    }
  }

  push(job) {
    this.jobs.push(job);
    this.count();
    this.run();
  }

  get pending() {
    return this.jobs.reduce((sum, job) => sum + Math.max(1, job.ids.length), 0);
  }

  count() {
    this.open.clear();
    for (const job of this.jobs) for (const id of job.ids) this.open.set(id, job);
    this.tell("pending");
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  async run() {
    if (this.isRunning) return;
    this.isRunning = true;
    while (this.jobs.length) {
      const job = this.jobs[0];
      job.isSent = true;
      try {
        const answer = await this.send(job);
        this.link.answered();
        this.jobs.shift();
        this.stored(job, answer);
      } catch (error) {
        const isLost = error instanceof Refused && error.status !== 403 && error.status !== 429;
        if (isLost) {
          this.jobs.shift();
          this.done = this.done.filter((other) => other !== job);
          this.count();
          this.tell("refused", { job, error });
        } else {
          this.link.failed(error);
          await this.link.again();
        }
      }
    }
    this.isRunning = false;
  }

  send(job) {
    // What is undone is named, so that a call that is sent again undoes nothing else.
    if (job.call === "undo") return ask("api/undo", { body: job.of ? { seen: job.of.after } : {} });
    const body = { ids: job.ids, op: job.op, seen: job.seen };
    if (job.to !== null) body.to = job.to;
    if (job.part !== null) body.part = job.part;
    if (job.force) body.force = true;
    return ask("api/decide", { body });
  }

  stored(job, answer) {
    const conflicts = new Set(answer.conflicts ?? []);
    job.after = {};
    const own = new Set(job.ids);
    for (const thing of answer.things) {
      if (own.has(thing.id) && !conflicts.has(thing.id)) job.after[thing.id] = thing.seen;
      if (conflicts.has(thing.id)) continue;
      // Later keys on the same thing were typed with this decision in mind.
      for (const later of this.jobs) if (later.seen && thing.id in later.seen) later.seen[thing.id] = thing.seen;
    }
    if (conflicts.size) {
      job.ids = job.ids.filter((id) => !conflicts.has(id));
      if (!job.ids.length) this.done = this.done.filter((other) => other !== job);
    }
    this.things.take(answer.things);
    this.count();
    this.tell(job.call === "undo" ? "undone" : "stored", { job, answer, ids: job.ids.length ? job.ids : answer.things.map((thing) => thing.id) });
    if (conflicts.size) this.tell("conflict", { job, ids: [...conflicts] });
  }
}
