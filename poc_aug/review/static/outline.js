// The outline of a mask as a path along the borders of its pixels: as thin at any magnification.

const kept = new WeakMap();

/** `{path, width, height, box}` of a mask's picture; `box` is null if the mask is empty. */
export function outlineOf(image) {
  let outline = kept.get(image);
  if (!outline) {
    outline = trace(image);
    kept.set(image, outline);
  }
  return outline;
}

function trace(image) {
  const width = image.naturalWidth, height = image.naturalHeight;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const words = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
  const box = boxOf(words, width, height);
  if (!box) return { path: "", width, height, box };
  const { left, top, right, bottom } = box;
  const isInside = (x, y) => x >= left && x <= right && y >= top && y <= bottom && isMarked(words[y * width + x]);
  const parts = [];
  for (let y = top; y <= bottom + 1; y += 1) {
    let start = -1;
    for (let x = left; x <= right + 1; x += 1) {
      const isBorder = x <= right && isInside(x, y) !== isInside(x, y - 1);
      if (isBorder && start < 0) start = x;
      if (!isBorder && start >= 0) { parts.push(`M${start} ${y}H${x}`); start = -1; }
    }
  }
  for (let x = left; x <= right + 1; x += 1) {
    let start = -1;
    for (let y = top; y <= bottom + 1; y += 1) {
      const isBorder = y <= bottom && isInside(x, y) !== isInside(x - 1, y);
      if (isBorder && start < 0) start = y;
      if (!isBorder && start >= 0) { parts.push(`M${x} ${start}V${y}`); start = -1; }
    }
  }
  return { path: parts.join(""), width, height, box };
}

// Not black, and not see-through; a byte order in which alpha is the highest byte (all browsers' machines today).
const isMarked = (word) => (word & 0x00ffffff) !== 0 && word >>> 24 > 127;

function boxOf(words, width, height) {
  let left = width, right = -1, top = -1, bottom = -1;
  for (let y = 0; y < height; y += 1) {
    const row = y * width;
    for (let x = 0; x < width; x += 1) {
      if (!isMarked(words[row + x])) continue;
      if (top < 0) top = y;
      bottom = y;
      if (x < left) left = x;
      if (x > right) right = x;
    }
  }
  return right < 0 ? null : { left, top, right, bottom };
}
