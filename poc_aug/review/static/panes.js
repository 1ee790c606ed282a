// Panes show one picture of a thing, or two in turn; panes of one kind share where they look and how large.
import { $, make, svg } from "./elements.js";
import { outlineOf } from "./outline.js";
import { address } from "./pictures.js";

const LARGEST = 40;
const SHARP_FROM = 2; // screen pixels per pixel: from here on each is a square
const VIEWS = {
  scene: { after: "after", before: "before", mask: "mask", shape: "shape" },
  close: { after: "close", before: "close-before", mask: "close-mask", shape: "close-shape" },
};

/** Only insertions have a mask of their own; its picture in a frame is as large as its box. */
const hasShape = (thing) => thing.kind === "insertions";

/** Where panes of one kind look: the middle in pixels of the picture, and CSS pixels per pixel. */
class Look {
  constructor() {
    this.mode = "whole";
    this.scale = 1;
    this.middle = [0, 0];
  }
}

export class Pane {
  constructor(element, pictures, look, { face = null } = {}) {
    Object.assign(this, { element, pictures, look, face });
    this.kind = element.dataset.kind;
    this.layer = make("div", { class: "layer" });
    this.images = make("div", { class: "images" });
    this.border = svg("svg", { class: "outline", "aria-hidden": "true", preserveAspectRatio: "none" });
    this.border.append(svg("path", { class: "under" }), svg("path", { class: "over" }));
    this.message = make("p", { class: "pane-message", text: "" });
    this.layer.append(this.images, this.border);
    element.prepend(this.layer, this.message);
    this.caption = element.querySelector("figcaption");
    this.fingers = new Map();
    for (const name of ["pointerdown", "pointermove", "pointerup", "pointercancel", "wheel", "dblclick"])
      element.addEventListener(name, this, { passive: false });
    new ResizeObserver(() => this.place()).observe(element);
  }

  url(face, thing = this.thing) {
    return address(thing.id, VIEWS[this.kind][face]);
  }

  show(thing, face, hasOutline) {
    this.thing = thing;
    this.current = this.face ?? face;
    this.hasOutline = hasOutline;
    this.draw();
  }

  draw() {
    if (!this.thing || this.element.offsetParent === null) return;
    const isAttempt = this.thing.kind === "rejected attempts";
    const url = this.url(isAttempt ? "after" : this.current);
    const image = this.pictures.ready(url);
    const name = { after: "After", before: "Before", mask: "Mask" }[this.current];
    this.caption.textContent = this.kind === "close" ? `Close-up · ${name.toLowerCase()}` : name;
    this.element.dataset.face = this.current;
    this.element.setAttribute("aria-label", `${this.caption.textContent} of ${this.thing.label} in ${this.thing.key}`);
    if (!image) {
      const failed = this.thing.picture === false ? "No picture of this attempt was kept" : this.pictures.failed(url);
      // The picture of another thing must not stay under the new name.
      if (this.shownId !== this.thing.id || failed) this.images.replaceChildren();
      this.message.textContent = failed ?? "";
      this.element.classList.toggle("is-reading", !failed);
    } else {
      this.message.textContent = "";
      this.element.classList.remove("is-reading");
      // A picture has one place in the page: a second pane shows a copy, which shares what was decoded.
      const own = image.isConnected && image.parentNode !== this.images ? image.cloneNode() : image;
      if (this.images.firstChild !== own) this.images.replaceChildren(own);
      this.size = [image.naturalWidth, image.naturalHeight];
      this.shownId = this.thing.id;
    }
    this.shown = image ? url : null;
    this.element.dataset.shown = this.shown ?? "";
    this.outline();
    this.place();
  }

  shape() {
    return this.thing && hasShape(this.thing) ? this.pictures.ready(this.url("shape")) : null;
  }

  outline() {
    const shape = this.hasOutline && this.current !== "mask" && this.shown ? this.shape() : null;
    this.border.classList.toggle("is-on", Boolean(shape));
    if (!shape) return;
    const [top, left] = this.kind === "scene" ? this.thing.box : [0, 0];
    this.border.setAttribute("viewBox", `0 0 ${this.size[0]} ${this.size[1]}`);
    for (const child of this.border.children) {
      child.setAttribute("d", outlineOf(shape).path);
      child.setAttribute("transform", `translate(${left} ${top})`);
    }
  }

  get room() {
    return [this.element.clientWidth, this.element.clientHeight];
  }

  wholeScale() {
    const [width, height] = this.room;
    return Math.min(width / this.size[0], height / this.size[1]);
  }

  place() {
    if (!this.size || !this.room[0]) return;
    const { look } = this;
    if (look.mode === "whole") {
      this.scale = this.wholeScale();
      this.middle = [this.size[0] / 2, this.size[1] / 2];
    } else if (look.mode === "object") {
      this.lookAtObject();
    } else {
      this.scale = look.scale;
      this.middle = [...look.middle];
    }
    this.middle = this.kept(this.middle, this.scale);
    const [width, height] = this.room;
    const style = this.layer.style;
    style.width = `${this.size[0] * this.scale}px`;
    style.height = `${this.size[1] * this.scale}px`;
    style.transform = `translate(${width / 2 - this.middle[0] * this.scale}px, ${height / 2 - this.middle[1] * this.scale}px)`;
    this.layer.classList.toggle("is-sharp", this.scale * devicePixelRatio >= SHARP_FROM);
    this.element.dataset.scale = this.scale.toFixed(4);
    this.element.dispatchEvent(new CustomEvent("placed", { bubbles: true }));
  }

  lookAtObject() {
    const box = this.objectBox();
    const [width, height] = this.room;
    this.scale = this.wholeScale();
    this.middle = [this.size[0] / 2, this.size[1] / 2];
    if (!box) return;
    this.scale = Math.min(16, Math.max(this.scale, Math.min((0.6 * width) / box.width, (0.6 * height) / box.height)));
    this.middle = [box.left + box.width / 2, box.top + box.height / 2];
  }

  /** Where the object is in the picture; null if that is not known. */
  objectBox() {
    if (!hasShape(this.thing)) return null;
    if (this.kind === "scene") {
      const [top, left, height, width] = this.thing.box;
      return { left, top, width, height };
    }
    const shape = this.shape();
    const box = shape ? outlineOf(shape).box : null;
    return box && { left: box.left, top: box.top, width: box.right - box.left + 1, height: box.bottom - box.top + 1 };
  }

  /** Enlarges around a point of the pane; its middle unless told. */
  zoom(factor, at = null) {
    if (!this.size || !this.room[0]) return;
    const [width, height] = this.room;
    const [x, y] = at ?? [width / 2, height / 2];
    const scale = Math.min(LARGEST, Math.max(this.wholeScale() * 0.5, this.scale * factor));
    const point = [this.middle[0] + (x - width / 2) / this.scale, this.middle[1] + (y - height / 2) / this.scale];
    this.look.mode = "free";
    this.look.scale = scale;
    this.look.middle = this.kept([point[0] - (x - width / 2) / scale, point[1] - (y - height / 2) / scale], scale);
    this.changed();
  }

  pan(dx, dy) {
    if (!this.size) return;
    this.look.scale = this.scale;
    this.look.middle = this.kept([this.middle[0] - dx / this.scale, this.middle[1] - dy / this.scale], this.scale);
    this.look.mode = "free";
    this.changed();
  }

  /** A middle at which nothing beside the picture is shown where it is larger than the pane. */
  kept(middle, scale) {
    return middle.map((at, axis) => {
      const half = this.room[axis] / 2 / scale;
      return 2 * half >= this.size[axis] ? this.size[axis] / 2 : Math.min(this.size[axis] - half, Math.max(half, at));
    });
  }

  changed() {
    this.element.dispatchEvent(new CustomEvent("moved", { bubbles: true, detail: this.kind }));
  }

  handleEvent(event) {
    const box = this.element.getBoundingClientRect();
    const at = [event.clientX - box.left, event.clientY - box.top];
    if (event.type === "wheel") {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), at);
    } else if (event.type === "dblclick") {
      this.look.mode = this.look.mode === "whole" ? "object" : "whole";
      this.changed();
    } else if (event.type === "pointerdown" && event.button === 0) {
      this.element.setPointerCapture(event.pointerId);
      this.fingers.set(event.pointerId, at);
    } else if (event.type === "pointermove" && this.fingers.has(event.pointerId)) {
      this.drag(event.pointerId, at);
    } else if (event.type !== "pointermove") {
      this.fingers.delete(event.pointerId);
    }
  }

  drag(finger, at) {
    const before = this.fingers.get(finger);
    const [other] = [...this.fingers].filter(([id]) => id !== finger).map(([, place]) => place);
    this.fingers.set(finger, at);
    if (other) {
      const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
      this.zoom(distance(at, other) / Math.max(1, distance(before, other)), [(at[0] + other[0]) / 2, (at[1] + other[1]) / 2]);
      this.pan((at[0] - before[0]) / 2, (at[1] - before[1]) / 2);
    } else if (Math.hypot(at[0] - before[0], at[1] - before[1]) > 0) {
      this.pan(at[0] - before[0], at[1] - before[1]);
    }
  }
}

const LAYOUTS = ["scene", "close", "four"];

/** All panes of the page, and what they have in common. */
export class Panes {
  constructor(pictures) {
    this.looks = { scene: new Look(), close: new Look() };
    this.scene = new Pane($("pane-scene"), pictures, this.looks.scene);
    this.close = new Pane($("pane-close"), pictures, this.looks.close);
    this.before = new Pane($("pane-before"), pictures, this.looks.scene, { face: "before" });
    this.mask = new Pane($("pane-mask"), pictures, this.looks.scene, { face: "mask" });
    this.all = [this.scene, this.close, this.before, this.mask];
    this.face = "after";
    this.hasOutline = false;
    this.layout = "scene";
    this.hasFrames = true;
    $("review").addEventListener("moved", (event) => {
      for (const pane of this.all) if (pane.kind === event.detail) pane.place();
    });
    $("review").addEventListener("placed", () => this.tellZoom());
  }

  get main() {
    return ["close", "alone"].includes(this.layout) ? this.close : this.scene;
  }

  show(thing) {
    if (thing.id !== this.thing?.id) {
      this.face = "after";
      for (const look of Object.values(this.looks)) if (look.mode === "free") look.mode = look.before ?? "whole";
    }
    this.thing = thing;
    this.draw();
  }

  draw() {
    if (!this.thing) return;
    for (const pane of this.all) pane.show(this.thing, this.face, this.hasOutline);
    for (const button of document.querySelectorAll("[data-face][type=button]"))
      button.setAttribute("aria-pressed", String(button.dataset.face === this.face));
    $("tool-outline").setAttribute("aria-pressed", String(this.hasOutline));
  }

  setFace(face) {
    if (face === "before" && !this.hasFrames) return;
    this.face = face;
    this.draw();
  }

  toggleOutline() {
    this.hasOutline = !this.hasOutline;
    this.draw();
  }

  /** Without the dataset there are close-ups alone. */
  withoutFrames() {
    this.hasFrames = false;
    this.setLayout("alone");
    for (const id of ["tool-blink", "tool-layout"]) $(id).disabled = true;
    document.querySelector("button[data-face=before]").disabled = true;
  }

  nextLayout() {
    if (this.hasFrames) this.setLayout(LAYOUTS[(LAYOUTS.indexOf(this.layout) + 1) % LAYOUTS.length]);
  }

  setLayout(layout) {
    $("review").classList.replace(`layout-${this.layout}`, `layout-${layout}`);
    this.layout = layout;
    this.draw();
  }

  /** The whole picture, the object, its pixels one to one, in turn. */
  nextZoom() {
    const look = this.main.look;
    if (look.mode === "whole") look.mode = "object";
    else if (look.mode === "object") {
      look.middle = this.main.middle ?? [0, 0];
      look.scale = Math.max(1, 4 / devicePixelRatio);
      look.mode = "free";
    } else look.mode = "whole";
    look.before = look.mode === "free" ? "object" : look.mode;
    this.main.changed();
  }

  whole() {
    for (const look of Object.values(this.looks)) look.mode = look.before = "whole";
    for (const pane of this.all) pane.place();
  }

  tellZoom() {
    const pane = this.main;
    $("zoom-level").textContent = pane.scale ? `${Math.round(pane.scale * devicePixelRatio * 100)} %` : "";
  }

  /** Addresses of what a thing needs, most urgent first. */
  urls(thing) {
    if (thing.kind === "rejected attempts") return thing.picture === false ? [] : [this.main.url("after", thing)];
    const faces = this.hasFrames ? ["after", "before", "shape", "mask"] : ["after", "shape", "mask"];
    if (!hasShape(thing)) faces.splice(faces.indexOf("shape"), 1);
    if (!this.hasFrames) return faces.map((face) => this.close.url(face, thing));
    return faces.flatMap((face) => [this.main.url(face, thing), (this.main === this.close ? this.scene : this.close).url(face, thing)]);
  }
}
