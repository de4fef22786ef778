"use strict";
// Sorts and filters all rows of the gallery. What is shown is said by the address alone, so that it can be kept and
// the browser's buttons work; without this script the pages are plain tables.

const order = [...rows.photo.keys()];
const onAPage = Number(document.body.dataset.onAPage);
const [wide, high] = document.body.dataset.cells.split(" ");
const collator = new Intl.Collator(undefined, { numeric: true });
const form = document.getElementById("filters"), body = document.querySelector("tbody");
const nav = document.querySelector("nav"), shown = document.getElementById("shown");
const heads = [...document.querySelectorAll("thead th")];
const pattern = body.querySelector("tr").cloneNode(true);
const lower = order.map((k) => [rows.photo, rows.prediction, rows.counter, rows.pair].map((column) => column[k]).join("\n").toLowerCase());
const START = { page: document.body.dataset.page, sort: "confidence", down: "", find: "", prediction: "", least: "", most: "" };

function state() {
  return { ...START, ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))) };
}

function go(change, isTyped = false) {
  const changed = Object.entries({ ...state(), ...change }).filter(([name, value]) => name in START && String(value) !== START[name]);
  const address = `#${new URLSearchParams(changed)}`;
  if (isTyped) location.replace(address);
  else location.hash = address;
}

function chosen(now) {
  const words = now.find.toLowerCase().split(/\s+/).filter(Boolean);
  const least = now.least === "" ? -Infinity : now.least / 100, most = now.most === "" ? Infinity : now.most / 100;
  const isBounded = now.least !== "" || now.most !== "";
  return order.filter((k) =>
    words.every((word) => lower[k].includes(word)) &&
    (now.prediction === "" || rows.prediction[k] === now.prediction) &&
    (!isBounded || (rows.confidence[k] !== null && rows.confidence[k] >= least && rows.confidence[k] <= most)));
}

// Rows come in the order of their confidence; those without a value stay last, whichever way the others go.
function sorted(found, now) {
  const column = rows[now.sort] ?? rows.confidence, sign = now.down ? -1 : 1;
  const isEmpty = (k) => column[k] === null || column[k] === "";
  const compare = column === rows.confidence ? (a, b) => column[a] - column[b] : (a, b) => collator.compare(column[a], column[b]);
  return found.sort((a, b) => isEmpty(a) - isEmpty(b) || (isEmpty(a) ? 0 : sign * compare(a, b)) || a - b);
}

function row(k) {
  const copy = pattern.cloneNode(true), picture = copy.querySelector(".picture");
  const region = rows.region[k] && rows.thumbnail[k] ? `M0 0h${wide}v${high}H0z${rows.region[k]}` : "";
  picture.querySelector("path").setAttribute("d", region);
  picture.querySelector("img")?.remove();
  if (rows.thumbnail[k]) {
    const image = new Image(96, 96);
    Object.assign(image, { alt: "", loading: "lazy", src: `../${rows.thumbnail[k]}` });
    picture.prepend(image);
  }
  copy.querySelector(".name").textContent = rows.photo[k];
  for (const cell of copy.querySelectorAll("td")) {
    const value = rows[cell.className][k];
    cell.textContent = cell.className !== "confidence" ? value : value === null ? "" : `${(100 * value).toFixed(1)} %`;
  }
  return copy;
}

function links(page, pages) {
  const near = [1, pages, page - 2, page - 1, page, page + 1, page + 2].filter((one) => one >= 1 && one <= pages);
  return [...new Set(near)].sort((a, b) => a - b).map((number) => {
    const link = document.createElement("a");
    link.textContent = number;
    link.href = `#page=${number}`;
    link.setAttribute("aria-label", `Page ${number}`);
    if (number === page) link.setAttribute("aria-current", "page");
    link.addEventListener("click", (event) => { event.preventDefault(); go({ page: number }); toTop(); });
    return link;
  });
}

function toTop() {
  scrollTo(0, 0);
  document.getElementById("photos").focus({ preventScroll: true });
}

function render() {
  const now = state(), found = sorted(chosen(now), now);
  const pages = Math.max(1, Math.ceil(found.length / onAPage)), page = Math.min(pages, Math.max(1, Math.trunc(now.page) || 1));
  const first = (page - 1) * onAPage, part = found.slice(first, first + onAPage);
  body.replaceChildren(...part.map(row));
  nav.replaceChildren(...links(page, pages));
  const count = (number) => number.toLocaleString("en");
  const all = found.length < order.length ? ` (${count(order.length)} in all)` : "";
  shown.textContent = part.length ? `Photos ${count(first + 1)} to ${count(first + part.length)} of ${count(found.length)}${all}.` : "No photo is like that.";
  for (const head of heads) {
    if (head.dataset.key === now.sort) head.setAttribute("aria-sort", now.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  for (const field of form.elements) if (field.name && field.value !== now[field.name]) field.value = now[field.name];
}

for (const head of heads) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = head.textContent;
  button.addEventListener("click", () => {
    const now = state();
    go({ sort: head.dataset.key, down: now.sort === head.dataset.key && !now.down ? "1" : "", page: 1 });
  });
  head.replaceChildren(button);
}
const classes = new Map();
for (const k of order) if (rows.confidence[k] !== null) classes.set(rows.prediction[k], (classes.get(rows.prediction[k]) ?? 0) + 1);
for (const name of [...classes.keys()].sort(collator.compare)) {
  form.elements.prediction.add(new Option(`${name} (${classes.get(name)})`, name));
}
form.addEventListener("input", (event) => go({ [event.target.name]: event.target.value, page: 1 }, true));
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", (event) => { event.preventDefault(); go({ ...START, page: 1 }); });
form.hidden = false;
addEventListener("hashchange", render);
render();
