// Pictures made of cells, each with a colour of viridis.

import { viridis } from "./strip.mjs";
import { drawn, html } from "./ui.mjs";

/** `shares` are numbers from 0 to 1, row after row of `columns`; what is no number stays empty. `label` says what is seen. */
export const heat = (label, columns, shares) => html`<canvas class="rl-heat" role="img" aria-label=${label} ${drawn((canvas) => {
  const rows = shares.length / columns;
  Object.assign(canvas, { width: columns, height: rows }); // which clears it
  canvas.style.aspectRatio = `${columns} / ${rows}`;
  const image = new ImageData(columns, rows);
  shares.forEach((share, n) => Number.isFinite(share) && image.data.set([...viridis(share), 255], 4 * n));
  canvas.getContext("2d").putImageData(image, 0, 0);
})}></canvas>`;

/** Share (percent) of points within ½ of the centre at which a map bends downward (resnet_edu.figures.landscape.not_convex). */
export function notConvex(loss, side, within = 0.5) {
  const at = (i, j) => loss[i * side + j];
  let [seen, bent] = [0, 0];
  for (let i = 1; i < side - 1; i++) for (let j = 1; j < side - 1; j++) {
    if (Math.hypot((2 * i) / (side - 1) - 1, (2 * j) / (side - 1) - 1) > within + 1e-9) continue;
    const aa = at(i + 1, j) - 2 * at(i, j) + at(i - 1, j), bb = at(i, j + 1) - 2 * at(i, j) + at(i, j - 1);
    const ab = (at(i + 1, j + 1) - at(i + 1, j - 1) - at(i - 1, j + 1) + at(i - 1, j - 1)) / 4;
    seen++;
    bent += !(aa * bb - ab ** 2 >= 0 && aa + bb >= 0);
  }
  return (100 * bent) / seen;
}
