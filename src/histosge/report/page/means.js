// Means over disks around the locations, of any gene at any width of the page, and how far each of them is known.

const stops = about.means ? about.means.widths_um : [];
const disks = new Map();

// Locations of the disk around each location, with weights that sum to 1: a location stands for the tissue up to half a
// spacing around it. As `disk_averages` in report/area_means.py.
function disksOf(width) {
  if (disks.has(width)) return disks.get(width);
  const xy = tables.locationsXY, n = about.locations.n, spacing = about.locations.spacing_um;
  const reach = width / 2 + spacing / 2, cells = new Map();
  const cellOf = (value) => Math.floor(value / reach);
  for (let i = 0; i < n; i++) {
    const key = `${cellOf(xy[2 * i])},${cellOf(xy[2 * i + 1])}`;
    if (!cells.has(key)) cells.set(key, []);
    cells.get(key).push(i);
  }
  const start = new Uint32Array(n + 1), members = [], weights = [];
  for (let i = 0; i < n; i++) {
    const x = xy[2 * i], y = xy[2 * i + 1], first = members.length;
    let sum = 0;
    for (let a = cellOf(x) - 1; a <= cellOf(x) + 1; a++) for (let b = cellOf(y) - 1; b <= cellOf(y) + 1; b++) {
      for (const j of cells.get(`${a},${b}`) || []) {
        if (j !== i && !shownLocations[j]) continue;
        const weight = Math.min((reach - Math.hypot(xy[2 * j] - x, xy[2 * j + 1] - y)) / spacing, 1);
        if (weight > 0) { members.push(j); weights.push(weight); sum += weight; }
      }
    }
    for (let at = first; at < members.length; at++) weights[at] /= sum;
    start[i + 1] = members.length;
  }
  disks.set(width, { start, members: Uint32Array.from(members), weights: Float32Array.from(weights) });
  return disks.get(width);
}

function averaged(values, { start, members, weights }) {
  const result = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    let sum = 0;
    for (let at = start[i]; at < start[i + 1]; at++) sum += weights[at] * values[members[at]];
    result[i] = sum;
  }
  return result;
}

// posterior variance of the mean of a gene over each disk: `row` of the widths, the last one for a spot
async function posteriorOf(gene, row, signal) {
  const { k } = about.factors, { patterns } = about.means, r = patterns.low.length, n = about.locations.n;
  const [loadings, weights, all] = await Promise.all([weightsOf(gene), floats("means_weights"), codes("means_patterns", patterns.bits)]);
  const variance = new Float32Array(n);
  let base = 0;
  for (let at = 0; at < r; at++) {
    let share = 0;
    for (let j = 0; j < k; j++) share += loadings[j] ** 2 * weights[(row * k + j) * r + at];
    base += share * patterns.low[at];
    const step = share * patterns.step[at];
    for (let i = 0; i < n; i++) variance[i] += step * all[at * n + i];
  }
  for (let i = 0; i < n; i++) variance[i] = Math.max(variance[i] + base, about.means.floor * signal);
  return variance;
}

function meanAndVariance(values) {
  let number = 0, sum = 0, squares = 0;
  for (let i = 0; i < values.length; i++) if (shownLocations[i]) { number++; sum += values[i]; squares += values[i] * values[i]; }
  const mean = sum / number;
  return [mean, Math.max(squares / number - mean * mean, 0)];
}

// What all widths of a gene share: its values, and what is unexplained of spots. `null` where nothing can be said of it.
async function spotsOf(gene) {
  const known = await floats("means_genes"), { slope, spot_um } = about.means;
  const [signal, scale, intercept] = [0, 1, 2].map((row) => known[row * genes.length + gene]);
  const values = await linear(gene);
  if (Number.isNaN(intercept)) return { values, signal: NaN };
  const posterior = await posteriorOf(gene, stops.length, signal);
  // structure finer than spots: what is unexplained of a spot beyond its posterior variance
  const fine = posterior.map((variance) => Math.max(Math.min(intercept + slope * variance, signal) - scale * variance, 0));
  const left = meanAndVariance(posterior.map((variance, at) => scale * variance + fine[at]))[0];
  return { values, signal, scale, fine, explained: Math.max(signal - left, 0), spread: meanAndVariance(averaged(values, disksOf(spot_um)))[1] };
}

// Mean over each disk, its standard deviation, and its reliability: the share of the variance of true means over the
// section that is explained (`EffectiveResolution` in prediction/effective_resolution.py).
async function meansOf(gene, at, spots) {
  const mean = averaged(spots.values, disksOf(stops[at])), values = mean.map((value) => Math.max(value, 0));
  if (Number.isNaN(spots.signal)) return { gene: genes[gene], at, values, sd: null, reliability: null, known: NaN };
  const posterior = await posteriorOf(gene, at, spots.signal), share = about.means.fine_share[at];
  const left = posterior.map((variance, point) => spots.scale * variance + share * spots.fine[point]);
  const explained = spots.spread > 0 ? spots.explained * meanAndVariance(mean)[1] / spots.spread : 0;
  const total = explained + meanAndVariance(left)[0];
  const reliability = left.map((variance) => (total > 0 ? Math.max(1 - variance / total, 0) : 0));
  const known = meanAndVariance(reliability.map((value) => (value >= about.means.least ? 1 : 0)))[0];
  // never surer than the fit itself
  const sd = left.map((variance, point) => Math.sqrt(variance + (1 - spots.scale) * posterior[point]));
  return { gene: genes[gene], at, values, sd, reliability, known };
}
