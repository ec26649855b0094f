"use strict";
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const { images, cards } = data;
const order = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
const PAGE = 60, AHEAD = 1500;  // cards made at once; pixels below the window that are filled
let shown = [], drawn = 0, current = 0;

const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};
const number = (value, digits = 4) => value === null || value === undefined ? "–" : String(+value.toPrecision(digits));
const percent = (value) => value === null ? "" : value > 0 && value < 0.001 ? "<0.1%" : `${(100 * value).toFixed(1)}%`;
const thumb = (base64) => `data:image/webp;base64,${base64}`;
const words = cards.map((card) => {
  const image = images[card.image];
  return [image.name, card.target, card.predicted, card.method, card.layer, image.error, card.note].filter(Boolean).join("\n").toLowerCase();
});

// filters and order; all of it lives in the address, so that a view can be kept and reloaded

const SORTS = {
  "name": ["name", (a, b) => order.compare(images[a.image].name, images[b.image].name)],
  "sure": ["confidence, highest first", (a, b) => (b.probability ?? -1) - (a.probability ?? -1)],
  "unsure": ["confidence, lowest first", (a, b) => (a.probability ?? 2) - (b.probability ?? 2)],
  "class": ["class", (a, b) => order.compare(a.target ?? "\uffff", b.target ?? "\uffff")],
  "method": ["method", (a, b) => order.compare(a.method ?? "\uffff", b.method ?? "\uffff")],
  "max": ["largest value", (a, b) => (b.max ?? -Infinity) - (a.max ?? -Infinity)],
  "slow": ["slowest", (a, b) => images[b.image].seconds - images[a.image].seconds],
};
const FIELDS = { q: "", class: "", method: "", state: "", low: "0", high: "100", sort: "name", mix: "100" };

function fill(select, values) {
  const counts = new Map();
  for (const value of values) if (value !== null) counts.set(value, (counts.get(value) ?? 0) + 1);
  select.append(new Option("all", ""));
  for (const value of [...counts.keys()].sort(order.compare)) select.append(new Option(`${value} (${counts.get(value)})`, value));
  select.closest("[data-for]").hidden = counts.size < 2;
}

function matches(card, index, text, low, high) {
  const state = $("state").value, probability = card.probability;
  if ($("class").value && card.target !== $("class").value) return false;
  if ($("method").value && card.method !== $("method").value) return false;
  if (state === "note" ? !card.note : state && images[card.image].state !== state) return false;
  if ((low > 0 || high < 1) && (probability === null || probability < low || probability > high)) return false;
  return text.every((word) => words[index].includes(word));
}

function refresh() {
  const text = $("q").value.toLowerCase().split(/\s+/).filter(Boolean);
  const low = Number($("low").value) / 100, high = Number($("high").value === "" ? 100 : $("high").value) / 100;
  shown = [...cards.keys()].filter((index) => matches(cards[index], index, text, low, high));
  const compare = (SORTS[$("sort").value] ?? SORTS.name)[1];
  shown.sort((a, b) => compare(cards[a], cards[b]) || a - b);
  $("grid").replaceChildren();
  drawn = current = 0;
  grow();
  $("none").hidden = shown.length > 0;
  $("count").value = shown.length === cards.length ? `${cards.length} shown` : `${shown.length} of ${cards.length}`;
  keep();
}

function keep() {
  const kept = new URLSearchParams();
  for (const [id, usual] of Object.entries(FIELDS)) if ($(id).value !== usual) kept.set(id, $(id).value);
  const hash = kept.toString();
  try { history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search); } catch { /* a page without an address */ }
}

function restore() {
  const kept = new URLSearchParams(location.hash.slice(1));
  for (const [id, usual] of Object.entries(FIELDS)) {
    $(id).value = kept.get(id) ?? usual;
    if ($(id).value === "" && usual) $(id).value = usual;
  }
  mix();
  refresh();
}

// the grid grows as it is scrolled

function grow() {
  do more(); while (drawn < shown.length && $("more").getBoundingClientRect().top < innerHeight + AHEAD);
}

function more(until = drawn + PAGE) {
  const part = document.createDocumentFragment();
  for (const end = Math.min(until, shown.length); drawn < end; drawn++) part.append(cell(drawn));
  $("grid").append(part);
}

function cell(place) {
  const card = cards[shown[place]], image = images[card.image];
  const item = make("li"), button = make("button", "card");
  button.type = "button";
  button.dataset.place = place;
  button.title = image.name;
  const pair = make("span", "pair");
  if (image.state === "failed") {
    button.classList.add("failed");
    pair.append(make("span", "", image.error ?? "failed"));
  } else {
    if (card.aligned) pair.classList.add("both");
    if (image.thumb && (card.aligned || !card.thumb)) pair.append(thumbnail(image.thumb, "under", card.thumb ? "" : image.name));
    if (card.thumb) pair.append(thumbnail(card.thumb, card.aligned ? "over" : "", described(card)));
    if (!image.thumb && !card.thumb) pair.append(make("span", "nothing", "no image to show"));
  }
  const what = make("span", "what");
  what.append(make("span", "", image.state === "failed" ? "failed" : card.target ?? "\u00a0"), " ", make("b", "", percent(card.probability)));
  button.append(pair, make("span", "name", image.name.split("/").pop()), what);
  if (image.state !== "failed") button.append(make("span", "how", [card.method, card.layer, image.name.split("/").slice(0, -1).join("/")].filter(Boolean).join(" · ")));
  item.append(button);
  return item;
}

function thumbnail(base64, className, alt) {
  const node = make("img", className);
  node.loading = "lazy";
  node.decoding = "async";
  node.alt = alt;
  node.src = thumb(base64);
  return node;
}

const described = (card) => `${card.method ?? "figure"}${card.target ? ` for ${card.target}` : ""} on ${images[card.image].name}`;

// the large view

function open(place) {
  current = Math.max(0, Math.min(place, shown.length - 1));
  const card = cards[shown[current]], image = images[card.image], large = $("large");
  const figure = card.files.find((file) => file.image);
  const [under, over] = large.querySelectorAll(".stage img");
  const both = card.aligned && (!figure || figure.kind === "overlay");  // a panel shows both by itself
  $("large-name").textContent = image.name;
  show(under, both ? image.url : null, both || !card.thumb ? image.thumb : null, image.name);
  show(over, figure ? figure.url : null, card.thumb, described(card));
  large.querySelector(".stage").classList.toggle("only", !both);
  large.querySelector(".stage").hidden = image.state === "failed";
  large.querySelector(".mix").hidden = !both;
  large.querySelector(".note").textContent = [image.error, image.hint, card.note].filter(Boolean).join(" – ");
  const facts = [["class", card.target], ["confidence", percent(card.probability)],
    ["predicted", card.predicted === card.target ? null : card.predicted], ["score", number(card.score)], ["method", card.method],
    ["layer", card.layer], ["raw values", card.max === null ? null : `${number(card.min)} to ${number(card.max)}`], ["seconds", number(image.seconds, 3)]];
  large.querySelector(".facts").replaceChildren(...facts.filter(([, value]) => value && value !== "–").map(([name, value]) => {
    const pair = make("div");
    pair.append(make("dt", "", name), make("dd", "", value));
    return pair;
  }));
  const links = [...card.files.map((file) => [file.url, file.path]), [image.url, "original"]];
  large.querySelector(".links").replaceChildren(...links.filter(([url]) => url).map(([url, name]) => {
    const link = make("a", "", name);
    link.href = url;
    link.target = "_blank";
    link.rel = "noopener";
    return link;
  }));
  $("place").textContent = `${current + 1} of ${shown.length}`;
  $("back").disabled = current === 0;
  $("next").disabled = current === shown.length - 1;
  if (!large.open) large.showModal();
}

function show(node, url, base64, alt) {
  const small = base64 ? thumb(base64) : null;
  node.onerror = () => { node.onerror = null; if (small) node.src = small; else node.hidden = true; };
  node.hidden = !url && !small;
  node.alt = alt;
  if (url || small) node.src = url || small; else node.removeAttribute("src");
}

function focusCard(place) {
  if (!shown.length) return;
  const wanted = Math.max(0, Math.min(place, shown.length - 1));
  if (wanted >= drawn) more(wanted + PAGE);
  const button = $("grid").children[wanted].firstElementChild;
  button.focus();
  button.scrollIntoView({ block: "nearest" });
}

function columns() {
  const items = $("grid").children;
  let count = 1;
  while (count < items.length && items[count].offsetTop === items[0].offsetTop) count++;
  return count;
}

// original and overlay, theme, keys

function mix() {
  document.documentElement.style.setProperty("--mix", $("mix").value / 100);
}
function largeMix() {
  $("large").style.setProperty("--large-mix", $("large-mix").value / 100);
}
function flip() {
  const slider = $("large").open ? $("large-mix") : $("mix");
  slider.value = slider.value > 50 ? 0 : 100;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
}

const THEMES = ["system", "light", "dark"];
function theme(name) {
  if (name === "system") delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = name;
  $("theme").textContent = `Theme: ${name}`;
  try { localStorage.setItem("camviz-theme", name); } catch { /* not kept, then */ }
}
function nextTheme() {
  theme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "system") + 1) % THEMES.length]);
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest("input:not([type=range]), select");
  const sliding = event.target.closest("input[type=range]");
  if ($("large").open) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && !sliding) { open(current + step); event.preventDefault(); } else if (event.key === "o") flip();
    return;
  }
  if (event.key === "Escape" && event.target === $("q")) { $("q").value = ""; refresh(); return; }
  if (typing || sliding) return;
  const place = Number(event.target.closest(".card")?.dataset.place ?? -1);
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns(), Home: -Infinity, End: Infinity };
  if (event.key === "/") { $("q").focus(); $("q").select(); } else if (event.key === "o") flip();
  else if (event.key === "t") nextTheme();
  else if (event.key === "?") $("help").open = !$("help").open;
  else if (event.key in steps && place >= 0) focusCard(place + steps[event.key]);
  else if (event.key === "ArrowDown" || event.key === "ArrowRight") { if (event.target !== document.body) return; focusCard(0); } else return;
  event.preventDefault();
}

for (const [id, [label]] of Object.entries(SORTS)) $("sort").append(new Option(label, id));
fill($("class"), cards.map((card) => card.target));
fill($("method"), cards.map((card) => card.method));
document.querySelector("[data-for=confidence]").hidden = !cards.some((card) => card.probability !== null);
document.querySelector("[data-for=state]").hidden = !cards.some((card) => card.note || images[card.image].state === "failed");

let waiting;
$("bar").addEventListener("input", (event) => {
  if (event.target === $("mix")) { mix(); keep(); return; }
  clearTimeout(waiting);
  waiting = setTimeout(refresh, event.target === $("q") ? 80 : 0);
});
$("bar").addEventListener("submit", (event) => event.preventDefault());
function reset(event) {
  event.preventDefault();
  for (const [id, usual] of Object.entries(FIELDS)) $(id).value = usual;
  mix();
  refresh();
}
$("bar").addEventListener("reset", reset);
$("clear").addEventListener("click", reset);
$("grid").addEventListener("click", (event) => {
  const card = event.target.closest(".card");
  if (card) open(Number(card.dataset.place));
});
$("large-mix").addEventListener("input", largeMix);
$("large").addEventListener("close", () => focusCard(current));
$("large").addEventListener("click", (event) => { if (event.target === $("large")) $("large").close(); });
$("back").addEventListener("click", () => open(current - 1));
$("next").addEventListener("click", () => open(current + 1));
$("theme").addEventListener("click", nextTheme);
document.addEventListener("keydown", keys);
addEventListener("hashchange", restore);
new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) grow(); }, { rootMargin: `${AHEAD}px` }).observe($("more"));
let stored = "system";
try { stored = localStorage.getItem("camviz-theme") ?? "system"; } catch { /* as the system has it */ }
theme(THEMES.includes(stored) ? stored : "system");
restore();
