// Outlines of cells: painted row by row of pixels, and found under the pointer.

// below this radius in pixels a cell is one pixel; from this radius on its border is drawn
const DOT_PX = 1.1, BORDER_PX = 4;
let outlines = null;

async function loadOutlines(xy) {
  if (!about.outlines) return;
  const size = new Uint16Array(await buffer("outline_size")), steps = new Int16Array(await buffer("outline_steps"));
  const n = size.length, first = new Uint32Array(n + 1), vertices = new Float32Array(steps.length), radius = new Float32Array(n);
  for (let i = 0, at = 0; i < n; i++) {
    let x = 0, y = 0, most = 0;
    for (let k = 0; k < size[i]; k++, at++) {
      x += steps[2 * at]; y += steps[2 * at + 1];
      const dx = x * about.outlines.step_um, dy = y * about.outlines.step_um;
      vertices[2 * at] = xy[2 * i] + dx; vertices[2 * at + 1] = xy[2 * i + 1] + dy;
      most = Math.max(most, dx * dx + dy * dy);
    }
    first[i + 1] = at;
    radius[i] = Math.sqrt(most);
  }
  outlines = { n, xy, first, vertices, radius, median: radius.slice().sort()[n >> 1] };
}

// write the number of the cell into each pixel whose centre lies in its outline; of cells that overlap the last is on top
function fillOutlines({ xy, first, vertices, radius }, nearest, width, height, grow, left, top) {
  const crossings = [];
  for (let i = 0; i < radius.length; i++) {
    const cx = xy[2 * i] * grow + left, cy = xy[2 * i + 1] * grow + top, reach = radius[i] * grow;
    if (cx < -reach || cy < -reach || cx > width + reach || cy > height + reach) continue;
    if (reach < DOT_PX) {
      const column = Math.floor(cx), row = Math.floor(cy);
      if (column >= 0 && row >= 0 && column < width && row < height) nearest[row * width + column] = i;
      continue;
    }
    const from = first[i], to = first[i + 1];
    const stop = Math.min(height - 1, Math.floor(cy + reach));
    for (let row = Math.max(0, Math.floor(cy - reach)); row <= stop; row++) {
      const y = row + 0.5;
      crossings.length = 0;
      let x0 = vertices[2 * to - 2] * grow + left, y0 = vertices[2 * to - 1] * grow + top;
      for (let k = from; k < to; k++) {
        const x1 = vertices[2 * k] * grow + left, y1 = vertices[2 * k + 1] * grow + top;
        if ((y0 > y) !== (y1 > y)) crossings.push(x0 + (y - y0) * (x1 - x0) / (y1 - y0));
        x0 = x1; y0 = y1;
      }
      crossings.sort((a, b) => a - b);
      for (let k = 0; k + 1 < crossings.length; k += 2) {
        const begin = Math.max(0, Math.ceil(crossings[k] - 0.5)), end = Math.min(width - 1, Math.floor(crossings[k + 1] - 0.5));
        for (let p = row * width + begin; p <= row * width + end; p++) nearest[p] = i;
      }
    }
  }
}

// whether a pixel of a cell is at its border
function onBorder(nearest, p, width) {
  const cell = nearest[p];
  return nearest[p - 1] !== cell || nearest[p - width] !== cell || nearest[p + 1] === -1 || nearest[p + width] === -1;
}

function ringOf(cell) {
  const ring = [];
  for (let k = outlines.first[cell]; k < outlines.first[cell + 1]; k++) ring.push([outlines.vertices[2 * k], outlines.vertices[2 * k + 1]]);
  return ring;
}

// the cell whose outline holds a position, the last of several; −1 where there is none
function cellAt(x, y) {
  for (let i = outlines.n - 1; i >= 0; i--) {
    const dx = outlines.xy[2 * i] - x, dy = outlines.xy[2 * i + 1] - y;
    if (dx * dx + dy * dy <= outlines.radius[i] ** 2 && inside(ringOf(i), x, y)) return i;
  }
  return -1;
}
