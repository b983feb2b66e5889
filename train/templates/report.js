"use strict";
// What train/report.py cannot write as plain HTML: plots, sorted tables, and the browser of spans.

const SYMBOLS = { hostile: "▼", neutral: "●", supportive: "▲" };
const PAGE = 25;

const read = (id) => JSON.parse(document.getElementById(id).textContent);

// An element with attributes and children; text goes in as text, so that no span can be read as markup.
function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) if (value) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

// ---- plots

function chartTheme() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const words = { labelColor: color("--text"), titleColor: color("--soft"), labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500 };
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const categories = dark
    ? ["#56b4e9", "#e69f00", "#1fc595", "#dd96c0", "#d9d9d9"]
    : ["#0072b2", "#d55e00", "#00805c", "#a8568a", "#666666"];
  return {
    background: "transparent",
    font: "system-ui, sans-serif",
    axis: { ...words, gridColor: color("--line"), domainColor: color("--line"), tickColor: color("--line"), labelLimit: 220 },
    legend: { ...words, symbolStrokeWidth: 2 },
    view: { stroke: color("--line") },
    mark: { color: categories[0] },
    range: { category: categories },
  };
}

function drawCharts() {
  // Level 1 is errors: plots whose height follows their classes are warned about for nothing.
  const options = { mode: "vega-lite", renderer: "svg", logLevel: 1, config: chartTheme(), actions: { export: true, source: false, compiled: false, editor: false } };
  const specs = read("chart-data");
  document.querySelectorAll(".chart").forEach((place, index) => {
    window.vegaEmbed(place, specs[index], options).catch((error) => { place.textContent = `This plot cannot be drawn: ${error.message}`; });
  });
}

// ---- tables

function sortTable(table, column) {
  const heading = table.tHead.rows[0].cells[column];
  const down = heading.getAttribute("aria-sort") === "descending" || (column === 0 && !heading.hasAttribute("aria-sort")) ? 1 : -1;
  const value = (row) => row.cells[column].textContent;
  const number = (row) => parseFloat(value(row).replace(/,/g, ""));
  const missing = (row) => column > 0 && Number.isNaN(number(row));
  const rows = [...table.tBodies[0].rows].sort((a, b) => {
    if (missing(a) || missing(b)) return missing(a) - missing(b); // always last
    return down * (column > 0 ? number(a) - number(b) : value(a).localeCompare(value(b)));
  });
  for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down === 1 ? "ascending" : "descending");
  table.tBodies[0].append(...rows);
}

for (const table of document.querySelectorAll(".sortable"))
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const button = element("button", { type: "button" }, ...cell.childNodes);
    button.addEventListener("click", () => sortTable(table, column));
    cell.append(button);
  });

// ---- spans

// What letters are told apart in a search: not marks, tatweel, forms of alef and of final ya.
const fold = (text) => text.normalize("NFKC").replace(/[\u064b-\u065f\u0670\u0640]/g, "")
  .replace(/[\u0622\u0623\u0625\u0671]/g, "\u0627").replace(/\u0649/g, "\u064a").toLowerCase();

// One row for each thing decided or told in a span; a filter asks for one of them.
function decisionsOf(card) {
  const rows = [];
  for (const event of card.events) {
    const modality = event.error === "wrong modality";
    if (event.gold || event.found)
      rows.push({ task: "events", labels: [event.type], error: modality ? null : event.error, sureness: modality ? 0 : event.sureness });
    if (event.gold && event.found)
      rows.push({ task: "modality", labels: [event.gold, event.modality], error: modality ? event.error : null, sureness: modality ? event.sureness : 0 });
  }
  for (const stance of card.stances)
    rows.push({ task: "stance", labels: [stance.gold, stance.stance], error: stance.error, sureness: stance.sureness });
  return rows;
}

const cards = read("card-data").map((card, place) => ({
  ...card,
  place,
  decisions: decisionsOf(card),
  haystack: fold([card.pieces.map((piece) => piece[0]).join(""), card.id, card.article, card.outlet, ...card.stances.map((s) => s.actor || "")].join("\n")),
}));
const filters = document.getElementById("filters");
let found = [];
let page = 0;

const verdict = (error) => (error ? element("span", { class: "no" }, `✗ ${error}: `) : element("span", { class: "yes" }, "✓ "));

const stanceWord = (stance) => element("span", { class: `stance ${stance}` }, `${SYMBOLS[stance] || ""} ${stance}`);
const share = (value) => value.toFixed(2);

function table(headings, rows) {
  const head = element("tr", null, ...headings.map((name) => element("th", { scope: "col" }, name)));
  return element("div", { class: "scroll" }, element("table", null, element("thead", null, head), element("tbody", null, ...rows)));
}

function showText(card) {
  const text = element("p", { class: "span", dir: "rtl", lang: "ar" });
  for (const [piece, mentions, numbered] of card.pieces) {
    const inner = mentions.length ? card.stances[mentions[mentions.length - 1]] : null;
    const label = mentions.map((i) => `${i + 1}: ${card.stances[i].gold}`).join(", ");
    text.append(inner ? element("mark", { class: inner.gold, title: label }, piece) : piece);
    for (const i of numbered) {
      const { gold } = card.stances[i];
      text.append(element("sup", { class: gold, dir: "ltr", title: gold }, `${SYMBOLS[gold] || ""}${i + 1}`));
    }
  }
  return text;
}

function showEvents(card) {
  const shown = card.events.filter((event) => event.gold || event.found);
  const others = card.events.filter((event) => !event.gold && !event.found);
  const rows = shown.map((event) => element("tr", null,
    element("th", { scope: "row" }, event.type),
    element("td", null, event.gold || "–"),
    element("td", null, verdict(event.error), `${share(event.probability)}, ${event.modality} ${share(event.modality_probability)}`)));
  const rest = others.map((event) => `${event.type} ${share(event.probability)}`).join(", ");
  return element("div", null,
    rows.length ? table(["event", "gold", "predicted"], rows) : null,
    rest ? element("p", { class: "others" }, `rightly left out: ${rest}`) : null);
}

function showStances(card) {
  const rows = card.stances.map((row, i) => element("tr", null,
    element("th", { scope: "row" }, `${i + 1} `, element("bdi", { lang: "ar" }, row.surface), " ", element("small", null, element("bdi", null, row.actor || "not in the lexicon"))),
    element("td", null, stanceWord(row.gold)),
    element("td", null, verdict(row.error), stanceWord(row.stance), ` ${share(row.probability)}`)));
  return rows.length ? table(["actor", "gold", "predicted"], rows) : null;
}

function showCard(card) {
  const facts = [element("b", null, element("bdi", null, card.outlet)), card.date || "no date", card.id, `article ${card.article}`, card.origin];
  return element("article", { class: card.decisions.some((row) => row.error) ? "wrong" : "" },
    element("header", null, ...facts.map((fact) => element("span", null, fact))),
    showText(card),
    element("div", { class: "pair" }, ...[showEvents(card), showStances(card)].filter(Boolean)));
}

function showPage() {
  const last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
  page = Math.min(Math.max(page, 0), last);
  document.getElementById("cards").replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map(showCard));
  document.getElementById("found").textContent = found.length ? `${found.length} of ${cards.length} spans` : "No span is like this.";
  const pages = document.getElementById("pages");
  pages.hidden = last === 0;
  pages.querySelector("span").textContent = `page ${page + 1} of ${last + 1}`;
  const [back, forth] = pages.querySelectorAll("button");
  back.disabled = page === 0;
  forth.disabled = page === last;
}

function findCards() {
  const { task, error, label, outlet, origin, order, search } = Object.fromEntries(new FormData(filters));
  const wrong = filters.elements.wrong.checked;
  const words = fold(search).split(/\s+/).filter(Boolean);
  const asked = (row) => (!task || row.task === task) && (!error || row.error === error) && (!label || row.labels.includes(label)) && (!wrong || row.error);
  const any = !(task || error || label || wrong);
  found = cards
    .filter((card) => (!outlet || card.outlet === outlet) && (!origin || card.origin === origin))
    .filter((card) => words.every((word) => card.haystack.includes(word)))
    .map((card) => ({ card, rows: card.decisions.filter(asked) }))
    .filter(({ rows }) => any || rows.length)
    .map(({ card, rows }) => ({ card, sureness: Math.max(0, ...rows.map((row) => row.sureness)) }))
    .sort((a, b) =>
      (order === "sureness" ? b.sureness - a.sureness : order === "date" ? (a.card.date || "9").localeCompare(b.card.date || "9") : 0) || a.card.place - b.card.place)
    .map(({ card }) => card);
  page = 0;
  showPage();
}

// Fill a choice with the values that occur where the other choices about decisions allow it.
function offer(name, values) {
  const choice = filters.elements[name];
  const kept = choice.value;
  choice.replaceChildren(choice.options[0], ...[...new Set(values)].filter(Boolean).sort().map((value) => element("option", null, value)));
  choice.value = [...choice.options].some((option) => option.value === kept) ? kept : "";
}

function offerDecisions() {
  const { task } = Object.fromEntries(new FormData(filters));
  const rows = cards.flatMap((card) => card.decisions).filter((row) => !task || row.task === task);
  offer("error", rows.map((row) => row.error));
  offer("label", rows.flatMap((row) => row.labels));
}

offer("outlet", cards.map((card) => card.outlet));
offer("origin", cards.map((card) => card.origin));
offerDecisions();
filters.addEventListener("input", (event) => { if (event.target.name === "task") offerDecisions(); findCards(); });
filters.addEventListener("reset", () => setTimeout(() => { offerDecisions(); findCards(); }));
filters.addEventListener("submit", (event) => event.preventDefault());
document.getElementById("pages").addEventListener("click", (event) => {
  if (event.target.value) { page += Number(event.target.value); showPage(); document.getElementById("found").scrollIntoView(); }
});
filters.hidden = false;
document.querySelector(".legend").hidden = false;
findCards();
drawCharts();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
