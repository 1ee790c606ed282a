// The filter: a form, the part of the address after "#", and the question to the server are one thing.
import { $, make } from "./elements.js";

const FIELDS = ["key", "decision", "class", "kind", "recipe", "min_size", "max_size", "min_score", "max_score", "sort"];
const WAIT_MS = 250;

export class Filters {
  constructor(onChange) {
    this.form = $("filter-form");
    this.onChange = onChange;
    this.form.addEventListener("input", (event) => this.later(event.target.matches("input") ? WAIT_MS : 0));
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.later(0); });
    $("filters-reset").addEventListener("click", () => this.set({}));
    $("filters-reload").addEventListener("click", () => this.onChange(this.value));
    $("filters-close").addEventListener("click", () => this.toggle(false));
    $("filters-button").addEventListener("click", () => this.toggle());
  }

  later(wait) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => { if (this.form.reportValidity()) this.onChange(this.value); }, wait);
  }

  /** Fields that say something; the default order is not said. */
  get value() {
    const value = {};
    for (const name of FIELDS) {
      const text = this.form.elements[name].value.trim();
      if (text !== "" && !(name === "sort" && text === "key")) value[name] = text;
    }
    return value;
  }

  fill(value) {
    for (const name of FIELDS) {
      const field = this.form.elements[name];
      const text = value[name] ?? (name === "sort" ? "key" : "");
      // A class that the cache no longer has can still be named in an address.
      if (field.tagName === "SELECT" && ![...field.options].some((option) => option.value === text))
        field.append(make("option", { value: text, text }));
      field.value = text;
    }
    this.count();
  }

  set(value) {
    this.fill(value);
    this.onChange(this.value);
  }

  count() {
    const count = Object.keys(this.value).filter((name) => name !== "sort").length;
    $("filter-count").hidden = count === 0;
    $("filter-count").textContent = count;
    $("filter-count").setAttribute("aria-label", `${count} set`);
  }

  /** What there is to choose from. */
  offer(state) {
    const offers = {
      class: state.classes.map(({ name, count }) => [name, `${name} (${count})`]),
      kind: state.kinds.map((kind) => [kind, kind]),
      recipe: state.recipes.map(({ fingerprint, objects, count }) => [fingerprint, `${fingerprint.slice(0, 8)} ${objects.slice(0, 3).join(", ")} (${count})`]),
    };
    for (const [name, rows] of Object.entries(offers)) {
      const field = this.form.elements[name];
      const chosen = field.value;
      const all = name === "kind" ? "All that can be decided" : "All";
      field.replaceChildren(make("option", { value: "", text: all }), ...rows.map(([value, text]) => make("option", { value, text })));
      if (chosen && !rows.some(([value]) => value === chosen)) field.append(make("option", { value: chosen, text: chosen }));
      field.value = chosen;
      field.closest("label").hidden = name !== "class" && rows.length < 2 && !chosen;
    }
  }

  toggle(isOpen = $("filters").hidden) {
    $("filters").hidden = !isOpen;
    $("filters-button").setAttribute("aria-expanded", String(isOpen));
    if (isOpen) this.form.elements.key.focus();
    else $("filters-button").focus({ preventScroll: true });
  }
}

/** `{filter, view, at}` of the address; the token is never in it. A first filter may stand before the "#". */
export function readHash() {
  const given = new URLSearchParams(location.hash.length > 1 ? location.hash.slice(1) : location.search);
  const filter = Object.fromEntries(FIELDS.filter((name) => given.get(name)).map((name) => [name, given.get(name)]));
  return { filter, view: given.get("view") === "grid" ? "grid" : "one", at: given.get("at") };
}

export function writeHash(filter, view, at) {
  const said = new URLSearchParams(filter);
  if (view === "grid") said.set("view", "grid");
  if (at) said.set("at", at);
  const address = `${location.pathname}${said.size ? `#${said}` : ""}`;
  // Also takes the token out of the address that it was opened with.
  if (address !== `${location.pathname}${location.search}${location.hash}`) history.replaceState(null, "", address);
}
