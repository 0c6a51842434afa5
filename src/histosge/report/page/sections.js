// Sections side by side: one gene, one range of colours, one view.

const $ = (id) => document.getElementById(id);
const genes = about.genes, FAINT = 0.55, OPACITY = 0.85;
// the view: µm from the middle of each section, and the zoom; 1 shows the largest section whole
const view = { x: 0, y: 0, zoom: 1 };
const largest = Math.max(...about.sections.map(({ home }) => Math.max(home[2] - home[0], home[3] - home[1])));
let chosen = about.first, range = [0, 1];

class Panel {
  constructor(figure, section, at) {
    Object.assign(this, { section, at, view: figure.querySelector(".view"), image: figure.querySelector(".image"), words: figure.querySelector("figcaption span"), absent: figure.querySelector("p") });
    this.layer = new Layer(figure.querySelector(".map"));
    this.layer.canvas.style.opacity = OPACITY;
    this.middle = [(section.home[0] + section.home[2]) / 2, (section.home[1] + section.home[3]) / 2];
    this.geometry = { xy: null, radius: section.radius_um, overlap: 0.8, clip: areaOf(section.covered) };
    if (section.image) {
      this.picture = new Image();
      this.picture.onload = () => this.draw();
      this.picture.src = `data:image/jpeg;base64,${section.image.jpeg}`;
    }
  }

  async values(gene) {
    const row = this.section.rows[gene], { k, scores } = this.section.factors || {};
    if (row < 0) return null;
    const name = (part) => `${part}-${this.at}`;
    const [loadings, steps, offset, all] = await Promise.all([buffer(name("loadings")), floats(name("loading_step")), floats(name("offset")), codes(name("scores"), scores.bits)]);
    const own = new Int16Array(loadings), values = new Float32Array(this.section.n).fill(offset[row]);
    for (let j = 0; j < k; j++) {
      const weight = own[row * k + j] * steps[row], step = weight * scores.step[j], base = weight * scores.low[j];
      for (let i = 0; i < values.length; i++) values[i] += base + step * all[j * values.length + i];
    }
    return values.map((value) => Math.max(value, 0));
  }

  async accuracy(gene) {
    const row = this.section.rows[gene];
    const number = async (part) => (this.section.tables.includes(part) ? (await floats(`${part}-${this.at}`))[row] : NaN);
    const [r, givenDepth] = await Promise.all(["r_loo", "r_loo_given_depth"].map(number));
    return [[r, ""], [givenDepth, "given depth "]].filter(([value]) => Number.isFinite(value)).map(([value, words]) => words + value.toFixed(2)).join(", ");
  }

  // css pixels per µm, and css pixels of 0 µm
  visible() {
    const { clientWidth: width, clientHeight: height } = this.view, scale = view.zoom * Math.min(width, height) / largest;
    return { scale, x: width / 2 - (this.middle[0] + view.x) * scale, y: height / 2 - (this.middle[1] + view.y) * scale, width, height };
  }

  draw() {
    const now = this.visible(), ratio = window.devicePixelRatio || 1;
    this.image.width = now.width * ratio;
    this.image.height = now.height * ratio;
    const context = this.image.getContext("2d");
    if (this.picture && this.picture.complete) {
      context.setTransform(now.scale * ratio, 0, 0, now.scale * ratio, now.x * ratio, now.y * ratio);
      context.globalAlpha = FAINT;
      context.drawImage(this.picture, 0, 0, ...this.section.image.size_um);
    }
    this.layer.draw(now);
  }

  paint(values) {
    this.absent.hidden = Boolean(values);
    this.absent.textContent = values ? "" : `${genes[chosen]} is not predicted in this section.`;
    if (values) this.layer.show(this.geometry, { bins: bins(values, range), table: lookup("viridis", false) }); else this.layer.hide();
  }
}

function areaOf(borders) {
  if (!borders.length) return null;
  const path = new Path2D();
  for (const border of borders) {
    for (let i = 0; i < border.length; i += 2) path[i ? "lineTo" : "moveTo"](border[i], border[i + 1]);
    path.closePath();
  }
  return path;
}

const panels = [...document.querySelectorAll("figure")].map((figure, at) => new Panel(figure, about.sections[at], at));

async function choose(gene) {
  chosen = gene;
  const values = await Promise.all(panels.map((panel) => panel.values(gene)));
  if (gene !== chosen) return;
  const all = new Float32Array(values.reduce((sum, own) => sum + (own ? own.length : 0), 0));
  values.reduce((at, own) => { if (own) all.set(own, at); return at + (own ? own.length : 0); }, 0);
  range = limits(all);
  panels.forEach((panel, at) => panel.paint(values[at]));
  const accuracies = await Promise.all(panels.map((panel) => panel.accuracy(gene)));
  panels.forEach((panel, at) => { panel.words.textContent = values[at] ? (accuracies[at] ? `r ${accuracies[at]}` : "accuracy unknown") : ""; });
  const [least, most] = extent(all);
  $("low").textContent = `${least < range[0] - 0.005 ? "≤\u202f" : ""}${range[0].toFixed(2)}`;
  $("high").textContent = `${most > range[1] + 0.005 ? "≥\u202f" : ""}${range[1].toFixed(2)}`;
  $("search").value = genes[gene];
  $("status").textContent = `${genes[gene]} in ${values.filter(Boolean).length} of ${panels.length} sections`;
  location.replace(`#gene=${encodeURIComponent(genes[gene])}`);
}

function moved() {
  for (const panel of panels) panel.draw();
  const { scale } = panels[0].visible(), most = 150 / scale, power = 10 ** Math.floor(Math.log10(most));
  const length = [5, 2, 1].map((step) => step * power).find((step) => step <= most);
  $("scale-line").style.width = `${length * scale}px`;
  $("scale-text").textContent = length >= 1000 ? `${length / 1000} mm` : `${+length.toPrecision(1)} µm`;
}

function zoomBy(factor, dx = 0, dy = 0) {
  const zoom = Math.max(0.5, Math.min(60, view.zoom * factor)), { scale } = panels[0].visible(), shift = 1 / scale - view.zoom / (scale * zoom);
  Object.assign(view, { zoom, x: view.x + dx * shift, y: view.y + dy * shift });
  moved();
}

function rowNamed(typed) {
  const word = typed.trim().toLowerCase();
  const row = genes.findIndex((name) => name.toLowerCase() === word || name.toLowerCase().split(" ").includes(word));
  if (row >= 0) return row;
  const alias = Object.entries(about.aliases).find(([, names]) => names.some((name) => name.toLowerCase() === word));
  return alias ? +alias[0] : -1;
}

function search() {
  const typed = $("search").value, row = rowNamed(typed);
  $("no-gene").hidden = row >= 0;
  $("no-gene").textContent = row >= 0 ? "" : `No gene “${typed}” is on this page. It has genes that are reliable in a section, and known markers.`;
  if (row >= 0) choose(row);
}

function wirePanel({ view: box }) {
  const held = new Map();
  box.addEventListener("pointerdown", (event) => { box.setPointerCapture(event.pointerId); held.set(event.pointerId, event); });
  for (const name of ["pointerup", "pointercancel"]) box.addEventListener(name, (event) => held.delete(event.pointerId));
  box.addEventListener("pointermove", (event) => {
    const last = held.get(event.pointerId);
    if (!last) return;
    const { scale } = panels[0].visible(), others = [...held.values()].filter((pointer) => pointer.pointerId !== event.pointerId);
    if (others.length) {
      const gap = (pointer) => Math.hypot(pointer.clientX - others[0].clientX, pointer.clientY - others[0].clientY);
      zoomBy(gap(event) / Math.max(gap(last), 1));
    } else {
      view.x -= (event.clientX - last.clientX) / scale;
      view.y -= (event.clientY - last.clientY) / scale;
      moved();
    }
    held.set(event.pointerId, event);
  });
  box.addEventListener("wheel", (event) => {
    event.preventDefault();
    const at = box.getBoundingClientRect();
    zoomBy(Math.exp(-event.deltaY / 400), event.clientX - at.left - at.width / 2, event.clientY - at.top - at.height / 2);
  }, { passive: false });
  box.addEventListener("keydown", (event) => {
    const step = 0.1 * largest / view.zoom, moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (moves[event.key]) { view.x += moves[event.key][0]; view.y += moves[event.key][1]; moved(); }
    else if (event.key === "+" || event.key === "=") zoomBy(1.6);
    else if (event.key === "-") zoomBy(1 / 1.6);
    else if (event.key === "0") whole();
    else return;
    event.preventDefault();
  });
}

function whole() {
  Object.assign(view, { x: 0, y: 0, zoom: 1 });
  moved();
}

async function begin() {
  $("names").replaceChildren(...genes.map((name, row) => new Option((about.aliases[row] || []).join(", "), name)));
  $("gradient").style.background = gradient("viridis", false);
  for (const panel of panels) { panel.geometry.xy = await floats(`xy-${panel.at}`); wirePanel(panel); }
  moved();
  $("search").addEventListener("change", search);
  $("zoom-in").addEventListener("click", () => zoomBy(1.6));
  $("zoom-out").addEventListener("click", () => zoomBy(1 / 1.6));
  $("fit").addEventListener("click", whole);
  addEventListener("resize", moved);
  const asked = rowNamed(new URLSearchParams(location.hash.slice(1)).get("gene") || "");
  await choose(asked >= 0 ? asked : about.first);
  document.body.dataset.ready = "true";
}

// for scripts
window.histosge = { about, genes, view, panels, choose, get range() { return range; }, ready: begin() };
