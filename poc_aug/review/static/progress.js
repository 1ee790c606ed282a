// How much is decided, how fast, and how long the rest takes.
import { $, digits, make } from "./elements.js";

const WINDOW_MS = 5 * 60_000;
const PARTS = ["accept", "relabel", "reject", "skip", "left"];

export class Progress {
  constructor() {
    this.times = []; // [moment, decisions]: what this page stored
  }

  stored(count) {
    this.times.push([performance.now(), count]);
  }

  /** Decisions per minute of the last five minutes; null while there are too few to say. */
  perMinute() {
    const now = performance.now();
    this.times = this.times.filter(([moment]) => now - moment < WINDOW_MS);
    const count = this.times.reduce((sum, [, part]) => sum + part, 0);
    if (this.times.length < 5) return null;
    return (count - this.times[0][1]) / (Math.max(1000, now - this.times[0][0]) / 60_000);
  }

  show(things) {
    const tally = things.tally();
    const all = Math.max(0, things.length - tally.attempts);
    const decided = tally.accept + tally.reject + tally.relabel;
    const left = all - decided - tally.skip;
    $("progress-text").textContent = `${digits(decided)} of ${digits(all)} decided${tally.skip ? `, ${digits(tally.skip)} skipped` : ""}`;
    const bar = $("progress-bar");
    bar.setAttribute("aria-valuemax", String(all));
    bar.setAttribute("aria-valuenow", String(decided));
    bar.setAttribute("aria-valuetext", $("progress-text").textContent);
    bar.title = `${digits(tally.accept)} accepted, ${digits(tally.relabel)} relabelled, ${digits(tally.reject)} rejected, ${digits(tally.skip)} skipped`;
    if (!bar.children.length) bar.append(...PARTS.map((name) => make("i", { class: name })));
    const shares = { ...tally, left };
    PARTS.forEach((name, index) => { bar.children[index].style.flexGrow = String(shares[name]); });
    const rate = this.perMinute();
    $("rate").textContent = rate === null ? "" : `${Math.round(rate)} per minute${left > 0 ? `, ${duration(left / rate)} left` : ""}`;
    return { all, decided, left, skipped: tally.skip };
  }
}

function duration(minutes) {
  if (!Number.isFinite(minutes)) return "–";
  if (minutes < 1) return "less than a minute";
  if (minutes < 90) return `${Math.round(minutes)} min`;
  return `${(minutes / 60).toFixed(1)} h`;
}
