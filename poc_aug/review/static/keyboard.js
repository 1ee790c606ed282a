// Keys, and what they do; the list under "?" is made of the same table.
import { $, make } from "./elements.js";

export const KEYS = [
  ["Decide", [["a", "accept"], ["r", "reject"], ["1 – 9", "relabel as the class of this number"], ["l or /", "relabel as any class"], ["s", "skip"], ["u", "undo the last decision"]]],
  ["Look around", [["→ ←", "next and previous, without deciding"], ["n", "next undecided"], ["Home End", "first and last"], ["g", "grid, and back"], ["f", "filters"]]],
  ["Pictures", [["b", "before and after in turn; hold it to look at before"], ["m", "outline of the mask"], ["v", "frame, close-up or all four big"], ["z", "whole frame, object, enlarged"], ["+ −", "larger, smaller (or the wheel)"], ["Shift + arrows", "move the picture (or drag it)"], ["0", "whole frame"]]],
  ["Grid", [["arrows", "move"], ["Space", "choose or leave out"], ["Shift + arrows", "choose a range"], ["A", "choose all"], ["Esc", "choose none"], ["Enter", "look at one"], ["a r 1–9 l s", "decide all that are chosen"]]],
  ["Conflict", [["t", "their decision counts"], ["m", "mine counts"], ["Esc", "decide later"]]],
];

export function fillHelp() {
  const names = (keys) => keys.split(" ").map((key) => (["or", "+", "–"].includes(key) ? ` ${key} ` : make("kbd", { text: key })));
  $("help-keys").replaceChildren(...KEYS.map(([title, rows]) => make("section", {}, make("h3", { text: title }),
    make("dl", {}, ...rows.flatMap(([keys, does]) => [make("dt", {}, ...(keys === "+ −" ? [make("kbd", { text: "+" }), make("kbd", { text: "−" })] : names(keys))), make("dd", { text: does })])))));
}

// The field of a dialog that was just closed keeps the focus for a moment, in which keys are the page's already.
const isTyping = (target) => target instanceof Element && !target.closest("dialog:not([open])") && target.closest("input:not([type=button]), select, textarea, [contenteditable]");

/** Calls `does(key, event)` for keys that mean something here: not in fields, nor in dialogs, nor with Ctrl. */
export function listen(does, released) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const dialog = document.querySelector("dialog[open]");
    if (dialog) {
      // At once: the browser itself may take a moment, in which further keys would still go to the dialog.
      if (event.key === "Escape") { event.preventDefault(); dialog.close(); }
      return;
    }
    if (isTyping(event.target)) {
      if (event.key === "Escape") { event.target.blur(); $("main").focus(); }
      return;
    }
    const isPress = event.target instanceof Element && !event.target.closest("dialog:not([open])") && event.target.closest("button, a") && ["Enter", " "].includes(event.key);
    // Whether a letter is a large one is up to Shift alone: Caps Lock is on by mistake.
    const key = /^[a-z]$/i.test(event.key) ? event.key[event.shiftKey ? "toUpperCase" : "toLowerCase"]() : event.key;
    if (!isPress && does(key, event)) event.preventDefault();
  });
  document.addEventListener("keyup", (event) => released(event.key.toLowerCase()));
}
