// Input: buttons, keys, the divider, the pointer.

// in view below the layers: what cannot be pressed has its reason beside it
const WHY_NOT = {
  measured: "No measured values are in the folder of this run; make the report again with --section.",
  uncertainty: "This model estimates no uncertainty.",
  domains: "No domains are in the folder of this run; histosge domains computes them.",
};

function wire() {
  const why = [];
  for (const name of Object.keys(LAYERS)) {
    const button = $(`layer-${name}`);
    if (!available[name]()) {
      button.disabled = true;
      button.setAttribute("aria-describedby", "layers-why");
      why.push(WHY_NOT[name]);
    }
    button.addEventListener("click", () => choose(name));
  }
  $("layers").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const names = Object.keys(LAYERS).filter((name) => available[name]());
    const next = names[(names.indexOf(state.layer) + step + names.length) % names.length];
    choose(next);
    $(`layer-${next}`).focus();
  });
  $("layers-why").textContent = why.join(" ");
  $("layers-why").hidden = !why.length;
  wireWidth();
  wireSecond();
  wireImport();
  wireLink();
  $("opacity").addEventListener("input", (event) => { state.opacity = +event.target.value; paint(); });
  $("map").addEventListener("change", (event) => update({ map: event.target.value }));
  if ($("labels")) $("labels").addEventListener("change", (event) => update({ labels: +event.target.value, layer: "domains" }));
  for (const name of ["compare", "fade", "tiles", "outline", "tissue", "shared"]) {
    $(`is-${name}`).addEventListener("change", ({ target }) => (name === "compare" ? compare(target.checked) : update({ [name]: target.checked })));
  }
  if (!about.measured) for (const name of ["compare", "shared"]) {
    $(`is-${name}`).disabled = true;
    $(`is-${name}`).setAttribute("aria-describedby", "layers-why");
  }
  $("zoom-in").addEventListener("click", () => stage.zoom(1.6));
  $("zoom-out").addEventListener("click", () => stage.zoom(1 / 1.6));
  $("fit").addEventListener("click", () => stage.fit());
  $("lasso").addEventListener("click", () => lasso.toggle());
  $("in-view").addEventListener("click", () => lasso.view());
  $("region-clear").addEventListener("click", clearRegion);
  $("save-picture").addEventListener("click", savePicture);
  $("notice-close").addEventListener("click", () => { $("notice").hidden = true; });
  $("save-csv").addEventListener("click", () => save("csv"));
  $("save-geojson").addEventListener("click", () => save("geojson"));
  $("about-open").addEventListener("click", () => drawer());
  $("about-more").addEventListener("click", () => drawer(true));
  $("about-close").addEventListener("click", () => drawer(false));
  divider();
  pointer();
  document.addEventListener("keydown", keys);
}

function choose(layer) {
  if (!available[layer]()) return;
  update({ layer, compare: state.compare && layer !== "measured" });
}

function compare(on = !state.compare) {
  if (!about.measured) return;
  update({ compare: on, layer: on && state.layer === "measured" ? "predicted" : state.layer });
}

function clearRegion() {
  lasso.toggle(false);
  lasso.set(null);
  regionCard();
}

function drawer(open = $("about-run").hidden, asked = true) {
  $("about-run").hidden = !open;
  $("about-open").setAttribute("aria-expanded", open);
  document.body.classList.toggle("with-drawer", open);
  if (open && asked) $("about-close").focus({ preventScroll: true });
}

function divider() {
  const handle = $("divider");
  const move = (event) => {
    const box = stage.element.getBoundingClientRect();
    state.split = Math.max(0.02, Math.min(0.98, (event.clientX - box.left) / box.width));
    paint();
  };
  handle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    handle.setPointerCapture(event.pointerId);
    handle.focus();
    handle.addEventListener("pointermove", move);
  });
  for (const name of ["pointerup", "pointercancel"]) handle.addEventListener(name, () => handle.removeEventListener("pointermove", move));
  handle.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    state.split = Math.max(0.02, Math.min(0.98, state.split + step));
    paint();
  });
}

function pointer() {
  let last = null;
  const refresh = () => { if (last) readout(last); };
  stage.element.addEventListener("pointermove", (event) => {
    if (event.target.closest(".card, .toolbar, #divider")) { $("tip").hidden = true; last = null; return; }
    last = event;
    readout(event);
  });
  stage.element.addEventListener("pointerleave", () => { $("tip").hidden = true; last = null; });
  stage.addEventListener("moved", refresh);
}

function keys(event) {
  const typing = event.target.closest("input:not([type=checkbox]):not([type=range]), select, textarea");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const range = event.target.closest("input[type=range]");
  const layer = Object.keys(LAYERS).find((name) => LAYERS[name].key === event.key);
  const moves = { ArrowLeft: [-0.12, 0], ArrowRight: [0.12, 0], ArrowUp: [0, -0.12], ArrowDown: [0, 0.12] };
  if (layer) choose(layer);
  else if (event.key === "/") { $("search").focus(); $("search").select(); }
  else if (event.key === "[" || event.key === "]") widen(event.key === "]" ? 1 : -1);
  else if (event.key === "+" || event.key === "=") stage.zoom(1.6);
  else if (event.key === "-") stage.zoom(1 / 1.6);
  else if (event.key === "0") stage.fit();
  else if (event.key === "c") compare();
  else if (event.key === "l") lasso.toggle();
  else if (event.key === "v") lasso.view();
  else if (event.key === "s") savePicture();
  else if (event.key === "o") update({ outline: !state.outline });
  else if (event.key === "t") update({ tiles: !state.tiles });
  else if (event.key === "i" || event.key === "?") drawer();
  else if (event.key === "Escape") { if (!$("notice").hidden) $("notice").hidden = true; else if (lasso.on || lasso.ring) clearRegion(); else drawer(false); }
  else if (moves[event.key] && !range && !event.target.closest("#about-run")) stage.pan(...moves[event.key]);
  else return;
  event.preventDefault();
}

async function begin() {
  stage = new Stage();
  await loadTables();
  locationsGeometry.tiles.xy = locationsGeometry.onTissue.xy = locationsGeometry.dots.xy = tables.locationsXY;
  await loadOutlines(tables.locationsXY);
  if (outlines) locationsGeometry.cells = { xy: tables.locationsXY, radius: about.locations.radius_um, outlines };
  if (about.cells) ids = await lines("ids");
  if (spotsGeometry) spotsGeometry.xy = tables.spotsXY;
  spotOf = await integers("spot_of");
  shownLocations = new Uint8Array(await buffer("shown"));
  labelCodes = await Promise.all(about.labels.map(async (_, index) => new Uint8Array(await buffer(`labels-${index}`))));
  list = new GeneList(chooseGene);
  lasso = new Lasso(stage, regionCard);
  wire();
  list.search();
  calibrationChart();
  if (innerWidth >= 1500) drawer(true, false);
  await stage.ready;
  await follow(location.hash);
  document.body.dataset.ready = "true";
  keepLink();
}

// for scripts: the state of the page and its numbers
window.histosge = { state, now, genes, about, update, listed: (by) => list.order(by), ready: begin(), get stage() { return stage; }, get lasso() { return lasso; } };
