// Two small charts: the accuracy of all genes, and the coverage of the intervals.

function svg(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

const BARS = 24;

function accuracyChart(row) {
  const host = $("accuracy-chart");
  if (!host || !tables.r_loo) return;
  const counts = new Array(BARS).fill(0), low = -0.2, high = 1;
  const bar = (value) => Math.max(0, Math.min(BARS - 1, Math.floor((value - low) / (high - low) * BARS)));
  for (const value of tables.r_loo) if (!Number.isNaN(value)) counts[bar(value)]++;
  const most = Math.max(...counts, 1), width = 320, height = 84, step = width / BARS;
  const x = (value) => (value - low) / (high - low) * width;
  const own = rLooOf(row);
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height + 30}`, role: "img",
    "aria-label": `Number of genes by correlation ${about.left_out}` });
  counts.forEach((count, index) => {
    const tall = Math.sqrt(count / most) * height;
    chart.append(svg("rect", { x: index * step + 0.5, y: height - tall, width: step - 1, height: tall,
      class: !Number.isNaN(own) && bar(own) === index ? "bar-mine" : "bar-all" }));
  });
  chart.append(svg("line", { x1: 0, x2: width, y1: height + 0.5, y2: height + 0.5, class: "axis" }));
  for (const value of [0, 0.25, 0.5, 0.75, 1]) {
    chart.append(svg("text", { x: Math.min(x(value), width - 4), y: height + 13, class: "tick", "text-anchor": value === 1 ? "end" : "middle" }, value));
  }
  chart.append(svg("text", { x: width / 2, y: height + 27, class: "label", "text-anchor": "middle" },
    `r ${about.left_out}; heights: √ of the number of genes`));
  host.replaceChildren(chart);
}

function calibrationChart() {
  const host = $("calibration-chart"), calibration = about.calibration;
  if (!host || !calibration) return;
  const side = 190, pad = 40, key = 118;
  const at = (value) => value * side;
  const chart = svg("svg", { viewBox: `0 0 ${side + pad + key} ${side + pad + 8}`, role: "img",
    "aria-label": "Coverage of the intervals against their nominal level" });
  const plot = svg("g", { transform: `translate(${pad} 4)` });
  plot.append(svg("rect", { x: 0, y: 0, width: side, height: side, class: "frame" }));
  plot.append(svg("line", { x1: 0, y1: side, x2: side, y2: 0, class: "ideal" }));
  const line = (values, kind) => {
    const points = calibration.levels.map((level, i) => `${at(level)},${side - at(values[i])}`);
    plot.append(svg("polyline", { points: points.join(" "), class: `line ${kind}` }));
    calibration.levels.forEach((level, i) => plot.append(svg("circle", { cx: at(level), cy: side - at(values[i]), r: 3.2, class: `dot ${kind}` })));
    const last = calibration.levels.length - 1;
    return side - at(values[last]);
  };
  if (calibration.raw) line(calibration.raw, "raw");
  line(calibration.coverage, "done");
  for (const value of [0, 0.5, 1]) {
    plot.append(svg("text", { x: at(value), y: side + 13, class: "tick", "text-anchor": "middle" }, value));
    plot.append(svg("text", { x: -5, y: side - at(value) + 3, class: "tick", "text-anchor": "end" }, value));
  }
  plot.append(svg("text", { x: side / 2, y: side + 27, class: "label", "text-anchor": "middle" }, "nominal level"));
  plot.append(svg("text", { x: -30, y: side / 2, class: "label", "text-anchor": "middle", transform: `rotate(-90 -30 ${side / 2})` }, "coverage"));
  const names = [["done", calibration.raw ? "calibrated" : "intervals"], ...(calibration.raw ? [["raw", "before calibration"]] : [])];
  names.forEach(([kind, text], i) => {
    plot.append(svg("circle", { cx: side + 10, cy: 10 + 15 * i, r: 3.2, class: `dot ${kind}` }));
    plot.append(svg("text", { x: side + 18, y: 13 + 15 * i, class: "tick" }, text));
  });
  chart.append(plot);
  host.replaceChildren(chart);
}
