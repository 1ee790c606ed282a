// What is said of one thing: its class, its numbers, who decided what, and the classes to relabel it as.
import { $, clock, digits, make } from "./elements.js";
import { isAttempt } from "./things.js";

const WORDS = { accept: "accepted", reject: "rejected", relabel: "relabelled", skip: "skipped", restore: "taken back in", undo: "undone" };

export const said = ({ op, to }) => (op === "relabel" && to ? `relabelled as ${to}` : WORDS[op] ?? op);

/** The state of a thing in words; what is not stored yet is never shown as decided. */
export function stateOf(thing, decisions) {
  const job = decisions.open.get(thing.id);
  if (job) return { name: "open", text: job.call === "undo" ? "undoing …" : "storing …" };
  if (isAttempt(thing)) return { name: "attempt", text: "rejected attempt" };
  if (!thing.decision) return { name: "undecided", text: "undecided" };
  return { name: thing.decision, text: thing.decision === "relabel" ? `relabelled as ${thing.label}` : WORDS[thing.decision] };
}

export function showDetails(thing, index, things, decisions, onSettle) {
  const state = stateOf(thing, decisions);
  $("thing-label").textContent = thing.label;
  $("thing-state").textContent = state.text;
  $("thing-state").dataset.state = state.name;
  $("thing-key").textContent = thing.key;
  $("thing-key").title = thing.key;
  $("thing-where").textContent = `${digits(index + 1)} of ${digits(things.length)}`;
  const facts = [];
  if (thing.label !== thing.class) facts.push(["Was", thing.class]);
  if (thing.prompt && thing.prompt !== thing.class) facts.push(["Prompt", thing.prompt]);
  if (thing.kind !== "insertions") facts.push(["Kind", thing.kind === "frames" ? "shifted frame" : "rejected attempt"]);
  if (thing.reason) facts.push(["Reason", [thing.reason, thing.detail].filter(Boolean).join(": ")]);
  else if (thing.detail) facts.push(["Detail", thing.detail]);
  if (thing.width) facts.push(["Size", `${digits(thing.height)} × ${digits(thing.width)} px (height × width), ${digits(thing.area)} px in the mask`]);
  if (thing.score !== null && thing.score !== undefined) facts.push(["Score", thing.score.toFixed(2)]);
  if (thing.parts?.length > 1) facts.push(["Parts", thing.parts.map((part) => `${part.name}${part.score == null ? "" : ` ${part.score.toFixed(2)}`}`).join(", ")]);
  facts.push(["Variant", thing.insertion === null || thing.insertion === undefined ? String(thing.variant) : `${thing.variant}, insertion ${thing.insertion}`]);
  if (thing.recipe) facts.push(["Recipe", thing.recipe.slice(0, 12)]);
  $("thing-facts").replaceChildren(...facts.flatMap(([name, value]) => [make("dt", { text: name }), make("dd", { text: value })]));
  const history = thing.decisions ?? [];
  $("thing-history").replaceChildren(...(history.length ? [make("h3", { text: "Decisions" }), make("ol", {}, ...history.map(historyRow))] : []));
  showConflict(thing, onSettle);
  for (const button of $("classes").querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.to === thing.label));
  for (const button of $("actions").querySelectorAll("[data-op]")) button.setAttribute("aria-pressed", String(button.dataset.op === thing.decision));
}

const historyRow = (decision) => make("li", {}, make("b", { text: decision.by || "somebody" }), ` ${said(decision)} `, make("time", { text: clock(decision.time) }));

/** Two people said different things of it: say who, and ask. */
function showConflict(thing, onSettle) {
  const note = $("thing-conflict");
  note.hidden = !thing.conflict;
  if (!thing.conflict) return;
  const last = new Map();
  for (const decision of thing.decisions) {
    last.delete(decision.by);
    last.set(decision.by, decision);
  }
  const newest = thing.decisions.at(-1);
  const buttons = [...last.values()].map((decision) => make("button", {
    type: "button", "aria-pressed": String(decision === newest), text: `${decision.by || "somebody"}: ${said(decision)}`, title: clock(decision.time),
    on: { click: () => onSettle(thing, decision) },
  }));
  note.replaceChildren(make("strong", { text: "Reviewers disagree." }), " The last decision counts, unless you choose another:", make("span", { class: "choices" }, ...buttons));
}

/** The first nine classes, each with its key. */
export function showClasses(names, onRelabel, onMore) {
  const buttons = names.slice(0, 9).map((name, index) => make("button", { type: "button", "data-to": name, title: name, on: { click: () => onRelabel(name) } },
    make("kbd", { text: String(index + 1) }), make("span", { text: name })));
  if (names.length > 9) buttons.push(make("button", { type: "button", class: "more", on: { click: onMore } }, make("kbd", { text: "l" }), make("span", { text: `${names.length - 9} more …` })));
  $("classes").replaceChildren(make("h3", { text: "Relabel as" }), ...buttons);
}
