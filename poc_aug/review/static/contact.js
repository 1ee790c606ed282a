// Contact with the server: what others decided meanwhile, and what is said while it does not answer.
import { $, counted, note } from "./elements.js";
import { ask, Refused, session } from "./server.js";

const POLL_MS = 2000;

/** Says that the server does not answer, and what became of the decisions. */
export function showBanner(link, waiting) {
  $("banner").hidden = false;
  $("banner").title = link.reason;
  $("banner-retry").onclick = () => link.now();
  $("banner-title").textContent = link.refused ? "The server does not know this page any more." : "The server does not answer.";
  const kept = waiting ? `${counted(waiting, "decision")} not stored yet` : "No decision waits to be stored";
  $("banner-text").textContent = link.refused
    ? `${kept}. Open the address that poc-aug review prints now in another tab: this one then sends what it holds. (${link.reason})`
    : `${kept}${waiting ? "; sent again, in order, once it is back" : ""}. It is asked again every few seconds.`;
}

export function hideBanner() {
  $("banner").hidden = true;
}

/** Asks for changes for as long as the page is open; `take` gets the things that changed. */
export async function watch(link, version, take) {
  let known = session.number;
  for (;;) {
    await (link.up ? new Promise((resolve) => setTimeout(resolve, POLL_MS)) : link.again());
    if (document.hidden && link.up) continue;
    try {
      const answer = await ask(`api/changes?since=${version}`);
      // A server that was started again counts its versions anew, and others may have decided meanwhile.
      version = known === session.number ? answer.version : 0;
      known = session.number;
      link.answered();
      take(answer.things);
    } catch (error) {
      if (error instanceof Refused && error.status !== 403) note(error.message, "bad");
      else link.failed(error);
    }
  }
}
