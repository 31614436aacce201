"use strict";

// Tables: a header button sorts (down for numbers first, up, then the order of the page), a search box hides rows.

function sortValue(row, column) {
  const cell = row.cells[column];
  if (cell.dataset.order !== undefined) return Number(cell.dataset.order);
  const text = cell.textContent.trim();
  return text === "—" ? null : text;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

function sortBy(table, header) {
  const column = header.cellIndex;
  const cycle = header.classList.contains("number") ? ["descending", "ascending"] : ["ascending", "descending"];
  const next = cycle[cycle.indexOf(header.getAttribute("aria-sort")) + 1];
  table.querySelectorAll("[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
  if (next) header.setAttribute("aria-sort", next);
  table.classList.toggle("grouped", !next && table.classList.contains("paper"));
  const sign = next === "descending" ? -1 : 1;
  const rows = [...table.tBodies[0].rows];
  rows.sort((first, second) => {
    const order = Number(first.dataset.place) - Number(second.dataset.place);
    if (!next) return order;
    const a = sortValue(first, column), b = sortValue(second, column);
    // What is missing comes last, whichever way.
    if (a === null || b === null) return (a === null) - (b === null) || order;
    return sign * compare(a, b) || order;
  });
  table.tBodies[0].append(...rows);
}

function matches(text, words) {
  return words.every((word) => text.includes(word));
}

function wordsOf(input) {
  return input.value.toLowerCase().split(/\s+/).filter(Boolean);
}

function search(input) {
  const rows = [...document.getElementById(input.dataset.table).tBodies[0].rows];
  const words = wordsOf(input);
  for (const row of rows) {
    const text = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
    row.hidden = !matches(text, words);
  }
  const shown = rows.filter((row) => !row.hidden).length;
  input.closest("header").querySelector("output").textContent =
    shown === rows.length ? `${rows.length} rows` : `${shown} of ${rows.length} rows`;
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tBodies[0].rows].forEach((row, place) => { row.dataset.place = place; });
  for (const button of table.querySelectorAll("thead button")) {
    button.addEventListener("click", () => sortBy(table, button.closest("th")));
  }
}
for (const input of document.querySelectorAll("input[data-table]")) {
  input.addEventListener("input", () => search(input));
}
