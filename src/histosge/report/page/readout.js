// What the page says of the location under the pointer.

function readout(event) {
  const tip = $("tip"), box = stage.element.getBoundingClientRect();
  const px = event.clientX - box.left, py = event.clientY - box.top;
  const [x, y] = stage.toMicrometres(px, py);
  const shown = geometryOfLocations();
  let point = shown.outlines ? cellAt(x, y) : nearestTo(tables.locationsXY, x, y, Math.min(shown.radius, about.locations.reach_um), isShown);
  if (point >= 0 && !isShown(point)) point = -1;
  const spot = about.spots ? nearestTo(tables.spotsXY, x, y, about.spots.radius_um) : -1;
  tip.hidden = !now.predicted;
  tip.dataset.location = point;
  tip.dataset.spot = spot;
  const rows = [];
  if (point >= 0) {
    const sd = now.sd ? ` ± ${number(now.sd[point])}` : "";
    tip.dataset.predicted = now.predicted[point];
    tip.dataset.sd = now.sd ? now.sd[point] : "";
    rows.push(["predicted", number(now.predicted[point]) + sd]);
    if (now.means) rows.push(...meanRows(point));
    const noise = now.sd ? withNoise(now.row, now.sd[point]) : null;
    if (noise !== null) rows.push(["one measurement", `± ${number(noise)}`]);
    const label = labelOf(point);
    if (label && state.labels !== classesAt) rows.push(["domain", label]);
    if (classesAt >= 0 && labelOf(point, classesAt)) rows.push(["class", labelOf(point, classesAt)]);
    if (about.cells && ids) rows.unshift(["cell", ids[point]]);
  }
  if (spot >= 0 && now.measured) {
    tip.dataset.measured = now.measured.values[spot];
    const counts = now.measured.counts ? ` (${many(now.measured.counts[spot])} of ${many(now.measured.depth[spot])} counts)` : "";
    rows.push(["measured", number(now.measured.values[spot]) + counts]);
  }
  const [x0, y0] = frame.origin;
  rows.push(["x, y", `${many(Math.round(x + x0))}, ${many(Math.round(y + y0))} µm`]);
  tip.replaceChildren(...rows.flatMap(([term, text]) => {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = term;
    dd.textContent = text;
    return [dt, dd];
  }));
  const flipX = px > box.width - 260, flipY = py > box.height - 130;
  tip.style.transform = `translate(${px + (flipX ? -18 : 18)}px, ${py + (flipY ? -14 : 14)}px) translate(${flipX ? "-100%" : "0"}, ${flipY ? "-100%" : "0"})`;
}
