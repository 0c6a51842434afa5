// The state of the page. Only `update` changes it, and everything shown follows from it.

const LAYERS = {
  predicted: { key: "p", word: "predicted", unit: "log1p(CP10k)" },
  measured: { key: "m", word: "measured", unit: "log1p(CP10k)" },
  uncertainty: { key: "u", word: "uncertainty", unit: "± log1p(CP10k); bright colours: wide intervals" },
  domains: { key: "d", word: "domains", unit: "" },
};

const state = {
  row: -1, layer: "predicted", compare: false, split: 0.5, map: "viridis", opacity: 0.85, fade: false, tiles: !about.outlines,
  outline: true, tissue: true, shared: false, labels: 0, width: 0, second: -1,
};
// `means` over disks of the chosen width, `null` where the map is shown as predicted
const now = { gene: "", predicted: null, sd: null, measured: null, means: null };
// the second gene of two, where one is chosen
const other = { gene: "", predicted: null, measured: null };
let stage, list, lasso, ids = null, spotOf = null, shownLocations = null, labelCodes = [];
const isShown = (point) => !state.tissue || shownLocations[point] > 0;

// small values get a fourth digit
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
    const [values, sd, observed] = await Promise.all([predicted(row), uncertainty(row), measured(row)]);
    // another gene was chosen while this one was being unpacked
    if (row !== state.row) return;
    Object.assign(now, { gene: genes[row], row, predicted: values, sd, measured: observed, means: null });
  }
  if ("second" in change && !(await chooseSecond())) return;
  if (("row" in change || "width" in change) && !(await chooseMeans())) return;
  paint();
  words();
  keepLink();
}

// the area of the locations; clipped by it, tiles may be wide enough to fill its corners
function coveredPath() {
  if (!about.covered.length) return null;
  const path = new Path2D();
  for (const border of about.covered) {
    for (let i = 0; i < border.length; i += 2) path[i ? "lineTo" : "moveTo"](border[i], border[i + 1]);
    path.closePath();
  }
  return path;
}

const locationsGeometry = {
  tiles: { xy: null, radius: about.locations.reach_um, overlap: 0.8 },
  // of the locations on tissue alone
  onTissue: { xy: null, radius: 1.35 * about.locations.reach_um, overlap: 0.8, clip: coveredPath(), shown: true }, dots: { xy: null, radius: about.locations.radius_um },
};
// cells by their outlines, where the page has them
const geometryOfLocations = () => (state.tiles ? (state.tissue && about.covered.length ? locationsGeometry.onTissue : locationsGeometry.tiles) : locationsGeometry.cells || locationsGeometry.dots);
const classesAt = about.cells ? about.labels.findIndex(({ name }) => name === "class") : -1;
const spotsGeometry = about.spots ? { xy: null, radius: about.spots.radius_um } : null;

function limitsOf(kind) {
  if (kind !== "uncertainty" && state.shared && now.measured) {
    const [a, b] = limits(valuesOf("predicted")), [c, d] = limits(now.measured.values);
    return [Math.min(a, c), Math.max(b, d)];
  }
  return limits(valuesOf(kind));
}

// the values of a layer: as predicted, or means over disks of the chosen width
function valuesOf(kind) {
  const { values, sd } = now.means || { values: now.predicted, sd: now.sd };
  return { predicted: values, uncertainty: sd, measured: now.measured && now.measured.values }[kind];
}

// locations where less than half of the variance of the mean is explained
function greyed(codes) {
  const { reliability } = now.means, { least } = about.means;
  return Uint16Array.from(codes, (code, point) => (code !== ABSENT && !(reliability && reliability[point] >= least) ? UNKNOWN : code));
}

const mapOf = (kind) => (kind === "uncertainty" ? (state.map === "magma" ? "cividis" : "magma") : state.map);

function picture(kind) {
  const locations = geometryOfLocations();
  if (kind === "domains") {
    const labels = about.labels[state.labels], own = labelCodes[state.labels];
    const table = domainLookup(labels.names.length);
    return labels.of === "locations" ? { geometry: locations, colours: { bins: onTissue(own), table } } : { geometry: spotsGeometry, colours: { bins: own, table } };
  }
  if (isOverlaid(kind)) return overlay(kind);
  const values = valuesOf(kind);
  if (!values) return null;
  const range = limitsOf(kind);
  const plain = bins(values, range), codes = kind === "predicted" && now.means ? greyed(plain) : plain;
  return { range, reach: extent(values), geometry: kind === "measured" ? spotsGeometry : locations,
    colours: { bins: kind === "measured" ? codes : onTissue(codes), table: lookup(mapOf(kind), state.fade && kind !== "uncertainty") } };
}

function onTissue(codes) {
  return state.tissue ? codes.map((code, point) => (shownLocations[point] ? code : ABSENT)) : codes;
}

function paint() {
  const main = picture(state.layer), left = state.compare ? picture("measured") : null;
  for (const [layer, shown] of [[stage.main, main], [stage.other, left]]) {
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
  legend($("legend-other"), "measured", left);
  $("legend-other").hidden = !state.compare || state.shared;
  $("absent").hidden = Boolean(main);
  $("absent").textContent = main ? "" : `No ${LAYERS[state.layer].word} values of ${isOverlaid(state.layer) && now[state.layer] ? other.gene : now.gene} are on this page.`;
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
  if (shown.pair) return pairLegend(host, kind, shown);
  host.className = "legend";
  const [low, high] = shown.range;
  const title = document.createElement("div"), bar = document.createElement("div"), ticks = document.createElement("div");
  title.className = "title";
  const both = state.shared && state.compare ? "measured and " : "", over = kind !== "measured" && now.means;
  title.textContent = `${both}${LAYERS[kind].word}${over ? overWidth() : ""} · ${LAYERS[kind].unit}${kind === "predicted" && about.at_mean_depth ? " at mean depth" : ""}`;
  bar.className = "gradient";
  bar.style.background = gradient(mapOf(kind), state.fade && kind !== "uncertainty");
  ticks.className = "ticks";
  const [least, most] = shown.reach, digits = Math.max(2, Math.min(5, 1 - Math.floor(Math.log10(high - low))));
  const written = (value) => value.toFixed(digits);
  // values outside the range have the colour of its end
  const below = least < low && written(least) !== written(low), above = most > high && written(most) !== written(high);
  for (const text of [(below ? "≤\u202f" : "") + written(low), written((low + high) / 2), (above ? "≥\u202f" : "") + written(high)]) {
    const tick = document.createElement("span");
    tick.textContent = text;
    ticks.append(tick);
  }
  host.replaceChildren(title, bar, ticks);
  if (!over || kind !== "predicted" || now.means.known === 1) return;
  const note = document.createElement("div"), swatch = document.createElement("i");
  note.className = "unknown";
  swatch.style.background = GREY;
  note.append(swatch, `not known at ${stops[now.means.at]} µm`);
  host.append(note);
}

// grades, the worst first, with their least r
const GRADES = [["none", -Infinity], ["weak", 0.15], ["fair", 0.35], ["strong", 0.6]];
const GRADE_WORDS = {
  strong: "the pattern is reliable",
  fair: "broad regions are reliable, details less so",
  weak: "only a trace of the pattern is reliable",
  none: "the map is hardly better than the gene's mean",
};

// the grade of the fit, which takes the stricter of r and r given depth; of sections left out, where there is none, by r
function gradeOf(row) {
  const grade = numberOf("grade", row), r = rLooOf(row);
  if (!Number.isNaN(grade)) return GRADES[grade][0];
  return GRADES.filter(([, least]) => r >= least).at(-1)[0];
}

function accuracy(row) {
  const r = rLooOf(row), given = numberOf("r_loo_given_depth", row);
  if (Number.isNaN(r)) return ["unknown", "The accuracy of this gene was not measured."];
  const grade = gradeOf(row), low = numberOf("r_loo_low", row), high = numberOf("r_loo_high", row);
  const bounds = Number.isNaN(low) ? "" : ` (${low.toFixed(2)} to ${high.toFixed(2)})`;
  let text = `r = ${r.toFixed(2)}${bounds} ${about.left_out} of the fit`;
  if (Number.isNaN(given)) return [grade, `${text}: ${GRADE_WORDS[grade]}.`];
  text += `, ${given.toFixed(2)} among spots of equal total counts`;
  // as `follows_depth` in prediction/accuracy_words.py
  const mostlyDepth = r >= 0.15 && given < 0.5 * r;
  return [grade, `${text}: ${mostlyDepth ? "its pattern is mostly that of total counts" : GRADE_WORDS[grade]}.`];
}

// what a gene of a prediction at cells is reliable as, as `reliable_as` in prediction/accuracy_words.py has it
function cellWords(row) {
  const shares = ["cell", "own", "50um"].map((name) => numberOf(`reliability_${name}`, row));
  if (shares.some(Number.isNaN)) return "";
  const known = shares.map((share) => share >= 0.5);
  if (!known[2] || ["weak", "none"].includes(gradeOf(row))) return " Reliable neither cell by cell nor as a map of 50 µm.";
  return known[0] && known[1] ? " Reliable cell by cell." : " Reliable as a map of 50 µm, not cell by cell.";
}

const SOURCE_WORDS = { position: "position", histology: "histology (the image)", auxiliary: "auxiliary sections" };

// variance attribution of a gene, as a bar and in words
function origins(row) {
  const shares = sharesOf(row), bar = $("origins-bar"), text = $("origins-text");
  bar.hidden = !shares || !(shares[0] + shares[1] + shares[2] > 0);
  bar.replaceChildren();
  if (!shares) return (text.textContent = "Variance attribution: unknown.");
  if (bar.hidden) return (text.textContent = "The prediction of this gene does not vary.");
  if (shares[2] > 0.999) {
    // all of it comes from other sections: a bar of one colour adds nothing
    bar.hidden = true;
    return (text.textContent = "Predicted variance: 100 % auxiliary sections, through the image.");
  }
  const parts = [];
  ORIGINS.forEach((origin, at) => {
    const percent = Math.round(100 * shares[at]);
    const piece = document.createElement("i");
    piece.className = origin;
    piece.style.flexGrow = shares[at];
    bar.append(piece);
    // a fit without auxiliary sections does not name them
    if (origin !== "auxiliary" || percent > 0) parts.push(`${percent} % ${SOURCE_WORDS[origin]}`);
  });
  return (text.textContent = `Predicted variance: ${parts.join(", ")}.`);
}

function words() {
  const labels = about.labels[state.labels];
  const byDomain = state.layer === "domains" && !state.compare;
  $("gene-name").textContent = byDomain ? (state.labels === classesAt ? "Classes" : "Domains") : isOverlaid(state.layer) ? `${now.gene} + ${other.gene}` : now.gene;
  const second = state.layer === "measured" ? "predicted" : LAYERS[state.layer].word;
  $("gene-layer").textContent = byDomain ? (state.labels === classesAt ? "of cells" : `by ${labels.name}`) : state.compare ? `measured | ${second}${overWidth()}` : LAYERS[state.layer].word + (state.layer === "measured" ? "" : overWidth());
  $("side-right").textContent = second;
  const [grade, ofSpots] = accuracy(now.row), sentence = ofSpots + cellWords(now.row);
  $("accuracy").dataset.grade = grade;
  $("accuracy-grade").textContent = { strong: "High accuracy", fair: "Moderate accuracy", weak: "Low accuracy", none: "Very low accuracy", unknown: "Accuracy unknown" }[grade];
  $("accuracy-text").textContent = sentence;
  const made = origins(now.row);
  for (const name of Object.keys(LAYERS)) $(`layer-${name}`).setAttribute("aria-checked", state.layer === name);
  for (const name of Object.keys(LAYERS)) $(`layer-${name}`).tabIndex = state.layer === name ? 0 : -1;
  for (const name of ["compare", "fade", "tiles", "outline", "tissue", "shared"]) $(`is-${name}`).checked = state[name];
  $("status").textContent = `${$("gene-name").textContent}, ${$("gene-layer").textContent}. ${sentence} ${made}${now.means ? ` ${widthSentence()}` : ""}`;
  list.mark(now.row);
  accuracyChart(now.row);
  widthWords();
  secondWords();
  regionCard();
}

function labelOf(point, number = state.labels) {
  const labels = about.labels[number];
  if (!labels) return "";
  const at = labels.of === "locations" ? point : spotOf[point];
  const code = at < 0 ? 0 : labelCodes[number][at];
  return code ? labels.names[code - 1] : "";
}

function regionCard() {
  const card = $("region");
  card.hidden = !lasso.ring;
  if (!lasso.ring) return;
  const region = summary(lasso.ring, now);
  card.dataset.mean = region.mean;
  card.dataset.locations = region.locations.length;
  const area = region.area_um2 >= 1e5 ? `${(region.area_um2 / 1e6).toFixed(2)} mm²` : `${many(Math.round(region.area_um2))} µm²`;
  const rows = [[about.cells ? "Cells" : "Locations", `${many(region.locations.length)} in ${area}`]];
  if (region.locations.length) {
    rows.push(["Predicted", number(region.mean)]);
    if (region.low !== null) rows.push(["90 % interval", `${number(region.low)} – ${number(region.high)}`]);
    rows.push(["Measured", region.measured === null ? "no spot inside" : `${number(region.measured)} over ${many(region.spots.length)} spots`]);
  }
  $("region-gene").textContent = now.gene;
  $("region-summary").replaceChildren(...rows.flatMap(([term, text]) => {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = term;
    dd.textContent = text;
    return [dt, dd];
  }));
}

async function save(kind) {
  const region = summary(lasso.ring, now), name = `${about.title}_${now.gene}_region`.replace(/[^\w.-]+/g, "-");
  if (!ids) ids = await lines("ids");
  if (kind === "csv") {
    download(`${name}.csv`, csv(region, now, ids, spotOf, labelOf), "text/csv");
  } else download(`${name}.geojson`, geojson(lasso.ring, region, now, ids), "application/geo+json");
}
