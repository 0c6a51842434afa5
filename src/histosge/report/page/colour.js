// Colours of numbers: perceptually uniform maps that suit colour-blind people, and a palette for domains.

const ABSENT = 0, UNKNOWN = 256;
// of locations that are not known: a grey that no map of colours has
const GREY = "#8b8b8b";
const maps = Object.fromEntries(Object.entries(about.maps).map(([name, text]) => {
  const binary = atob(text);
  return [name, Uint8Array.from(binary, (letter) => letter.charCodeAt(0))];
}));

// 256 packed colours; 0 is transparent. With `fade` low values are transparent, too.
function lookup(name, fade) {
  const source = maps[name], table = new Uint32Array(257);
  for (let bin = 1; bin < 256; bin++) {
    const at = 3 * Math.round((bin - 1) / 254 * 255);
    const alpha = fade ? Math.round(255 * Math.min(1, (bin - 1) / 150)) : 255;
    table[bin] = (alpha << 24) | (source[at + 2] << 16) | (source[at + 1] << 8) | source[at];
  }
  table[UNKNOWN] = 0xff8b8b8b;
  return table;
}

function gradient(name, fade) {
  const source = maps[name], stops = [];
  for (let i = 0; i <= 16; i++) {
    const at = 3 * Math.round(i / 16 * 255);
    const alpha = fade ? Math.min(1, (i / 16 * 254) / 150) : 1;
    stops.push(`rgba(${source[at]},${source[at + 1]},${source[at + 2]},${alpha.toFixed(3)})`);
  }
  return `linear-gradient(to right, ${stops.join(",")})`;
}

// the range of most values; values outside have the colour of its end
function limits(values, { low = 0.01, high = 0.99 } = {}) {
  const sample = [];
  const step = Math.max(1, Math.floor(values.length / 20000));
  for (let i = 0; i < values.length; i += step) if (Number.isFinite(values[i])) sample.push(values[i]);
  sample.sort((a, b) => a - b);
  if (!sample.length) return [0, 1];
  const at = (share) => sample[Math.min(sample.length - 1, Math.floor(share * (sample.length - 1)))];
  let [from, to] = [at(low), at(high)];
  if (to - from < 1e-6) [from, to] = [sample[0], sample[sample.length - 1]];
  return to - from < 1e-6 ? [from, from + 1] : [from, to];
}

function extent(values) {
  let least = Infinity, most = -Infinity;
  for (const value of values) { if (value < least) least = value; if (value > most) most = value; }
  return [least, most];
}

function bins(values, [low, high]) {
  const codes = new Uint8Array(values.length), scale = 254 / (high - low);
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    codes[i] = Number.isNaN(value) ? ABSENT : 1 + Math.max(0, Math.min(254, Math.round((value - low) * scale)));
  }
  return codes;
}

// Okabe & Ito, then Tol: colours that colour-blind people can distinguish
const PALETTE = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#332288", "#aa4499",
  "#44aa99", "#999933", "#882255", "#117733", "#88ccee", "#ddcc77", "#661100", "#6699cc", "#aa4466", "#4477aa", "#bbbbbb"];
const domainColour = (index) => PALETTE[index % PALETTE.length];

function domainLookup(count) {
  const table = new Uint32Array(256);
  for (let index = 0; index < Math.min(count, 255); index++) {
    const value = parseInt(domainColour(index).slice(1), 16);
    table[index + 1] = (255 << 24) | ((value & 255) << 16) | (value & 0xff00) | (value >> 16);
  }
  return table;
}
