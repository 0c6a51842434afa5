// The view as a PNG: tissue, map, outlines, scale bar, and below it legend and caption.

const PICTURE_RATIO = 2, PICTURE_PAD = 16, CAPTION_PX = 13, LEGEND_PX = 232;
const PAPER = "#ffffff", INK = "#23211d", SOFT = "#5b564d", SANS = '"Helvetica Neue", "Noto Sans", "DejaVu Sans", Arial, sans-serif';

function pictureCaption() {
  const heading = `${$("gene-name").textContent}, ${$("gene-layer").textContent}`;
  const gene = state.layer === "domains" && !state.compare ? "" : ` ${accuracy(now.row)[1]}`;
  const second = isOverlaid(state.layer) ? ` ${other.gene}: ${accuracy(state.second)[1]}` : "";
  return `${about.title}: ${heading}.${second ? ` ${now.gene}:` : ""}${gene}${second} ${about.made_by}`;
}

function wrapped(context, text, width) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = lines.at(-1) ? `${lines.at(-1)} ${word}` : word;
    if (context.measureText(longer).width <= width || !lines.at(-1)) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

function ringPath(context, ring, { scale, x, y }) {
  context.beginPath();
  for (const part of [ring, ...(ring.holes || [])]) {
    part.forEach(([px, py], at) => context[at ? "lineTo" : "moveTo"](px * scale + x, py * scale + y));
    context.closePath();
  }
}

function stroke(context, colour, width) {
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke();
}

function drawTissue(context, view) {
  const { width, height } = view, split = state.split * width;
  const slide = stage.viewer.drawer.canvas;
  if (about.image && slide) context.drawImage(slide, 0, 0, width, height);
  for (const [layer, from, to] of [[stage.main, state.compare ? split : 0, width], [stage.other, 0, state.compare ? split : 0]]) {
    if (!layer.geometry || to <= from) continue;
    context.save();
    context.beginPath();
    context.rect(from, 0, to - from, height);
    context.clip();
    context.globalAlpha = state.opacity;
    context.drawImage(layer.canvas, 0, 0, width, height);
    context.restore();
  }
  const pairs = (line) => Array.from({ length: line.length / 2 }, (_, at) => [line[2 * at], line[2 * at + 1]]);
  if (state.outline) for (const line of about.outline) { ringPath(context, pairs(line), view); stroke(context, "rgb(22 32 43 / .75)", 1.2); }
  for (const { ring } of importedOutlines) { ringPath(context, ring, view); stroke(context, "#ffffff", 4); stroke(context, "#d55e00", 2); }
  if (lasso.ring) { ringPath(context, lasso.ring, view); stroke(context, "rgb(0 0 0 / .8)", 4); stroke(context, "#ffffff", 2); }
  if (state.compare) {
    context.fillStyle = "#ffffff";
    context.fillRect(split - 1, 0, 2, height);
    label(context, "measured", split - 10, height / 2, "right");
    label(context, $("side-right").textContent, split + 10, height / 2, "left");
  }
}

// words on a plate of paper, which stay legible on any tissue
function label(context, text, x, y, align) {
  context.font = `13px ${SANS}`;
  const width = context.measureText(text).width + 12, left = align === "right" ? x - width : x;
  context.fillStyle = "rgb(255 255 255 / .9)";
  context.fillRect(left, y - 11, width, 22);
  context.fillStyle = INK;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillText(text, left + 6, y);
}

function drawScaleBar(context, height) {
  const px = +$("scale-bar").dataset.px, left = PICTURE_PAD + 12, base = height - PICTURE_PAD - 26;
  context.fillStyle = "rgb(255 255 255 / .9)";
  context.fillRect(PICTURE_PAD, base - 12, px + 24, 38);
  context.fillStyle = "#000000";
  context.fillRect(left, base - 3, px, 3);
  context.font = `13px ${SANS}`;
  context.textAlign = "center";
  context.textBaseline = "top";
  context.fillText($("scale-text").textContent, left + px / 2, base + 5);
}

// one legend of the page, again on the canvas; returns its height
function drawLegend(context, host, left, top) {
  const text = (words, x, y, colour = INK) => {
    context.font = `12px ${SANS}`;
    context.textAlign = "left";
    context.textBaseline = "top";
    context.fillStyle = colour;
    context.fillText(words, x, y);
  };
  const swatch = (element, x, y) => { context.fillStyle = element.style.background; context.fillRect(x, y, 11, 11); };
  if (host.classList.contains("swatches")) {
    const items = [...host.children];
    items.forEach((item, at) => { swatch(item.querySelector("i"), left, top + 17 * at); text(item.textContent, left + 17, top + 17 * at); });
    return 17 * items.length;
  }
  text(host.querySelector(".title").textContent, left, top, SOFT);
  if (host.classList.contains("pair")) {
    context.imageSmoothingEnabled = false;
    context.drawImage(host.querySelector("canvas"), left, top + 18, 72, 72);
    context.imageSmoothingEnabled = true;
    host.querySelectorAll(".row div > div").forEach((line, at) => {
      swatch(line.querySelector("i"), left + 82, top + 30 + 22 * at);
      text(line.textContent, left + 98, top + 29 + 22 * at);
    });
    return 92;
  }
  const kind = host.id === "legend-other" ? "measured" : state.layer, source = maps[mapOf(kind)];
  for (let x = 0; x < LEGEND_PX - 24; x++) {
    const at = 3 * Math.round(x / (LEGEND_PX - 25) * 255);
    context.fillStyle = `rgb(${source[at]},${source[at + 1]},${source[at + 2]})`;
    context.fillRect(left + x, top + 18, 1.5, 9);
  }
  const ticks = [...host.querySelectorAll(".ticks span")];
  ticks.forEach((tick, at) => {
    const width = context.measureText(tick.textContent).width;
    text(tick.textContent, left + (LEGEND_PX - 24 - width) * at / (ticks.length - 1), top + 31);
  });
  const unknown = host.querySelector(".unknown");
  if (unknown) { swatch(unknown.querySelector("i"), left, top + 50); text(unknown.textContent, left + 17, top + 50); }
  return unknown ? 64 : 46;
}

function snapshot() {
  const view = stage.view(), canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  stage.draw(view);
  const hosts = ["legend-other", "legend-main"].map($).filter((host) => !host.hidden && host.firstChild);
  const width = Math.max(view.width, 320), legends = hosts.map((host) => (host.classList.contains("swatches") ? 200 : LEGEND_PX + (host.classList.contains("pair") ? 40 : 0)));
  const taken = legends.reduce((sum, own) => sum + own, 0), beside = width - taken - 2 * PICTURE_PAD >= 260;
  context.font = `${CAPTION_PX}px ${SANS}`;
  const lines = wrapped(context, pictureCaption(), beside ? width - taken - 2 * PICTURE_PAD - 12 : width - 2 * PICTURE_PAD);
  const textHeight = lines.length * 18, most = Math.max(0, ...hosts.map((host) => drawLegend(context, host, 0, 0)));
  const strip = (beside ? Math.max(textHeight, most) : textHeight + most + 10) + 2 * PICTURE_PAD;
  canvas.width = width * PICTURE_RATIO;
  canvas.height = (view.height + strip) * PICTURE_RATIO;
  context.scale(PICTURE_RATIO, PICTURE_RATIO);
  context.fillStyle = PAPER;
  context.fillRect(0, 0, width, view.height + strip);
  drawTissue(context, view);
  drawScaleBar(context, view.height);
  context.fillStyle = PAPER;
  context.fillRect(0, view.height, width, strip);
  let left = PICTURE_PAD;
  hosts.forEach((host, at) => { drawLegend(context, host, left, view.height + PICTURE_PAD); left += legends[at]; });
  context.font = `${CAPTION_PX}px ${SANS}`;
  context.fillStyle = INK;
  context.textAlign = "left";
  context.textBaseline = "top";
  const x = beside ? left + 12 : PICTURE_PAD, y = view.height + PICTURE_PAD + (beside ? 0 : most + 10);
  lines.forEach((line, at) => context.fillText(line, x, y + 18 * at));
  return canvas;
}

async function savePicture() {
  const blob = await new Promise((resolve) => snapshot().toBlob(resolve, "image/png"));
  download(`${about.title}_${$("gene-name").textContent}_${state.layer}.png`.replace(/[^\w.-]+/g, "-"), blob, "image/png");
}
