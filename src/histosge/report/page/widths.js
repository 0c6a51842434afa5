// The slider of widths: the map averaged over disks, and in words how much of the tissue is known at each width.

let spotsNow = null, sharesNow = null;

// Compute the means of the chosen gene and width; false where another was chosen meanwhile.
async function chooseMeans() {
  const { row, width } = state;
  if (!stops.length) return true;
  if (!spotsNow || spotsNow.row !== row) {
    const spots = await spotsOf(row);
    if (row !== state.row) return false;
    spotsNow = { row, ...spots };
    sharesNow = null;
    setTimeout(() => chooseShares(row));
  }
  const means = width ? await meansOf(row, width - 1, spotsNow) : null;
  if (row !== state.row || width !== state.width) return false;
  now.means = means;
  return true;
}

// share of the tissue in which the gene is known, at every width
async function chooseShares(row) {
  const shares = [];
  for (let at = 0; at < stops.length && row === state.row; at++) shares.push((await meansOf(row, at, spotsNow)).known);
  if (row !== state.row || spotsNow.row !== row) return;
  sharesNow = shares;
  widthWords();
}

const percent = (share) => (share > 0 && share < 0.005 ? "less than 1 %" : share > 0.995 && share < 1 ? "more than 99 %" : `${Math.round(100 * share)} %`);

const overWidth = () => (now.means ? `, mean over ${stops[now.means.at]} µm` : "");

function widthSentence() {
  const { means } = now;
  if (state.second >= 0) return "Means over disks are of one gene: remove the second gene to use the slider.";
  if (!means) return `As predicted, ${Math.round(about.locations.spacing_um)} µm apart. Move the slider to average over disks.`;
  const { gene } = means, width = stops[means.at];
  if (Number.isNaN(means.known)) return `${gene} is not measured reproducibly here: what is known of it at ${width} µm cannot be said.`;
  if (means.known === 0) return `${gene} is not known at ${width} µm anywhere${firstKnown(means.at)}.`;
  if (means.known === 1) return `${gene} is known at ${width} µm in all of the tissue.`;
  return `${gene} is known at ${width} µm in ${percent(means.known)} of the tissue; grey elsewhere.`;
}

// the first wider disk at which the gene is known in half of the tissue
function firstKnown(at) {
  if (!sharesNow) return "";
  const wider = sharesNow.findIndex((share, other) => other > at && share >= 0.5);
  return wider < 0 ? ", nor in half of the tissue at a wider one" : `; in half of the tissue from ${stops[wider]} µm on`;
}

function widthWords() {
  if (!stops.length) return;
  const slider = $("width"), text = state.width ? `${stops[state.width - 1]} µm` : "as predicted";
  slider.value = state.width;
  slider.setAttribute("aria-valuetext", text);
  $("width-text").textContent = widthSentence();
  const shares = sharesNow || stops.map(() => 0);
  $("width-shares").replaceChildren(...[NaN, ...shares].map((share, at) => {
    const bar = document.createElement("i");
    bar.style.height = `${100 * (share || 0)}%`;
    if (at === state.width) bar.className = "chosen";
    if (at) bar.title = `${stops[at - 1]} µm: ${percent(share || 0)}`;
    return bar;
  }));
}

// what the tip says of a location
function meanRows(point) {
  const { values, sd, reliability, at } = now.means, term = `mean over ${stops[at]} µm`;
  if (!sd) return [[term, `${number(values[point])}, unknown how sure`]];
  const low = Math.max(0, values[point] - Z90 * sd[point]), high = values[point] + Z90 * sd[point];
  return [[term, number(values[point])], ["90 % interval", `${number(low)} – ${number(high)}`],
    ["explained", `${percent(reliability[point])} of its variance${reliability[point] >= about.means.least ? "" : ": not known"}`]];
}

function widen(step) {
  const width = Math.max(0, Math.min(stops.length, state.width + step));
  if (width !== state.width && state.second < 0) update({ width, layer: state.layer === "uncertainty" ? "uncertainty" : "predicted" });
}

function wireWidth() {
  if (stops.length) $("width").addEventListener("input", (event) => widen(+event.target.value - state.width));
}
