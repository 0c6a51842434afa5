// The fragment of the address: gene, second gene, layer, width, swipe and view. Whoever opens the address sees the same.

let linkWritten = "", linkLater = 0;

function linkOf() {
  const words = new URLSearchParams({ gene: now.gene, layer: state.layer });
  if (other.gene) words.set("second", other.gene);
  if (state.width) words.set("width", stops[state.width - 1]);
  if (state.layer === "domains" && state.labels) words.set("domains", about.labels[state.labels].name);
  if (state.compare) words.set("swipe", state.split.toFixed(3));
  if (!stage.whole) {
    const { x, y, across } = stage.visible();
    words.set("at", `${x.toFixed(0)},${y.toFixed(0)}`);
    words.set("across", across.toFixed(0));
  }
  return `#${words}`;
}

function keepLink() {
  clearTimeout(linkLater);
  if (!document.body.dataset.ready) return;
  const link = linkOf();
  if (link === linkWritten) return;
  linkWritten = link;
  location.replace(link);
}

// browsers refuse many changes of the address within a second
function keepLinkSoon() {
  clearTimeout(linkLater);
  linkLater = setTimeout(keepLink, 300);
}

// the change of state that a fragment asks for, and its view
function asked(fragment) {
  const words = new URLSearchParams(fragment.replace(/^#/, ""));
  const rowNamed = (name) => (name === null ? undefined : rowOf.get(name) ?? rowOf.get(genes.find((gene) => gene.startsWith(`${name} `))));
  const layer = words.get("layer"), swipe = Number(words.get("swipe")), labels = about.labels.findIndex(({ name }) => name === words.get("domains"));
  const change = { row: rowNamed(words.get("gene")) ?? rowOf.get(about.first) ?? 0, second: rowNamed(words.get("second")) ?? -1,
    layer: LAYERS[layer] && available[layer]() ? layer : "predicted", labels: Math.max(labels, 0) };
  change.width = change.second >= 0 ? 0 : stops.indexOf(+words.get("width")) + 1;
  change.compare = Boolean(about.measured) && swipe > 0 && swipe < 1 && change.layer !== "measured";
  if (change.compare) change.split = Math.max(0.02, Math.min(0.98, swipe));
  const [x, y] = (words.get("at") || "").split(",").map(Number), across = Number(words.get("across"));
  return { change, view: [x, y, across].every(Number.isFinite) && across > 0 ? { x, y, across } : null };
}

async function follow(fragment) {
  const { change, view } = asked(fragment);
  if (view) stage.show(view); else stage.fit(true);
  await update(change);
  // heading and legend are there now, and may take more room than was left for them
  if (stage.isCovered) stage.fit(true);
}

function wireLink() {
  stage.addEventListener("moved", keepLinkSoon);
  window.addEventListener("hashchange", () => { if (location.hash !== linkWritten) follow(location.hash); });
  $("copy-link").addEventListener("click", copyLink);
}

async function copyLink() {
  keepLink();
  try {
    await navigator.clipboard.writeText(location.href);
    notice("The link to this view is copied. It holds genes, layer and view; whoever opens it needs this file.");
  } catch {
    notice("The browser does not allow the page to copy. The address bar holds the link to this view.");
  }
}
