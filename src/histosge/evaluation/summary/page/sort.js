"use strict";
// missing values stay last, whichever way rows are sorted
function sortRows(table, column, isNumber, sign) {
  const body = table.tBodies[0];
  const keyOf = (cell) => cell.dataset.key ?? (cell.className === "a" ? "" : cell.textContent);
  const keyed = Array.from(body.rows, (row) => ({ row, key: keyOf(row.cells[column]) }));
  keyed.sort((a, b) => {
    if (a.key === "" || b.key === "") return (a.key === "") - (b.key === "");
    // a range such as 48–1000 is no number: the first of it decides
    const order = isNumber ? parseFloat(a.key) - parseFloat(b.key) : a.key.localeCompare(b.key, "en", { numeric: true });
    return sign * order;
  });
  body.append(...keyed.map(({ row }) => row));
}
for (const section of document.querySelectorAll("section")) {
  const table = section.querySelector("table");
  if (!table) continue;
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    button.addEventListener("click", () => {
      const isNumber = button.dataset.number === "1";
      const first = isNumber ? "descending" : "ascending";
      const other = isNumber ? "ascending" : "descending";
      const order = head.getAttribute("aria-sort") === first ? other : first;
      for (const each of heads) each.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      sortRows(table, column, isNumber, order === "ascending" ? 1 : -1);
    });
  });
  const form = section.querySelector("form");
  const search = form.querySelector("input");
  const selects = Array.from(form.querySelectorAll("select"));
  const choose = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      const fits = selects.every((select) => !select.value || row.cells[select.dataset.column].textContent.trim() === select.value);
      row.hidden = !(fits && words.every((word) => text.includes(word)));
      shown += row.hidden ? 0 : 1;
    }
    form.querySelector("output").textContent = `${shown} of ${table.tBodies[0].rows.length} rows`;
  };
  form.addEventListener("input", choose);
  form.addEventListener("submit", (event) => event.preventDefault());
}
