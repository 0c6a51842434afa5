// The tissue: deep zoom, painted locations above it, the outline and the scale bar.

const $ = (id) => document.getElementById(id);
const frame = about.frame;
const BLANK = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
const SVG = "http://www.w3.org/2000/svg";

function tileSource() {
  if (!about.image) {
    return { width: 1000, height: 1000 * frame.height / frame.width, tileSize: 1000, maxLevel: 0, minLevel: 0,
      getTileUrl: () => BLANK };
  }
  const { levels, tile } = about.image, last = levels.length - 1;
  const texts = new Map();
  return {
    width: levels[0].width, height: levels[0].height, tileSize: tile, tileOverlap: 0, minLevel: 0, maxLevel: last,
    getTileUrl(level, x, y) {
      const own = last - level;
      if (!texts.has(own)) texts.set(own, $("tiles-" + own).textContent.split("\n"));
      return "data:image/jpeg;base64," + texts.get(own)[y * Math.ceil(levels[own].width / tile) + x];
    },
  };
}

class Stage extends EventTarget {
  constructor() {
    super();
    this.element = $("stage");
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.viewer = OpenSeadragon({
      element: $("slide"), tileSources: tileSource(), drawer: "canvas", prefixUrl: "", showNavigationControl: false,
      showNavigator: Boolean(about.image), navigatorId: about.image ? "navigator" : undefined, navigatorBackground: "transparent", navigatorOpacity: 1,
      navigatorBorderColor: "transparent", navigatorDisplayRegionColor: "#23667a", maxZoomPixelRatio: 24,
      minZoomImageRatio: 0.5, visibilityRatio: 0.3, animationTime: still ? 0 : 0.45, springStiffness: 9,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true }, gestureSettingsTouch: { clickToZoom: false },
      crossOriginPolicy: false, keyboardNavEnabled: false,
    });
    // the library's own keys would also rotate and mirror the tissue
    this.viewer.addHandler("canvas-key", (event) => { event.preventDefaultAction = true; });
    this.viewer.canvas.tabIndex = -1;
    this.main = new Layer($("layer-main"));
    this.other = new Layer($("layer-other"));
    this.ready = new Promise((resolve) => this.viewer.addOnceHandler("open", resolve));
    this.viewer.addHandler("update-viewport", () => this.moved());
    // while the whole section is shown, it stays so when the window changes its size
    this.whole = false;
    this.viewer.addHandler("resize", () => setTimeout(() => { if (this.whole) this.fit(true); }));
    for (const kind of ["canvas-drag", "canvas-scroll", "canvas-pinch", "canvas-double-click", "navigator-click", "navigator-drag"]) {
      this.viewer.addHandler(kind, () => { this.whole = false; });
    }
    this.viewer.addHandler("resize", () => this.moved());
    for (const line of about.outline) this.outline(line);
  }

  outline(line) {
    const path = document.createElementNS(SVG, "polygon");
    const points = [];
    for (let i = 0; i < line.length; i += 2) points.push(`${line[i]},${line[i + 1]}`);
    path.setAttribute("points", points.join(" "));
    $("outline").append(path);
  }

  view() {
    const { viewport } = this.viewer, size = viewport.getContainerSize();
    const zero = viewport.pixelFromPoint(new OpenSeadragon.Point(0, 0), true);
    return { scale: viewport.getZoom(true) * size.x / frame.width, x: zero.x, y: zero.y, width: size.x, height: size.y };
  }

  moved() {
    const view = this.view(), last = this.shown;
    if (last && ["scale", "x", "y", "width", "height"].every((key) => Math.abs(last[key] - view[key]) < 1e-9)) return;
    this.shown = view;
    const layers = [this.main, this.other].filter((layer) => layer.geometry);
    const cost = layers.reduce((sum, layer) => sum + layer.cost, 0);
    const resized = last && (last.width !== view.width || last.height !== view.height);
    if (cost < 16 || resized) this.draw(view);
    else {
      for (const layer of layers) layer.follow(view);
      if (!this.waiting) this.waiting = setTimeout(() => { this.waiting = null; this.draw(this.view()); }, 4 * cost);
    }
    for (const id of ["outline", "imported", "region-shape"]) {
      $(id).setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.scale})`);
    }
    this.scaleBar(view);
    this.dispatchEvent(new Event("moved"));
  }

  draw(view) {
    this.main.draw(view);
    this.other.draw(view);
  }

  scaleBar(view) {
    const most = (view.width < 500 ? 90 : 150) / view.scale, power = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].map((step) => step * power).find((step) => step <= most);
    $("scale-line").style.width = `${length * view.scale}px`;
    $("scale-text").textContent = length >= 1000 ? `${length / 1000} mm` : `${+length.toPrecision(1)} µm`;
    $("scale-bar").dataset.um = length;
    $("scale-bar").dataset.px = length * view.scale;
  }

  // css pixels of the stage to µm of the frame
  toMicrometres(px, py) {
    const { scale, x, y } = this.view();
    return [(px - x) / scale, (py - y) / scale];
  }

  toPixels(xUm, yUm) {
    const { scale, x, y } = this.view();
    return [xUm * scale + x, yUm * scale + y];
  }

  // the centre of the view in µm of the section, and µm across its shorter side
  visible() {
    const { scale, width, height } = this.view(), [x, y] = this.toMicrometres(width / 2, height / 2);
    return { x: x + frame.origin[0], y: y + frame.origin[1], across: Math.min(width, height) / scale };
  }

  show({ x, y, across }) {
    this.whole = false;
    const { width, height } = this.view(), unit = 1 / frame.width, short = Math.min(width, height);
    const size = [across * width / short, across * height / short].map((side) => side * unit);
    const centre = [(x - frame.origin[0]) * unit, (y - frame.origin[1]) * unit];
    this.viewer.viewport.fitBounds(new OpenSeadragon.Rect(centre[0] - size[0] / 2, centre[1] - size[1] / 2, ...size), true);
  }

  zoom(factor) {
    this.whole = false;
    this.viewer.viewport.zoomBy(factor);
    this.viewer.viewport.applyConstraints();
  }

  pan(dx, dy) {
    this.whole = false;
    const { viewport } = this.viewer, size = viewport.getContainerSize();
    viewport.panBy(viewport.deltaPointsFromPixels(new OpenSeadragon.Point(dx * size.x, dy * size.y)));
    viewport.applyConstraints();
  }

  // pixels at the left, top, right and bottom that the cards take, at most a third of the height above and below, and
  // at least what a heading and a legend of one line take, which may not be there yet
  covered() {
    const own = this.element.getBoundingClientRect(), box = (query) => document.querySelector(query).getBoundingClientRect();
    const third = own.height / 3, gap = 8, least = { top: 66, bottom: 96 };
    return { left: gap, right: own.right - box(".toolbar").left + gap,
      top: Math.min(third, Math.max(least.top, box("#heading").bottom - own.top + gap)),
      bottom: Math.min(third, Math.max(least.bottom, own.bottom - box("#foot").top + gap)) };
  }

  // whether the cards have grown since the section was placed between them
  get isCovered() {
    const by = this.covered();
    return this.whole && (by.top > this.beside.top + 1 || by.bottom > this.beside.bottom + 1);
  }

  // the spots, with a margin, beside the cards
  fit(immediately = false) {
    this.whole = true;
    const { left, top, width, height } = frame.home, across = this.viewer.viewport.getContainerSize(), by = this.beside = this.covered();
    const free = [Math.max(50, across.x - by.left - by.right), Math.max(50, across.y - by.top - by.bottom)];
    // of the section on a pixel, and where the corner of the window lies
    const unit = Math.max(width / free[0], height / free[1]);
    const x = left + width / 2 - (by.left + free[0] / 2) * unit, y = top + height / 2 - (by.top + free[1] / 2) * unit;
    const bounds = [x, y, across.x * unit, across.y * unit].map((length) => length / frame.width);
    this.viewer.viewport.fitBounds(new OpenSeadragon.Rect(...bounds), immediately);
  }
}
