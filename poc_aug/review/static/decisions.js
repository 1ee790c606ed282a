// Decisions on their way to the journal: one after another, sent again until the server has stored them.
import { ask, isLasting } from "./server.js";

const MOST_IDS = 2000; // in one call

export class Decisions extends EventTarget {
  constructor(things, link, reviewer, unsent) {
    super();
    Object.assign(this, { things, link, reviewer, unsent });
    this.jobs = [];
    this.done = []; // decide calls of this page that can be undone, oldest first
    this.open = new Map(); // id -> the decision that is not yet stored
    this.isRunning = false;
    this.groups = 0;
    this.late = { stored: 0, undone: 0, names: new Set() }; // what became of jobs of pages that are gone
  }

  decide(ids, op, { to = null, part = null, force = false, by = this.reviewer.name } = {}) {
    const group = (this.groups += 1);
    const time = Date.now();
    for (let at = 0; at < ids.length; at += MOST_IDS) {
      const some = ids.slice(at, at + MOST_IDS);
      const known = (field) => Object.fromEntries(some.map((id) => [id, this.things.get(id)?.[field]]).filter(([, text]) => text !== undefined));
      const job = { call: "decide", ids: some, op, to, part, seen: known("seen"), marks: known("mark"), force, by, time, group };
      this.done.push(job);
      this.push(job);
    }
  }

  /** Undoes what the last key decided; what has not been sent yet is never sent. */
  undo() {
    const group = this.done.at(-1)?.group;
    const time = Date.now();
    if (!group) {
      this.push({ call: "undo", ids: [], time, of: null });
      return;
    }
    while (this.done.at(-1)?.group === group) {
      const last = this.done.pop();
      if (this.jobs.includes(last) && !last.isSent) {
        this.jobs.splice(this.jobs.indexOf(last), 1);
        this.count();
        this.tell("undone", { ids: last.ids });
      } else this.push({ call: "undo", ids: last.ids, time, of: last });
    }
  }

  /** Takes in jobs that pages which are gone had not stored: in the order in which all were typed. */
  adopt(jobs) {
    const undone = new Set(jobs.map((job) => job.of));
    this.done.unshift(...jobs.filter((job) => job.call === "decide" && !undone.has(job)));
    const isOnItsWay = this.isRunning ? 1 : 0;
    const waiting = [...jobs, ...this.jobs.slice(isOnItsWay)].sort((one, other) => one.time - other.time);
    this.jobs = [...this.jobs.slice(0, isOnItsWay), ...waiting];
    this.count();
    this.run();
  }

  /** Forgets what another page has taken over. */
  lose() {
    this.jobs = [];
    this.done = [];
    this.count();
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
    this.unsent.save(this.jobs);
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
        this.jobs = this.jobs.filter((other) => other !== job);
        this.stored(job, answer);
      } catch (error) {
        if (isLasting(error)) {
          // What is never stored is not undone either: the server would undo something else.
          this.jobs = this.jobs.filter((other) => other !== job && other.of !== job);
          this.done = this.done.filter((other) => other !== job);
          this.count();
          this.tell("refused", { job, error });
          this.tellLate();
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
    if (job.call === "undo") return ask("api/undo", { body: job.of ? { seen: job.of.after ?? {}, by: job.of.by } : {} });
    // It carries the name that was shown when it was typed, whoever this browser is by now.
    const body = { ids: job.ids, op: job.op, seen: job.seen, marks: job.marks, by: job.by };
    if (job.isLate) body.late = true;
    if (job.to !== null) body.to = job.to;
    if (job.part !== null) body.part = job.part;
    if (job.force) body.force = true;
    return ask("api/decide", { body });
  }

  stored(job, answer) {
    const conflicts = new Set(answer.conflicts ?? []);
    const left = new Set([...conflicts, ...(answer.gone ?? [])]);
    job.after = {};
    const own = new Set(job.ids);
    for (const thing of answer.things) {
      if (own.has(thing.id) && !conflicts.has(thing.id)) job.after[thing.id] = thing.seen;
      if (conflicts.has(thing.id)) continue;
      // Later keys on the same thing were typed with this decision in mind.
      for (const later of this.jobs) if (later.seen && thing.id in later.seen) later.seen[thing.id] = thing.seen;
    }
    if (left.size) {
      job.ids = job.ids.filter((id) => !left.has(id));
      if (!job.ids.length) this.done = this.done.filter((other) => other !== job);
    }
    this.things.take(answer.things);
    this.count();
    if (job.isLate) this.storedLate(job);
    else this.tell(job.call === "undo" ? "undone" : "stored", { job, answer, ids: job.ids.length || left.size ? job.ids : answer.things.map((thing) => thing.id) });
    if (conflicts.size) this.tell("conflict", { job, ids: [...conflicts], things: answer.things });
    if (answer.gone?.length) this.tell("gone", { job, ids: answer.gone });
  }

  storedLate(job) {
    this.late[job.call === "undo" ? "undone" : "stored"] += job.ids.length;
    if (job.call === "decide" && job.ids.length) this.late.names.add(job.by);
    this.tellLate();
  }

  /** Says what became of earlier jobs, once the last of them is through. */
  tellLate() {
    if (this.jobs.some((job) => job.isLate) || !(this.late.stored || this.late.undone)) return;
    this.tell("late", this.late);
    this.late = { stored: 0, undone: 0, names: new Set() };
  }
}
