// The list of genes with their accuracy, and the search. Only the rows in view exist in the page.

const ROW_PX = 30;
const ENSEMBL = /^ENS[A-Z]*G\d{11}(\.\d+)?$/i;

class GeneList {
  constructor(choose) {
    this.choose = choose;
    this.box = $("genes");
    this.rows = $("gene-rows");
    this.input = $("search");
    this.active = 0;
    this.chosen = -1;
    this.lower = genes.map((name) => name.toLowerCase());
    this.sorted = {};
    this.input.addEventListener("input", () => this.search());
    this.input.addEventListener("keydown", (event) => this.key(event));
    $("sort").addEventListener("change", () => this.search());
    this.box.addEventListener("scroll", () => this.draw(), { passive: true });
    this.rows.addEventListener("click", (event) => {
      const row = event.target.closest("[data-row]");
      if (row) { this.active = +row.dataset.at; this.choose(+row.dataset.row); }
    });
    const long = genes.map((name) => name.length).sort((a, b) => a - b)[genes.length >> 1] > 12;
    this.box.classList.toggle("long", long);
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  order(by) {
    if (!this.sorted[by]) {
      const value = { r_loo: tables.r_loo && genes.map((_, row) => strictOf(row)), level: tables.level }[by];
      const all = Array.from(genes.keys());
      const number = (row) => (Number.isNaN(value[row]) ? -Infinity : value[row]);
      if (value) all.sort((a, b) => number(b) - number(a) || a - b);
      else all.sort((a, b) => (this.lower[a] < this.lower[b] ? -1 : 1));
      this.sorted[by] = all;
    }
    return this.sorted[by];
  }

  search() {
    const query = this.input.value.trim().toLowerCase();
    const all = this.order($("sort").value);
    if (query) {
      const first = [], exact = [], inside = [];
      // Ensembl ids of different versions are the same gene
      const word = ENSEMBL.test(query) && !this.lower.includes(query) ? query.replace(/\.\d+$/, "") : query;
      for (const row of all) {
        const at = this.lower[row].indexOf(word);
        if (at === 0) (this.lower[row].length === word.length ? exact : first).push(row);
        else if (at > 0) inside.push(row);
      }
      this.matches = [...exact, ...first, ...inside];
    } else this.matches = all;
    const none = $("no-gene");
    none.hidden = this.matches.length > 0;
    if (!this.matches.length) {
      const near = this.near(query), id = genes.find((name) => ENSEMBL.test(name));
      const byId = id && !ENSEMBL.test(query);
      none.textContent = `No gene “${this.input.value.trim()}” among ${many(genes.length)}.`
        + (near.length ? ` Did you mean ${near.join(" or ")}?` : "")
        + (byId ? ` This section names its genes by Ensembl id, as ${id}; search for the id.` : "");
    }
    this.active = 0;
    this.rows.style.height = `${this.matches.length * ROW_PX}px`;
    this.box.scrollTop = 0;
    $("count").textContent = query ? `${many(this.matches.length)} match` : `${many(genes.length)} genes`;
    this.draw();
  }

  near(word) {
    const close = [];
    for (let row = 0; row < genes.length; row++) {
      if (Math.abs(this.lower[row].length - word.length) > 2) continue;
      const steps = distance(word, this.lower[row]);
      if (steps <= 2) close.push([steps, genes[row]]);
    }
    return close.sort((a, b) => a[0] - b[0]).slice(0, 3).map((item) => item[1]);
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / ROW_PX) - 1);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page }[event.key];
    if (step) {
      event.preventDefault();
      this.active = Math.max(0, Math.min(this.matches.length - 1, this.active + step));
      this.reveal(this.active);
      this.draw();
    } else if (event.key === "Enter" && this.matches.length) {
      this.choose(this.matches[this.active]);
      // further keys belong to the page: + is not part of a gene's name
      this.input.blur();
    } else if (event.key === "Escape") {
      if (this.input.value) { this.input.value = ""; this.search(); } else this.input.blur();
    }
    event.stopPropagation();
  }

  reveal(at) {
    const top = at * ROW_PX, { scrollTop, clientHeight } = this.box;
    if (top < scrollTop) this.box.scrollTop = top;
    else if (top + ROW_PX > scrollTop + clientHeight) this.box.scrollTop = top + ROW_PX - clientHeight;
  }

  mark(row) {
    this.chosen = row;
    const at = this.matches.indexOf(row);
    if (at >= 0) { this.active = at; this.reveal(at); }
    this.draw();
  }

  draw() {
    if (!this.matches) return;
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW_PX) - 4);
    const last = Math.min(this.matches.length, first + Math.ceil(this.box.clientHeight / ROW_PX) + 8);
    const made = [];
    for (let at = first; at < last; at++) made.push(this.row(at));
    this.rows.replaceChildren(...made);
    const active = this.matches.length ? `gene-${this.active}` : "";
    this.input.setAttribute("aria-activedescendant", active);
  }

  row(at) {
    const row = this.matches[at], rLoo = strictOf(row), item = document.createElement("div");
    item.className = "gene" + (row === this.chosen ? " chosen" : "") + (at === this.active ? " active" : "");
    item.id = `gene-${at}`;
    item.dataset.row = row;
    item.dataset.at = at;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", row === this.chosen);
    item.style.top = `${at * ROW_PX}px`;
    const name = document.createElement("span"), bar = document.createElement("span"), number = document.createElement("span");
    name.className = "name";
    name.textContent = genes[row];
    item.append(name);
    if (about.tables.includes("r_loo")) {
      bar.className = "bar";
      bar.style.setProperty("--share", Number.isNaN(rLoo) ? 0 : Math.max(0, rLoo).toFixed(3));
      number.className = "number";
      number.textContent = Number.isNaN(rLoo) ? "–" : rLoo.toFixed(2);
      item.title = Number.isNaN(rLoo) ? "unknown" : accuracy(row)[1];
      item.append(bar, number);
    }
    return item;
  }
}

function distance(a, b) {
  let before = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const now = [i];
    for (let j = 1; j <= b.length; j++) {
      now[j] = Math.min(before[j] + 1, now[j - 1] + 1, before[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    before = now;
  }
  return before[b.length];
}
