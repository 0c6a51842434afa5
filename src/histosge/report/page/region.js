// A region, drawn or taken from the view: its mean with an interval, its locations as CSV, its border and its cells as GeoJSON.

const Z90 = 1.6448536269514722;

function inside(ring, x, y) {
  let odd = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const [xi, yi] = ring[i], [xj, yj] = ring[j];
    if ((yi > y) !== (yj > y) && x < (xj - xi) * (y - yi) / (yj - yi) + xi) odd = !odd;
  }
  return odd;
}

// outlines of files may have holes
const holesOf = (ring) => ring.holes || [];

function within(ring, xy) {
  const xs = ring.map((corner) => corner[0]), ys = ring.map((corner) => corner[1]);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const rows = [];
  for (let i = 0; i < xy.length / 2; i++) {
    const x = xy[2 * i], y = xy[2 * i + 1];
    if (x >= left && x <= right && y >= top && y <= bottom && inside(ring, x, y) && !holesOf(ring).some((hole) => inside(hole, x, y))) rows.push(i);
  }
  return rows;
}

function areaOf(ring) {
  let twice = 0;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) twice += ring[j][0] * ring[i][1] - ring[i][0] * ring[j][1];
  return Math.abs(twice) / 2;
}

function mean(values, rows) {
  let sum = 0;
  for (const row of rows) sum += values[row];
  return rows.length ? sum / rows.length : NaN;
}

// Errors of neighbouring locations are correlated, so the error of their mean does not shrink with their number.
// The mean of the standard deviations is its upper bound: the interval is conservative.
function summary(ring, now) {
  const locations = within(ring, tables.locationsXY).filter(isShown);
  const spots = now.measured ? within(ring, tables.spotsXY) : [];
  const centre = mean(now.predicted, locations), sd = now.sd ? mean(now.sd, locations) : null;
  return {
    locations, spots, area_um2: areaOf(ring) - holesOf(ring).reduce((sum, hole) => sum + areaOf(hole), 0), mean: centre, sd,
    low: sd === null ? null : Math.max(0, centre - Z90 * sd), high: sd === null ? null : centre + Z90 * sd,
    measured: spots.length ? mean(now.measured.values, spots) : null,
  };
}

function csv(region, now, ids, spotOf, label) {
  const rows = [["location", "x_um", "y_um", "x_px", "y_px", "gene", "predicted_log1p_cp10k", "sd", "measured_log1p_cp10k", "domain", ...(classesAt < 0 ? [] : ["class"])]];
  const [x0, y0] = frame.origin;
  for (const point of region.locations) {
    const x = tables.locationsXY[2 * point] + x0, y = tables.locationsXY[2 * point + 1] + y0, spot = spotOf[point];
    rows.push([ids[point], x.toFixed(2), y.toFixed(2), (x / frame.mpp).toFixed(2), (y / frame.mpp).toFixed(2), now.gene,
      now.predicted[point].toFixed(4), now.sd ? now.sd[point].toFixed(4) : "",
      now.measured && spot >= 0 ? now.measured.values[spot].toFixed(4) : "", state.labels === classesAt ? "" : label(point), ...(classesAt < 0 ? [] : [label(point, classesAt)])]);
  }
  // a spreadsheet runs a text that begins like a formula; numbers stay numbers
  const plain = (text) => (/^[=+\-@\t\r]/.test(text) && !Number.isFinite(Number(text)) ? `'${text}` : text);
  const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const cell = (text) => quoted(plain(text));
  return rows.map((row) => row.map((item) => cell(String(item))).join(",")).join("\n") + "\n";
}

// As QuPath imports it: an annotation, in pixels of the full-resolution image; with the cells inside, where they have outlines.
function geojson(ring, region, now, ids) {
  const measurements = { locations: region.locations.length, "area µm²": +region.area_um2.toFixed(1),
    [`${now.gene} mean log1p(CP10k)`]: +region.mean.toFixed(4) };
  if (region.sd !== null) measurements[`${now.gene} sd`] = +region.sd.toFixed(4);
  const cells = outlines ? region.locations.map((cell) => cellFeature(cell, now, ids)) : [];
  return JSON.stringify({ type: "FeatureCollection", features: [{
    type: "Feature", id: "region-1", geometry: polygonOf(ring),
    properties: { objectType: "annotation", name: `${about.title} region`, measurements },
  }, ...cells] }, null, 1) + "\n";
}

function polygonOf(ring) {
  const [x0, y0] = frame.origin;
  const closed = (line) => [...line, line[0]].map(([x, y]) => [+((x + x0) / frame.mpp).toFixed(2), +((y + y0) / frame.mpp).toFixed(2)]);
  return { type: "Polygon", coordinates: [ring, ...holesOf(ring)].map(closed) };
}

// a cell with its id, by which QuPath knows it, its class and the value of the gene
function cellFeature(cell, now, ids) {
  const word = classesAt < 0 ? "" : labelOf(cell, classesAt);
  const properties = { objectType: "detection", name: ids[cell], measurements: { [now.gene]: +now.predicted[cell].toFixed(4) } };
  if (word) {
    const colour = parseInt(domainColour(about.labels[classesAt].names.indexOf(word)).slice(1), 16);
    properties.classification = { name: word, color: [colour >> 16, (colour >> 8) & 255, colour & 255] };
  }
  return { type: "Feature", id: ids[cell], geometry: polygonOf(ringOf(cell)), properties };
}

function download(name, text, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

class Lasso {
  constructor(stage, changed) {
    this.stage = stage;
    this.changed = changed;
    this.ring = null;
    this.on = false;
    this.area = $("lasso-area");
    this.shape = $("region-path");
    this.area.addEventListener("pointerdown", (event) => this.begin(event));
    this.area.addEventListener("pointermove", (event) => this.go(event));
    this.area.addEventListener("pointerup", () => this.finish());
    this.area.addEventListener("pointercancel", () => this.finish());
  }

  toggle(on = !this.on) {
    this.on = on;
    this.area.hidden = !on;
    $("lasso").setAttribute("aria-pressed", on);
    this.stage.element.classList.toggle("drawing", on);
  }

  at(event) {
    const box = this.area.getBoundingClientRect();
    return this.stage.toMicrometres(event.clientX - box.left, event.clientY - box.top);
  }

  begin(event) {
    event.preventDefault();
    this.area.setPointerCapture(event.pointerId);
    this.drawn = [this.at(event)];
  }

  go(event) {
    if (!this.drawn) return;
    this.drawn.push(this.at(event));
    this.draw(this.drawn);
  }

  finish() {
    const ring = this.drawn;
    this.drawn = null;
    if (!ring || ring.length < 3 || areaOf(ring) === 0) return this.draw(this.ring);
    this.toggle(false);
    this.set(ring);
  }

  // the visible rectangle as a region, for use without drawing
  view() {
    const { width, height } = this.stage.view();
    this.set([[0, 0], [width, 0], [width, height], [0, height]].map(([x, y]) => this.stage.toMicrometres(x, y)));
  }

  set(ring) {
    this.ring = ring;
    this.draw(ring);
    this.changed();
  }

  draw(ring) {
    this.shape.setAttribute("points", ring ? ring.map(([x, y]) => `${x},${y}`).join(" ") : "");
  }
}
