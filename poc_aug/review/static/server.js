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

const PATIENCE_MS = 60_000;

export async function ask(path, { body, signal } = {}) {
  const options = { credentials: "same-origin", signal: signal ?? AbortSignal.timeout(PATIENCE_MS) };
  if (body !== undefined) {
    options.method = "POST";
    options.headers = { "Content-Type": "application/json" };
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
    this.refused = error instanceof Refused;
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
