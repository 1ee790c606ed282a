// Elements of the page, made without HTML: whatever a cache calls its things stays text.

export const $ = (id) => document.getElementById(id);

export function make(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "text") element.textContent = value;
    else if (name === "class") element.className = value;
    else if (name === "on") for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    else if (name in element && typeof value === "boolean") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

export const svg = (tag, attributes = {}) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

const number = new Intl.NumberFormat("en");
export const counted = (count, one, many = `${one}s`) => `${number.format(count)} ${count === 1 ? one : many}`;
export const digits = (value) => number.format(value);

/** The clock time of a decision; with its date where it is not of today. */
export function clock(time) {
  const moment = new Date(typeof time === "number" ? time * 1000 : time);
  if (Number.isNaN(moment.getTime())) return String(time);
  const hours = moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  const today = moment.toDateString() === new Date().toDateString();
  return today ? hours : `${moment.toLocaleDateString("en-CA")} ${hours}`;
}

/** A short message at the edge of the page; it goes by itself. */
export function note(text, kind = "plain", seconds = 4) {
  const element = make("p", { class: `note ${kind}`, text });
  $("notes").append(element);
  while ($("notes").children.length > 3) $("notes").firstChild.remove();
  setTimeout(() => element.remove(), seconds * 1000);
}
