// Calls to the server, and whether it answers.

/** The server answered, and said no: nothing is gained by asking again. */
export class Refused extends Error {
  constructor(status, body) {
    super(body.error || `The server answered with status ${status}`);
    this.status = status;
    this.hint = [body.expected ? `expected: ${body.expected}` : "", body.hint || ""].filter(Boolean).join("; ");
  }
}

/** The server did not answer, or could not: worth asking again. */
export class NoAnswer extends Error {}

/** Whether the answer is a "no" that stays: not that of a server which is another one, or has too much to do. */
export const isLasting = (error) => error instanceof Refused && ![403, 412, 429].includes(error.status);

/** The caches that this page was opened for: the address may be that of another review one day. */
export const review = document.documentElement.dataset.review;

const PATIENCE_MS = 60_000;

// The address that the page was opened with has the token; a server that was started again knows no cookie of before.
const KEY = "poc-aug-review-token";
const token = keptToken(new URLSearchParams(location.search).get("token"));

function keptToken(given) {
  try {
    if (given) sessionStorage.setItem(KEY, given);
    return given ?? sessionStorage.getItem(KEY);
  } catch (error) {
    console.warn("the token is known until this page is loaded again:", error.message);
    return given;
  }
}

/** Asks the server; a server that was started again, with the same token, is asked for a new cookie first. */
export async function ask(path, options = {}) {
  try {
    return await askOnce(path, options);
  } catch (error) {
    if (!(error instanceof Refused && error.status === 403 && token)) throw error;
    await enter();
    return askOnce(path, options);
  }
}

/** Counts the servers that this page has come to know. */
export const session = { number: 0 };

let entering = null;

function enter() {
  entering ??= (async () => {
    try {
      const response = await fetch(`./?${new URLSearchParams({ token })}`, { credentials: "same-origin", signal: AbortSignal.timeout(PATIENCE_MS) });
      if (!response.ok) return;
      session.number += 1;
      if (entered) await entered();
    } catch (error) {
      throw new NoAnswer(error.message);
    } finally {
      entering = null;
    }
  })();
  return entering;
}

let entered = null;

/** What a new session has to be told before anything else is asked. */
export function onEnter(tell) {
  entered = tell;
}

export async function askOnce(path, { body, signal } = {}) {
  const options = { credentials: "same-origin", headers: { "X-Poc-Aug-Review": review }, signal: signal ?? AbortSignal.timeout(PATIENCE_MS) };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response, answer;
  try {
    response = await fetch(path, options);
    answer = await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    if (response && response.status >= 400 && response.status < 500) throw new Refused(response.status, {});
    throw new NoAnswer(error.message);
  }
  if (response.ok) return answer;
  if (response.status >= 500) throw new NoAnswer(answer.error || `status ${response.status}`);
  throw new Refused(response.status, answer);
}

/** Whether the server answers: "up" and "down" are events, and `again` waits for the next try. */
export class Link extends EventTarget {
  constructor() {
    super();
    this.up = true;
    this.reason = "";
    this.tries = 0;
    this.wake = null;
  }

  answered() {
    this.tries = 0;
    if (this.up) return;
    this.up = true;
    this.dispatchEvent(new Event("up"));
  }

  failed(error) {
    this.reason = error.message;
    this.status = error instanceof Refused ? error.status : null;
    this.tries += 1;
    this.up = false;
    this.dispatchEvent(new Event("down"));
  }

  /** Waits longer with each failure, at most 3 seconds, or until `now`. */
  again() {
    const wait = Math.min(3000, 250 * 2 ** Math.min(this.tries, 4));
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, wait);
      const earlier = this.wake;
      this.wake = () => { clearTimeout(timer); resolve(); earlier?.(); };
    });
  }

  now() {
    this.wake?.();
    this.wake = null;
  }
}
