// Pictures, read and decoded ahead of time: the ones wanted next come first, and what nobody wants any more is given up.
import { ask } from "./server.js";

const AT_ONCE = 4; // the browser has six connections: two are left for decisions
const KEPT = 40;

export const address = (id, view) => `picture/${encodeURIComponent(id)}/${view}`;

export class Pictures {
  constructor(onReady) {
    this.kept = new Map(); // url -> {image, ready, failed, promise}; the last ones used are at the end
    this.wanted = [];
    this.onReady = onReady;
  }

  /** The picture, if it is there already. */
  ready(url) {
    const entry = this.kept.get(url);
    return entry?.ready ? entry.image : null;
  }

  failed(url) {
    return this.kept.get(url)?.failed ?? null;
  }

  /** Reads these, first ones first, and gives up the rest of what is on its way. */
  want(urls) {
    this.wanted = urls;
    const wanted = new Set(urls);
    for (const [url, entry] of this.kept) {
      if (entry.ready || entry.failed || wanted.has(url)) continue;
      entry.image.removeAttribute("src");
      this.kept.delete(url);
    }
    for (const url of urls) {
      const entry = this.kept.get(url);
      if (entry) { this.kept.delete(url); this.kept.set(url, entry); }
    }
    this.start();
  }

  /** Tries once more what failed, after the server is back. */
  again() {
    for (const [url, entry] of this.kept) if (entry.failed) this.kept.delete(url);
    this.start();
  }

  start() {
    let running = [...this.kept.values()].filter((entry) => !entry.ready && !entry.failed).length;
    for (const url of this.wanted) {
      if (running >= AT_ONCE) break;
      if (this.kept.has(url)) continue;
      running += 1;
      this.read(url);
    }
    for (const [url, entry] of this.kept) {
      if (this.kept.size <= KEPT) break;
      if (!this.wanted.includes(url) && (entry.ready || entry.failed)) this.kept.delete(url);
    }
  }

  async read(url) {
    const image = new Image();
    const entry = { image, ready: false, failed: null };
    this.kept.set(url, entry);
    image.alt = "";
    image.draggable = false;
    image.src = url;
    try {
      await image.decode();
      entry.ready = true;
    } catch {
      if (this.kept.get(url) !== entry) return;
      entry.failed = await reason(url);
    }
    if (this.kept.get(url) !== entry) return;
    this.onReady(url);
    this.start();
  }
}

/** Why there is no picture, in the server's words. */
async function reason(url) {
  try {
    await ask(url);
  } catch (error) {
    return [error.message, error.hint].filter(Boolean).join(" – ");
  }
  return "The picture cannot be shown";
}
