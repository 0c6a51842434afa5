// Two genes at once: magenta and green, which colour-blind people tell apart; white where both are high, black where
// neither is.

const LEVELS = 24;
let choosingSecond = false;

const isOverlaid = (kind) => state.second >= 0 && (kind === "predicted" || kind === "measured");

// Load the second gene; false where another was chosen meanwhile.
async function chooseSecond() {
  const { second } = state;
  if (second < 0) { Object.assign(other, { gene: "", predicted: null, measured: null }); return true; }
  const [values, observed] = await Promise.all([predicted(second), measured(second)]);
  if (second !== state.second) return false;
  Object.assign(other, { gene: genes[second], predicted: values, measured: observed });
  return true;
}

// choose a gene of the list: the first one, or the second of two
function chooseGene(row, asSecond) {
  if (!(asSecond || choosingSecond) || row === state.row) return update(row === state.second ? { row, second: -1 } : { row });
  choosingSecond = false;
  // means over disks are of one gene
  return update({ second: row, width: 0, layer: ["predicted", "measured"].includes(state.layer) ? state.layer : "predicted" });
}

const pairColour = (a, b) => [a, b, a].map((share) => Math.round(255 * share));

// codes of pairs: 1 + level of the first + LEVELS × level of the second
function pairLookup(fade) {
  const table = new Uint32Array(1 + LEVELS * LEVELS);
  for (let b = 0; b < LEVELS; b++) for (let a = 0; a < LEVELS; a++) {
    const [red, green, blue] = pairColour(a / (LEVELS - 1), b / (LEVELS - 1));
    const alpha = fade ? Math.round(255 * Math.min(1, 1.7 * Math.max(a, b) / (LEVELS - 1))) : 255;
    table[1 + a + LEVELS * b] = (alpha << 24) | (blue << 16) | (green << 8) | red;
  }
  return table;
}

function overlay(kind) {
  const values = [now, other].map((gene) => (kind === "measured" ? gene.measured && gene.measured.values : gene.predicted));
  if (!values[0] || !values[1]) return null;
  const ranges = values.map((own) => limits(own)), codes = new Uint16Array(values[0].length);
  const level = (at, point) => {
    const [low, high] = ranges[at];
    return Math.max(0, Math.min(LEVELS - 1, Math.round((values[at][point] - low) / (high - low) * (LEVELS - 1))));
  };
  for (let point = 0; point < codes.length; point++) codes[point] = 1 + level(0, point) + LEVELS * level(1, point);
  return { pair: ranges, geometry: kind === "measured" ? spotsGeometry : geometryOfLocations(),
    colours: { bins: kind === "measured" ? codes : onTissue(codes), table: pairLookup(state.fade) } };
}

// a square of both colours, with the names and ranges of the genes along its sides
function pairLegend(host, kind, shown) {
  host.className = "legend pair";
  const title = document.createElement("div"), square = document.createElement("canvas"), lines = document.createElement("div");
  title.className = "title";
  title.textContent = `${LAYERS[kind].word} · ${LAYERS[kind].unit}`;
  square.width = square.height = LEVELS;
  square.setAttribute("role", "img");
  square.setAttribute("aria-label", `Colours of both genes: ${now.gene} from black to magenta, ${other.gene} from black to green, both high white`);
  const context = square.getContext("2d"), image = context.createImageData(LEVELS, LEVELS);
  for (let b = 0; b < LEVELS; b++) for (let a = 0; a < LEVELS; a++) {
    image.data.set([...pairColour(a / (LEVELS - 1), b / (LEVELS - 1)), 255], 4 * (a + LEVELS * (LEVELS - 1 - b)));
  }
  context.putImageData(image, 0, 0);
  lines.append(...[now, other].map((gene, at) => {
    const line = document.createElement("div"), swatch = document.createElement("i"), name = document.createElement("em");
    swatch.style.background = `rgb(${pairColour(1 - at, at)})`;
    name.textContent = gene.gene;
    line.append(swatch, name, ` ${at ? "↑" : "→"} ${shown.pair[at].map((value) => value.toFixed(2)).join(" – ")}`);
    return line;
  }));
  const row = document.createElement("div");
  row.className = "row";
  row.append(square, lines);
  host.replaceChildren(title, row);
}

function secondWords() {
  $("second-choose").setAttribute("aria-pressed", choosingSecond);
  $("second-choose").textContent = choosingSecond ? "Choose it in the list" : other.gene ? "Another" : "Add a second gene";
  $("second-name").textContent = other.gene;
  $("second-clear").hidden = !other.gene;
  $("second").hidden = about.genes.length < 2;
  if ($("width")) $("width").disabled = state.second >= 0;
}

function wireSecond() {
  $("second-choose").addEventListener("click", () => {
    choosingSecond = !choosingSecond;
    secondWords();
    if (choosingSecond) { $("search").focus(); $("search").select(); }
  });
  $("second-clear").addEventListener("click", () => { update({ second: -1 }); $("second-choose").focus(); });
}
