// Locations as pixels: each pixel has the value of the nearest location within reach, for tiles of any layout.

const MOST_PIXELS = 2_600_000;

class Layer {
  constructor(wrapper) {
    this.wrapper = wrapper;
    this.canvas = wrapper.querySelector("canvas");
    this.context = this.canvas.getContext("2d");
    this.view = null;
    this.cost = 0;
    this.geometry = null;
  }

  // geometry: {xy (µm, pairs), radius (µm)}; colours: {bins, table}
  show(geometry, colours) {
    const moved = this.geometry !== geometry;
    this.geometry = geometry;
    this.colours = colours;
    if (!this.view) return;
    if (moved) this.render(); else this.colour();
  }

  hide() {
    this.geometry = this.colours = null;
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  // view: {scale (css px per µm), x, y (css px of 0 µm), width, height}
  draw(view) {
    const ratio = Math.min(window.devicePixelRatio || 1, Math.sqrt(MOST_PIXELS / (view.width * view.height)));
    const width = Math.max(1, Math.round(view.width * ratio)), height = Math.max(1, Math.round(view.height * ratio));
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.nearest = new Int32Array(width * height);
      this.squares = new Float32Array(width * height);
      this.image = this.context.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    this.view = { ...view, ratio };
    this.canvas.style.transform = "";
    if (this.geometry) this.render();
  }

  render() {
    const started = performance.now();
    this.stamp();
    this.colour();
    // milliseconds; a slow picture is shifted first and drawn again later
    this.cost = performance.now() - started;
  }

  // shift the current picture until there is time to draw it again
  follow(view) {
    if (!this.view) return;
    const grown = view.scale / this.view.scale;
    const x = view.x - this.view.x * grown, y = view.y - this.view.y * grown;
    this.canvas.style.transform = `matrix(${grown},0,0,${grown},${x},${y})`;
  }

  stamp() {
    const { width, height } = this.canvas, { nearest, squares } = this;
    const { xy, radius } = this.geometry, { scale, x, y, ratio } = this.view;
    const grow = scale * ratio, left = x * ratio, top = y * ratio;
    this.bordered = false;
    if (this.geometry.outlines) {
      nearest.fill(-1);
      squares.fill(0);
      this.radius = 1;
      this.bordered = this.geometry.outlines.median * grow > BORDER_PX;
      return fillOutlines(this.geometry.outlines, nearest, width, height, grow, left, top);
    }
    // adjacent tiles overlap a little, so that no seam shows
    this.radius = Math.max(radius * grow + (this.geometry.overlap || 0), 0.8);
    const reach = this.radius + 0.5, reach2 = reach * reach;
    nearest.fill(-1);
    squares.fill(3e38);
    for (let i = 0, n = xy.length / 2; i < n; i++) {
      if (this.geometry.shown && !shownLocations[i]) continue;
      const cx = xy[2 * i] * grow + left, cy = xy[2 * i + 1] * grow + top;
      if (cx < -reach || cy < -reach || cx > width + reach || cy > height + reach) continue;
      const last = Math.min(height - 1, Math.floor(cy + reach - 0.5));
      for (let row = Math.max(0, Math.ceil(cy - reach - 0.5)); row <= last; row++) {
        const dy = row + 0.5 - cy, rest = reach2 - dy * dy;
        if (rest < 0) continue;
        const half = Math.sqrt(rest);
        const start = Math.max(0, Math.ceil(cx - half - 0.5)), stop = Math.min(width - 1, Math.floor(cx + half - 0.5));
        let dx = start + 0.5 - cx;
        for (let p = row * width + start, end = row * width + stop; p <= end; p++, dx++) {
          const square = dx * dx + dy * dy;
          if (square < squares[p]) { squares[p] = square; nearest[p] = i; }
        }
      }
    }
  }

  // what lies beyond the area of the locations is cleared: discs of the outermost ones would make a scalloped border
  clip() {
    const { scale, x, y, ratio } = this.view;
    this.context.save();
    this.context.globalCompositeOperation = "destination-in";
    this.context.setTransform(scale * ratio, 0, 0, scale * ratio, x * ratio, y * ratio);
    this.context.fill(this.geometry.clip, "evenodd");
    this.context.restore();
  }

  colour() {
    if (!this.colours || !this.pixels) return;
    const { nearest, squares, pixels } = this, { width } = this.canvas, { bins: codes, table } = this.colours;
    const rim = Math.max(this.radius - 0.5, 0) ** 2, edge = this.radius + 0.5;
    for (let p = 0; p < pixels.length; p++) {
      const point = nearest[p];
      if (point < 0) { pixels[p] = 0; continue; }
      let colour = table[codes[point]];
      // a darker border between cells, which are often of nearly the same colour
      if (this.bordered && onBorder(nearest, p, width)) colour = (colour & 0xff000000) | ((colour >>> 1) & 0x7f7f7f);
      if (squares[p] > rim) {
        const share = Math.max(0, Math.min(1, edge - Math.sqrt(squares[p])));
        colour = (colour & 0xffffff) | (((colour >>> 24) * share) << 24);
      }
      pixels[p] = colour;
    }
    this.context.putImageData(this.image, 0, 0);
    if (this.geometry.clip) this.clip();
  }
}

// the location nearest to a position, within reach, of those that count; −1 where there is none
function nearestTo(xy, x, y, reach, counts = () => true) {
  let best = -1, least = reach * reach;
  for (let i = 0, n = xy.length / 2; i < n; i++) {
    const dx = xy[2 * i] - x, dy = xy[2 * i + 1] - y, square = dx * dx + dy * dy;
    if (square <= least && counts(i)) { least = square; best = i; }
  }
  return best;
}
