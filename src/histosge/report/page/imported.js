// Outlines drawn elsewhere, from GeoJSON: in pixels of the full-resolution image, as QuPath writes them, or in µm where
// the file says so.

const MOST_BYTES = 50e6, MOST_OUTLINES = 20000;
const MICROMETRES = /^(µm|μm|um|microns?|micromet(er|re)s?)$/i, PIXELS = /^(px|pixels?)$/i;
let importedOutlines = [];

class Refusal extends Error {}

// the unit that a file names, at its top or in its metadata; pixels where it names none
function unitOf(content, name) {
  const holders = [content, content.metadata, content.properties].filter((holder) => holder && typeof holder === "object");
  const named = holders.flatMap((holder) => ["units", "unit", "coordinate_unit", "coordinate_units"].map((key) => holder[key])).find((value) => value !== undefined);
  if (named === undefined) return { pixel: true, said: false };
  if (typeof named === "string" && MICROMETRES.test(named)) return { pixel: false, said: true };
  if (typeof named === "string" && PIXELS.test(named)) return { pixel: true, said: true };
  throw new Refusal(`“${name}” has the unit ${JSON.stringify(named).slice(0, 40)}. Expected µm or pixels.`);
}

function ringFrom(positions, scale, name) {
  if (!Array.isArray(positions)) throw new Refusal(`“${name}” has a polygon without a list of positions.`);
  const ring = positions.map((position) => {
    const [x, y] = Array.isArray(position) ? position : [];
    if (!Number.isFinite(x) || !Number.isFinite(y)) throw new Refusal(`“${name}” has a position that is not two numbers: ${JSON.stringify(position ?? null).slice(0, 40)}.`);
    return [x * scale - frame.origin[0], y * scale - frame.origin[1]];
  });
  const [first, last] = [ring[0], ring.at(-1)];
  if (ring.length > 1 && first[0] === last[0] && first[1] === last[1]) ring.pop();
  return ring;
}

function polygonsOf(geometry) {
  if (!geometry || typeof geometry !== "object") return [];
  if (geometry.type === "Polygon") return [geometry.coordinates];
  if (geometry.type === "MultiPolygon" && Array.isArray(geometry.coordinates)) return geometry.coordinates;
  if (geometry.type === "GeometryCollection" && Array.isArray(geometry.geometries)) return geometry.geometries.flatMap(polygonsOf);
  return [];
}

// outlines of a file, in µm of the frame, and what to say of them; a file that cannot be placed is refused
function readOutlines(text, name) {
  let content;
  try { content = JSON.parse(text); } catch { throw new Refusal(`“${name}” is no GeoJSON: it cannot be read as JSON. Export annotations from QuPath as GeoJSON.`); }
  const features = Array.isArray(content) ? content : content && Array.isArray(content.features) ? content.features : [content];
  if (!content || typeof content !== "object") throw new Refusal(`“${name}” is no GeoJSON: expected a collection of features.`);
  const unit = unitOf(content, name), scale = unit.pixel ? frame.mpp : 1, found = [];
  let left = 0;
  for (const feature of features) {
    const own = feature && typeof feature === "object" ? feature : {}, properties = own.properties || {};
    const polygons = polygonsOf(own.geometry || (own.type === "Feature" ? null : own));
    if (!polygons.length) left++;
    polygons.forEach((rings, part) => {
      if (!Array.isArray(rings) || !rings.length) throw new Refusal(`“${name}” has a polygon without a border.`);
      const [ring, ...holes] = rings.map((positions) => ringFrom(positions, scale, name));
      if (ring.length < 3 || areaOf(ring) === 0) { left++; return; }
      const label = String(properties.name || (properties.classification || {}).name || `outline ${found.length + 1}`);
      ring.holes = holes.filter((hole) => hole.length >= 3);
      found.push({ name: polygons.length > 1 ? `${label} (${part + 1} of ${polygons.length})` : label, ring });
    });
    if (found.length > MOST_OUTLINES) throw new Refusal(`“${name}” has more than ${many(MOST_OUTLINES)} outlines. Export annotations, not cells.`);
  }
  const how = unit.pixel ? "pixels of the full-resolution image" : "µm";
  if (!found.length) throw new Refusal(`“${name}” has no polygon. Export annotations from QuPath as GeoJSON.`);
  const inFrame = ([x, y]) => x >= 0 && y >= 0 && x <= frame.width && y <= frame.height;
  if (!found.some(({ ring }) => ring.some(inFrame))) {
    throw new Refusal(`No outline of “${name}” lies on this image, when placed in ${how}. Was it drawn on another image? A file in µm says so by "units": "µm".`);
  }
  const outside = found.filter(({ ring }) => !ring.some(inFrame)).length;
  return { found, words: `${many(found.length)} outline${found.length > 1 ? "s" : ""} of “${name}”, placed in ${how}${unit.said ? ", as the file says" : ", as the file names no unit"}.`
    + (left ? ` ${many(left)} without area left out.` : "") + (outside ? ` ${many(outside)} off the image.` : "") };
}

async function importFile(file) {
  try {
    if (file.size > MOST_BYTES) throw new Refusal(`“${file.name}” has ${Math.round(file.size / 1e6)} MB; at most ${MOST_BYTES / 1e6} can be read here.`);
    const { found, words } = readOutlines(await file.text(), file.name);
    showImported(found);
    notice(words);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    notice(error.message, true);
  }
}

function showImported(found) {
  importedOutlines = found;
  const line = (ring) => `M${ring.map((corner) => corner.map((value) => value.toFixed(1)).join(",")).join("L")}Z`;
  $("imported").replaceChildren(...found.map(({ ring }) => svg("path", { d: [ring, ...ring.holes].map(line).join(""), "fill-rule": "evenodd" })));
  const choice = $("imported-choice");
  choice.replaceChildren(new Option("as a region …", ""), ...found.map(({ name }, at) => new Option(name, at)));
  $("imported-line").hidden = !found.length;
}

function wireImport() {
  const field = $("import-file");
  field.addEventListener("change", async () => { if (field.files[0]) await importFile(field.files[0]); field.value = ""; });
  $("import").addEventListener("click", () => field.click());
  $("imported-choice").addEventListener("change", ({ target }) => {
    if (target.value !== "") lasso.set(importedOutlines[+target.value].ring);
  });
  $("imported-clear").addEventListener("click", () => { showImported([]); $("import").focus(); });
  stage.element.addEventListener("dragover", (event) => event.preventDefault());
  stage.element.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) importFile(event.dataTransfer.files[0]);
  });
}

// a sentence on the tissue; what was refused is announced at once
function notice(text, refused = false) {
  const card = $("notice");
  card.setAttribute("role", refused ? "alert" : "status");
  card.classList.toggle("refused", refused);
  $("notice-text").textContent = text;
  card.hidden = false;
}
