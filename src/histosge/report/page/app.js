// One state, one way to change it: `update`. Everything on the page follows from it.

const LAYERS = {
  predicted: { key: "p", word: "predicted", unit: "log1p(CP10k)" },
  measured: { key: "m", word: "measured", unit: "log1p(CP10k)" },
  uncertainty: { key: "u", word: "uncertainty", unit: "± log1p(CP10k); bright is unsure" },
  domains: { key: "d", word: "domains", unit: "" },
};

const state = {
  row: -1, layer: "predicted", compare: false, split: 0.5, map: "viridis", opacity: 0.85, fade: false, tiles: true,
  outline: true, tissue: true, shared: false, labels: 0,
};
const now = { gene: "", predicted: null, sd: null, measured: null };
let stage, list, lasso, ids = null, spotOf = null, shownPlaces = null, labelCodes = [];
const isShown = (place) => !state.tissue || shownPlaces[place] > 0;

// a small value keeps a digit that says something
const number = (value) => (Number.isFinite(value) ? value.toFixed(value !== 0 && Math.abs(value) < 0.01 ? 4 : 3) : "–");
const many = (value) => value.toLocaleString("en").replaceAll(",", "\u202f");

const available = {
  predicted: () => true, measured: () => Boolean(about.measured), uncertainty: () => about.has_sd,
  domains: () => about.labels.length > 0,
};

async function update(change) {
  Object.assign(state, change);
  if ("row" in change) {
    const { row } = state;
    const [values, sd, found] = await Promise.all([predicted(row), uncertainty(row), measured(row)]);
    // another gene was chosen while this one was unpacked
    if (row !== state.row) return;
    Object.assign(now, { gene: genes[row], row, predicted: values, sd, measured: found });
  }
  paint();
  words();
  location.replace(`#gene=${encodeURIComponent(now.gene)}&layer=${state.layer}`);
}

const placesGeometry = {
  tiles: { xy: null, radius: about.places.reach_um, overlap: 0.8 }, dots: { xy: null, radius: about.places.radius_um },
};
const spotsGeometry = about.spots ? { xy: null, radius: about.spots.radius_um } : null;

function limitsOf(kind) {
  if (kind !== "uncertainty" && state.shared && now.measured) {
    const [a, b] = limits(now.predicted), [c, d] = limits(now.measured.values);
    return [Math.min(a, c), Math.max(b, d)];
  }
  const values = { predicted: now.predicted, uncertainty: now.sd, measured: now.measured && now.measured.values }[kind];
  return limits(values);
}

const mapOf = (kind) => (kind === "uncertainty" ? (state.map === "magma" ? "cividis" : "magma") : state.map);

function picture(kind) {
  const places = state.tiles ? placesGeometry.tiles : placesGeometry.dots;
  if (kind === "domains") {
    const labels = about.labels[state.labels], own = labelCodes[state.labels];
    const table = domainLookup(labels.names.length);
    return labels.of === "places" ? { geometry: places, colours: { bins: onTissue(own), table } } : { geometry: spotsGeometry, colours: { bins: own, table } };
  }
  const values = { predicted: now.predicted, uncertainty: now.sd, measured: now.measured && now.measured.values }[kind];
  if (!values) return null;
  const range = limitsOf(kind);
  const found = bins(values, range);
  return { range, reach: extent(values), geometry: kind === "measured" ? spotsGeometry : places,
    colours: { bins: kind === "measured" ? found : onTissue(found), table: lookup(mapOf(kind), state.fade && kind !== "uncertainty") } };
}

function onTissue(codes) {
  return state.tissue ? codes.map((code, place) => (shownPlaces[place] ? code : ABSENT)) : codes;
}

function paint() {
  const main = picture(state.layer), other = state.compare ? picture("measured") : null;
  for (const [layer, shown] of [[stage.main, main], [stage.other, other]]) {
    if (shown) layer.show(shown.geometry, shown.colours); else layer.hide();
    layer.wrapper.style.opacity = state.opacity;
  }
  const at = `${(100 * state.split).toFixed(3)}%`;
  $("layer-main").style.clipPath = state.compare ? `inset(0 0 0 ${at})` : "";
  $("layer-other").style.clipPath = state.compare ? `inset(0 calc(100% - ${at}) 0 0)` : "inset(0 100% 0 0)";
  $("divider").hidden = !state.compare;
  $("divider").style.left = at;
  $("divider").setAttribute("aria-valuenow", Math.round(100 * state.split));
  $("outline").style.display = state.outline ? "" : "none";
  legend($("legend-main"), state.layer, main);
  legend($("legend-other"), "measured", other);
  $("legend-other").hidden = !state.compare || state.shared;
  $("absent").hidden = Boolean(main);
  $("absent").textContent = main ? "" : `No ${LAYERS[state.layer].word} values of ${now.gene} are on this page.`;
}

function legend(host, kind, shown) {
  if (!shown) return host.replaceChildren();
  if (kind === "domains") {
    const labels = about.labels[state.labels];
    const items = labels.names.map((name, index) => {
      const item = document.createElement("span"), swatch = document.createElement("i");
      swatch.style.background = domainColour(index);
      item.append(swatch, name);
      return item;
    });
    host.className = "legend swatches";
    return host.replaceChildren(...items);
  }
  host.className = "legend";
  const [low, high] = shown.range;
  const title = document.createElement("div"), bar = document.createElement("div"), ticks = document.createElement("div");
  title.className = "title";
  const both = state.shared && state.compare ? "measured and " : "";
  title.textContent = `${both}${LAYERS[kind].word} · ${LAYERS[kind].unit}`;
  bar.className = "gradient";
  bar.style.background = gradient(mapOf(kind), state.fade && kind !== "uncertainty");
  ticks.className = "ticks";
  const [least, most] = shown.reach, digits = Math.max(2, Math.min(5, 1 - Math.floor(Math.log10(high - low))));
  const written = (value) => value.toFixed(digits);
  // values beyond take the colour of the end
  const below = least < low && written(least) !== written(low), above = most > high && written(most) !== written(high);
  for (const text of [(below ? "≤\u202f" : "") + written(low), written((low + high) / 2), (above ? "≥\u202f" : "") + written(high)]) {
    const tick = document.createElement("span");
    tick.textContent = text;
    ticks.append(tick);
  }
  host.replaceChildren(title, bar, ticks);
}

function trust(skill) {
  if (Number.isNaN(skill)) return ["unknown", "How well this gene is predicted was not measured."];
  const r = `r = ${skill.toFixed(2)} ${about.left_out} of the fit`;
  if (skill >= 0.6) return ["strong", `${r}: the pattern can be relied on.`];
  if (skill >= 0.35) return ["fair", `${r}: broad regions can be relied on, details less.`];
  if (skill >= 0.15) return ["weak", `${r}: a hint of a pattern, not more.`];
  return ["none", `${r}: the map says little more than the gene's average.`];
}

const ORIGIN_WORDS = { position: "where the spots around lie", histology: "what the tissue looks like", auxiliary: "other sections" };

// what the pattern of a gene is made of, as a bar and in words
function origins(row) {
  const shares = sharesOf(row), bar = $("origins-bar"), text = $("origins-text");
  bar.hidden = !shares || !(shares[0] + shares[1] + shares[2] > 0);
  bar.replaceChildren();
  if (!shares) return (text.textContent = "What its pattern comes from: unknown.");
  if (bar.hidden) return (text.textContent = "It has no pattern: one value everywhere.");
  if (shares[2] > 0.999) {
    // nothing was fitted here: there is nothing to take apart
    bar.hidden = true;
    return (text.textContent = "Its pattern comes from other sections alone: from spots that look alike.");
  }
  const parts = [];
  ORIGINS.forEach((origin, at) => {
    const percent = Math.round(100 * shares[at]);
    const piece = document.createElement("i");
    piece.className = origin;
    piece.style.flexGrow = shares[at];
    bar.append(piece);
    // sections fitted alone have no others to learn from
    if (origin !== "auxiliary" || percent > 0) parts.push(`${percent} % ${ORIGIN_WORDS[origin]}`);
  });
  return (text.textContent = `Its pattern comes from: ${parts.join(", ")}.`);
}

function words() {
  const labels = about.labels[state.labels];
  const byDomain = state.layer === "domains" && !state.compare;
  $("gene-name").textContent = byDomain ? "Domains" : now.gene;
  const second = state.layer === "measured" ? "predicted" : LAYERS[state.layer].word;
  $("gene-layer").textContent = byDomain ? `by ${labels.name}` : state.compare ? `measured | ${second}` : LAYERS[state.layer].word;
  $("side-right").textContent = second;
  const [grade, sentence] = trust(skillOf(now.row));
  $("trust").dataset.grade = grade;
  $("trust-grade").textContent = { strong: "Well predicted", fair: "Fairly predicted", weak: "Weakly predicted", none: "Hardly predicted", unknown: "Not judged" }[grade];
  $("trust-text").textContent = sentence;
  const made = origins(now.row);
  for (const name of Object.keys(LAYERS)) $(`layer-${name}`).setAttribute("aria-checked", state.layer === name);
  for (const name of Object.keys(LAYERS)) $(`layer-${name}`).tabIndex = state.layer === name ? 0 : -1;
  for (const name of ["compare", "fade", "tiles", "outline", "tissue", "shared"]) $(`is-${name}`).checked = state[name];
  $("status").textContent = `${now.gene}, ${$("gene-layer").textContent}. ${sentence} ${made}`;
  list.mark(now.row);
  skillChart(now.row);
  regionCard();
}

function labelOf(place) {
  const labels = about.labels[state.labels];
  if (!labels) return "";
  const at = labels.of === "places" ? place : spotOf[place];
  const code = at < 0 ? 0 : labelCodes[state.labels][at];
  return code ? labels.names[code - 1] : "";
}

function regionCard() {
  const card = $("region");
  card.hidden = !lasso.ring;
  if (!lasso.ring) return;
  const found = summary(lasso.ring, now);
  card.dataset.mean = found.mean;
  card.dataset.places = found.places.length;
  const area = found.area_um2 >= 1e5 ? `${(found.area_um2 / 1e6).toFixed(2)} mm²` : `${many(Math.round(found.area_um2))} µm²`;
  const rows = [["Places", `${many(found.places.length)} in ${area}`]];
  if (found.places.length) {
    rows.push(["Predicted", number(found.mean)]);
    if (found.low !== null) rows.push(["90 % interval", `${number(found.low)} – ${number(found.high)}`]);
    rows.push(["Measured", found.measured === null ? "no spot inside" : `${number(found.measured)} over ${many(found.spots.length)} spots`]);
  }
  $("region-gene").textContent = now.gene;
  $("region-facts").replaceChildren(...rows.flatMap(([term, text]) => {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = term;
    dd.textContent = text;
    return [dt, dd];
  }));
}

async function save(kind) {
  const found = summary(lasso.ring, now), name = `${about.title}_${now.gene}_region`.replace(/[^\w.-]+/g, "-");
  if (kind === "csv") {
    if (!ids) ids = await lines("ids");
    download(`${name}.csv`, csv(found, now, ids, spotOf, labelOf), "text/csv");
  } else download(`${name}.geojson`, geojson(lasso.ring, found, now), "application/geo+json");
}

function readout(event) {
  const tip = $("tip"), box = stage.element.getBoundingClientRect();
  const px = event.clientX - box.left, py = event.clientY - box.top;
  const [x, y] = stage.toMicrometres(px, py);
  let place = nearestTo(tables.placesXY, x, y, (state.tiles ? placesGeometry.tiles : placesGeometry.dots).radius);
  if (place >= 0 && !isShown(place)) place = -1;
  const spot = about.spots ? nearestTo(tables.spotsXY, x, y, about.spots.radius_um) : -1;
  tip.hidden = !now.predicted;
  tip.dataset.place = place;
  tip.dataset.spot = spot;
  const rows = [];
  if (place >= 0) {
    const sd = now.sd ? ` ± ${number(now.sd[place])}` : "";
    tip.dataset.predicted = now.predicted[place];
    tip.dataset.sd = now.sd ? now.sd[place] : "";
    rows.push(["predicted", number(now.predicted[place]) + sd]);
    const noise = now.sd ? withNoise(now.row, now.sd[place]) : null;
    if (noise !== null) rows.push(["one measurement", `± ${number(noise)}`]);
    const label = labelOf(place);
    if (label) rows.push(["domain", label]);
  }
  if (spot >= 0 && now.measured) {
    tip.dataset.measured = now.measured.values[spot];
    const counts = now.measured.counts ? ` (${many(now.measured.counts[spot])} of ${many(now.measured.depth[spot])} counts)` : "";
    rows.push(["measured", number(now.measured.values[spot]) + counts]);
  }
  const [x0, y0] = frame.origin;
  rows.push(["x, y", `${many(Math.round(x + x0))}, ${many(Math.round(y + y0))} µm`]);
  tip.replaceChildren(...rows.flatMap(([term, text]) => {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = term;
    dd.textContent = text;
    return [dt, dd];
  }));
  const flipX = px > box.width - 260, flipY = py > box.height - 130;
  tip.style.transform = `translate(${px + (flipX ? -18 : 18)}px, ${py + (flipY ? -14 : 14)}px) translate(${flipX ? "-100%" : "0"}, ${flipY ? "-100%" : "0"})`;
}
