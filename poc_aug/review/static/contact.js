// Contact with the server: what others decided meanwhile, and what is said while it does not answer.
import { $, counted, digits, note } from "./elements.js";
import { ask, isLasting, session } from "./server.js";

const POLL_MS = 2000;

/** Says that the server does not answer, and what became of the decisions; `isKept`: in the browser, too. */
export function showBanner(link, waiting, isKept) {
  $("banner").hidden = false;
  $("banner").title = link.reason;
  $("banner-retry").onclick = () => link.now();
  const cache = $("cache-name").textContent;
  const kept = waiting ? `${counted(waiting, "decision")} not stored yet` : "No decision waits to be stored";
  const alone = waiting && !isKept ? " This browser keeps nothing for the page: leave this tab open." : "";
  const [title, text] = {
    403: ["The server does not know this page any more.", isKept
      ? `${kept}. Open the address that poc-aug review prints now, here or in another tab${waiting ? ": they are sent then" : ""}.`
      : `${kept}. Open the address that poc-aug review prints now in another tab: this one then sends what it holds.`],
    412: ["Other caches are reviewed at this address now.", `${kept}${waiting ? `: they are sent once ${cache} is reviewed here again` : ""}.`],
  }[link.status] ?? ["The server does not answer.", `${kept}${waiting ? "; sent again, in order, once it is back" : ""}. It is asked again every few seconds.`];
  $("banner-title").textContent = title;
  $("banner-text").textContent = text + alone;
}

export function hideBanner() {
  $("banner").hidden = true;
}

/** Asks for changes for as long as the page is open; `take` gets the things that changed. */
export async function watch(link, version, reviewer, take) {
  let known = session.number;
  for (;;) {
    await (link.up ? new Promise((resolve) => setTimeout(resolve, POLL_MS)) : link.again());
    if (document.hidden && link.up) continue;
    try {
      const { changes } = reviewer;
      const answer = await ask(`api/changes?since=${version}`);
      if (changes === reviewer.changes) reviewer.heard(answer.reviewer);
      // A server that was started again counts its versions anew, and others may have decided meanwhile.
      version = known === session.number ? answer.version : 0;
      known = session.number;
      link.answered();
      take(answer.things);
    } catch (error) {
      if (isLasting(error)) note(error.message, "bad");
      else link.failed(error);
    }
  }
}

/** Says what became of decisions of pages that are gone. */
export function tellLate({ stored, undone, names }, me) {
  const what = [stored ? counted(stored, "decision") : "", undone ? `${digits(undone)} taken back` : ""].filter(Boolean).join(", ");
  const others = [...names].filter((name) => name !== me);
  note(`Typed earlier, and stored now: ${what}${others.length ? ` (as ${others.join(", ")})` : ""}`, "good", 20);
}

/** Says that decisions were about records that are other ones now. */
export function tellGone(count) {
  note(`${counted(count, "decision")} not stored: what ${count === 1 ? "it was" : "they were"} about was generated anew since`, "bad", 20);
}
