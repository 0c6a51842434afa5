// The list of genes with their accuracy, by pattern at first, and the search by name, alias and identifier. Only the rows
// in view exist in the page.

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
    this.aliases = new Map(Object.entries(about.aliases).map(([row, names]) => [+row, names]));
    this.ids = [];
    this.sorted = {};
    this.input.addEventListener("input", () => this.search());
    this.input.addEventListener("keydown", (event) => this.key(event));
    $("sort").addEventListener("change", () => this.search());
    lines("gene_ids").then((ids) => { this.ids = ids.map((id) => id.toLowerCase()); if (this.input.value) this.search(); });
    this.box.addEventListener("scroll", () => this.draw(), { passive: true });
    this.rows.addEventListener("click", (event) => {
      const row = event.target.closest("[data-row]");
      if (row) { this.active = +row.dataset.at; this.choose(+row.dataset.row, event.shiftKey); }
    });
    const long = genes.map((name) => name.length).sort((a, b) => a - b)[genes.length >> 1] > 12;
    this.box.classList.toggle("long", long);
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  // rows in an order; a heading of a group of genes is −1 − its number
  order(by) {
    if (!this.sorted[by]) this.sorted[by] = by === "pattern" ? this.byPattern() : this.byValue(by);
    return this.sorted[by];
  }

  byValue(by) {
    const value = { r_loo: tables.r_loo && genes.map((_, row) => strictOf(row)), level: tables.level }[by];
    const all = Array.from(genes.keys());
    const number = (row) => (Number.isNaN(value[row]) ? -Infinity : value[row]);
    if (value) all.sort((a, b) => number(b) - number(a) || a - b);
    else all.sort((a, b) => (this.lower[a] < this.lower[b] ? -1 : 1));
    return all;
  }

  byPattern() {
    const first = new Set(about.groups.flat()), ordered = about.groups.flatMap((rows, group) => [-1 - group, ...rows]);
    return [...ordered, -1 - about.groups.length, ...this.order("r_loo").filter((row) => !first.has(row))];
  }

  groupWords(group) {
    return about.groups[group] ? `Pattern of ${genes[about.groups[group][0]]}` : "Other genes";
  }

  // rows whose name, alias or identifier has the word: the same first, then those that begin with it
  found(word, all) {
    const first = [], exact = [], alias = [], inside = [];
    for (const row of all) {
      if (row < 0) continue;
      const at = this.lower[row].indexOf(word), also = (this.aliases.get(row) || []).map((name) => name.toLowerCase());
      // a gene that is called by its identifier has its symbol before it
      if (at === 0) (this.lower[row].split(" ").includes(word) ? exact : first).push(row);
      else if (also.includes(word)) alias.push(row);
      else if (at > 0 || (this.ids[row] || "").startsWith(word) || also.some((name) => word.length > 1 && name.startsWith(word))) inside.push(row);
    }
    return [...exact, ...alias, ...first, ...inside];
  }

  search() {
    const typed = this.input.value.trim(), query = typed.toLowerCase();
    const all = this.order($("sort").value);
    // Ensembl ids of different versions are the same gene
    const word = ENSEMBL.test(query) && !this.lower.includes(query) ? query.replace(/\.\d+$/, "") : query;
    this.word = word;
    this.matches = query ? this.found(word, all) : all;
    const none = $("no-gene");
    none.hidden = this.matches.length > 0;
    if (!this.matches.length) {
      const near = this.near(query), ids = genes.filter((name) => ENSEMBL.test(name.split(" ").at(-1)));
      const byId = ids.length > genes.length / 2 && !ENSEMBL.test(query);
      none.textContent = `No gene “${typed}” among ${many(genes.length)}.`
        + (near.length ? ` Did you mean ${near.join(" or ")}?` : "")
        + (byId ? ` This section names its genes by Ensembl id, as ${ids[0]}; search for the id.` : "");
    }
    this.active = this.step(-1, 1);
    this.rows.style.height = `${this.matches.length * ROW_PX}px`;
    this.box.scrollTop = 0;
    $("count").textContent = query ? `${many(this.matches.length)} match${this.matches.length === 1 ? "" : "es"}` : `${many(genes.length)} genes`;
    this.draw();
  }

  // the next row with a gene, headings left out
  step(from, by) {
    const last = this.matches.length - 1, way = Math.sign(by);
    let at = Math.max(0, Math.min(last, from + by));
    while (this.matches[at] < 0 && at + way >= 0 && at + way <= last) at += way;
    return this.matches[at] < 0 ? from : at;
  }

  // the alias that was searched for
  alias(row) {
    const word = this.word;
    if (!word || this.lower[row].includes(word)) return "";
    const id = this.ids[row] || "";
    return (this.aliases.get(row) || []).find((name) => name.toLowerCase().startsWith(word)) || (id.startsWith(word) ? id.toUpperCase() : "");
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
      this.active = this.step(this.active, step);
      this.reveal(this.active);
      this.draw();
    } else if (event.key === "Enter" && this.matches.length) {
      this.choose(this.matches[this.active], event.shiftKey);
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
    if (at >= 0) { this.active = at; if (this.matches[at - 1] < 0) this.reveal(at - 1); this.reveal(at); }
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
    const row = this.matches[at], item = document.createElement("div");
    item.style.top = `${at * ROW_PX}px`;
    if (row < 0) {
      item.className = "group";
      item.setAttribute("role", "presentation");
      item.textContent = this.groupWords(-1 - row);
      return item;
    }
    const rLoo = strictOf(row);
    item.className = "gene" + (row === this.chosen ? " chosen" : "") + (row === state.second ? " second" : "") + (at === this.active ? " active" : "");
    item.id = `gene-${at}`;
    item.dataset.row = row;
    item.dataset.at = at;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", row === this.chosen);
    const name = document.createElement("span"), bar = document.createElement("span"), number = document.createElement("span");
    name.className = "name";
    name.textContent = genes[row];
    item.append(name);
    const alias = this.alias(row);
    if (alias) {
      const also = document.createElement("span");
      also.className = "alias";
      also.textContent = ` ${alias}`;
      name.append(also);
    }
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
