// Values of a gene: factor scores times loadings, or stored columns; and the measured counts.

const genes = about.genes;
const rowOf = new Map(genes.map((name, row) => [name, row]));
const ORIGINS = ["position", "histology", "auxiliary"];
let tables = null;

async function loadTables() {
  const [locationsXY, spotsXY] = await Promise.all([floats("xy"), about.spots ? floats("spots") : null]);
  const names = ["offset", "calibration_factor", "noise_sd", "r_loo", "r_loo_given_depth", "r_loo_low", "r_loo_high", "grade", "level", "reliability_cell", "reliability_own", "reliability_50um", ...ORIGINS.map((origin) => `from_${origin}`)];
  const arrays = await Promise.all(names.map((name) => about.tables.includes(name) ? floats(name) : null));
  tables = { locationsXY, spotsXY, ...Object.fromEntries(names.map((name, at) => [name, arrays[at]])) };
}

// a number of a gene; NaN where it is unknown
const numberOf = (name, row) => (tables[name] ? tables[name][row] : NaN);
const rLooOf = (row) => numberOf("r_loo", row);
// the smaller of r and r among spots of equal total counts, where both are known
function strictOf(row) {
  const r = rLooOf(row), given = numberOf("r_loo_given_depth", row);
  return Number.isNaN(given) ? r : Math.min(r, given);
}

// shares of a gene's variance from position, histology and auxiliary sections; null where unknown
const sharesOf = (row) => (tables.from_position ? ORIGINS.map((origin) => tables[`from_${origin}`][row]) : null);

async function predicted(row) {
  return about.factors ? combine(row) : column(row, "mean");
}

async function uncertainty(row) {
  if (!about.has_sd) return null;
  return about.factors ? combineSd(row) : column(row, "sd");
}

// standard deviation of a single measurement at a location
function withNoise(row, sd) {
  if (!tables.noise_sd || !(tables.noise_sd[row] > 0)) return null;
  // the factor is calibrated for measurements; that of the expression itself is never below 1
  const factor = tables.calibration_factor[row], known = sd / Math.max(factor, 1);
  return factor * Math.sqrt(known * known + tables.noise_sd[row] ** 2);
}

async function weightsOf(row) {
  const { k } = about.factors;
  const loadings = new Int16Array(await buffer("loadings"));
  const steps = await floats("loading_step");
  const result = new Float64Array(k);
  for (let j = 0; j < k; j++) result[j] = loadings[row * k + j] * steps[row];
  return result;
}

async function combine(row) {
  const values = await linear(row);
  for (let i = 0; i < values.length; i++) if (values[i] < 0) values[i] = 0;
  return values;
}

// the sum over factors, which may be below 0
async function linear(row) {
  const { k, scores } = about.factors;
  const n = about.locations.n;
  const [loadings, all] = await Promise.all([weightsOf(row), codes("scores", scores.bits)]);
  let base = tables.offset[row];
  for (let j = 0; j < k; j++) base += loadings[j] * scores.low[j];
  const values = new Float32Array(n).fill(base);
  for (let j = 0; j < k; j++) {
    const weight = loadings[j] * scores.step[j], from = j * n;
    if (weight !== 0) for (let i = 0; i < n; i++) values[i] += weight * all[from + i];
  }
  return values;
}

async function combineSd(row) {
  const { k, score_sd } = about.factors;
  const n = about.locations.n;
  const [loadings, all] = await Promise.all([weightsOf(row), codes("score_sd", score_sd.bits)]);
  const values = new Float32Array(n);
  for (let j = 0; j < k; j++) {
    const weight = (loadings[j] * score_sd.step[j]) ** 2, from = j * n;
    for (let i = 0; i < n; i++) { const code = all[from + i]; values[i] += weight * code * code; }
  }
  for (let i = 0; i < n; i++) values[i] = Math.sqrt(values[i]) * Math.max(tables.calibration_factor[row], 1);
  return values;
}

async function column(row, kind) {
  const { low, step, bits } = about.columns[kind];
  const n = about.locations.n, per = about.columns.per_chunk;
  const all = await codes(`${kind}.${Math.floor(row / per)}`, bits, { chunk: true });
  const from = (row % per) * n;
  const values = new Float32Array(n);
  for (let i = 0; i < n; i++) values[i] = low[row] + step[row] * all[from + i];
  return values;
}

let chunkOf = null;

// null where the page does not contain this gene's measured values
async function measured(row) {
  if (!about.measured) return null;
  if (!chunkOf) chunkOf = await chunkTable();
  const where = chunkOf.get(row);
  if (!where) return null;
  const bytes = new Uint8Array(await buffer(`measured.${where.chunk}`, { chunk: true }));
  const number = varints(bytes, 0, about.measured.chunks[where.chunk]);
  const total = number.values.reduce((sum, value) => sum + value, 0);
  const gaps = varints(bytes, number.next, total);
  const stored = varints(bytes, gaps.next, total).values;
  let from = 0;
  for (let i = 0; i < where.index; i++) from += number.values[i];
  const values = new Float32Array(about.spots.n), counts = new Uint32Array(about.spots.n);
  const depth = about.measured.kind === "counts" ? await floats("depth") : null;
  let spot = 0;
  for (let i = from; i < from + number.values[where.index]; i++) {
    spot += gaps.values[i];
    counts[spot] = stored[i];
    values[spot] = depth ? Math.log1p(1e4 * stored[i] / Math.max(depth[spot], 1)) : stored[i] * about.measured.step;
  }
  return { values, counts: depth ? counts : null, depth };
}

async function chunkTable() {
  const order = await integers("measured_order");
  const table = new Map();
  let at = 0;
  about.measured.chunks.forEach((size, chunk) => {
    for (let index = 0; index < size; index++) table.set(order[at++], { chunk, index });
  });
  return table;
}
