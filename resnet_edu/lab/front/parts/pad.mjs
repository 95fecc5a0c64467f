// A field to draw a digit in, and the 8x8 picture that becomes of it, as the data set was made.

import { drawn, html } from "./ui.mjs";

const [SIDE, WIDE] = [32, 24]; // pixels of the picture, and of the widest digit: those of the data set fill 8 by 6 cells
const RADIUS = 2.4; // of the pen in the picture: then as much ink is on it as in the data set, 312 of 1024 pixels

const near = (x, y, [ax, ay], [bx, by]) => {
  const [dx, dy] = [bx - ax, by - ay];
  const along = dx || dy ? Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy))) : 0;
  return (x - ax - along * dx) ** 2 + (y - ay - along * dy) ** 2 <= RADIUS ** 2;
};

/**
 * The 64 numbers 0 … 16 of `strokes` (lists of points [x, y]): cropped, scaled to the height of 32 pixels (narrower where it
 * would be too wide), centred, then counted in cells of 4x4 (Alpaydin and Kaynak 1998, "Optical Recognition of
 * Handwritten Digits"). Null if nothing is drawn.
 */
export function cellsOf(strokes) {
  const points = strokes.flat();
  if (!points.length) return null;
  const bounds = [0, 1].map((axis) => points.map((point) => point[axis])).map((all) => [Math.min(...all), Math.max(...all)]);
  const room = [(WIDE - 2 * RADIUS) / (bounds[0][1] - bounds[0][0]), (SIDE - 2 * RADIUS) / (bounds[1][1] - bounds[1][0])];
  const least = Math.min(...room); // a dot has none
  const scale = Number.isFinite(least) ? [least, Math.min(room[1], 2 * least)] : [1, 1];
  const put = (point) => point.map((value, axis) => SIDE / 2 + (value - (bounds[axis][0] + bounds[axis][1]) / 2) * scale[axis]);
  const lines = strokes.flatMap((stroke) => {
    const placed = stroke.map(put);
    return placed.length > 1 ? placed.slice(1).map((point, n) => [placed[n], point]) : [[placed[0], placed[0]]];
  });
  const cells = new Array(64).fill(0);
  for (let y = 0; y < SIDE; y++) for (let x = 0; x < SIDE; x++) {
    if (lines.some(([from, to]) => near(x + 0.5, y + 0.5, from, to))) cells[(y >> 2) * 8 + (x >> 2)]++;
  }
  return cells;
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const STEP = 1 / 16;
const inside = (value) => Math.min(1, Math.max(0, value));

/** `changed()` is called after every piece of a stroke; `strokes` are in shares of the field. */
export class Pad {
  constructor(changed) {
    Object.assign(this, { changed, strokes: [], cursor: [0.5, 0.5], down: false, keys: false });
  }

  clear() {
    Object.assign(this, { strokes: [], down: false });
  }

  add(point, begins) {
    if (begins) this.strokes.push([]);
    this.strokes.at(-1).push(point);
    this.changed();
  }

  pointer(event) {
    const { currentTarget: box, type, buttons } = event;
    if (type === "pointermove" && !(buttons && this.drawing)) return;
    event.preventDefault();
    const area = box.getBoundingClientRect();
    if (type === "pointerdown") {
      box.focus({ preventScroll: true });
      box.setPointerCapture?.(event.pointerId);
      Object.assign(this, { drawing: true, keys: false });
    }
    this.add([inside((event.clientX - area.left) / area.width), inside((event.clientY - area.top) / area.height)], type === "pointerdown");
  }

  key(event) {
    const way = ARROWS[event.key];
    if (!way && event.key !== " ") return;
    event.preventDefault();
    this.keys = true;
    if (way) this.cursor = this.cursor.map((value, axis) => inside(value + STEP * way[axis]));
    else this.down = !this.down;
    if (this.down) this.add([...this.cursor], !way);
    else this.changed();
  }

  draw(canvas) {
    const side = (canvas.width = canvas.height = 256);
    const context = canvas.getContext("2d");
    const colour = getComputedStyle(canvas).color;
    Object.assign(context, { lineWidth: 17, lineCap: "round", lineJoin: "round", strokeStyle: colour, fillStyle: colour });
    for (const stroke of this.strokes) {
      context.beginPath();
      context.moveTo(...stroke[0].map((value) => value * side));
      for (const point of [stroke[0], ...stroke]) context.lineTo(...point.map((value) => value * side));
      context.stroke();
    }
    if (!this.keys) return;
    const [x, y] = this.cursor.map((value) => value * side);
    Object.assign(context, { lineWidth: 3, strokeStyle: getComputedStyle(canvas).outlineColor });
    context.strokeRect(x - 8, y - 8, 16, 16);
    if (this.down) context.fillRect(x - 4, y - 4, 8, 8);
  }

  view() {
    const pointer = (event) => this.pointer(event);
    return html`<canvas class="rl-pad" tabindex="0" role="application" aria-label="Field to draw a digit in: with a finger, pen or mouse, or with the arrow keys, where the space bar sets the pen down and lifts it. The pen is ${this.down ? "down" : "up"}."
      @pointerdown=${pointer} @pointermove=${pointer} @pointerup=${() => { this.drawing = false; }} @keydown=${(event) => this.key(event)} ${drawn((canvas) => this.draw(canvas))}></canvas>`;
  }
}
