// The page: what is chosen, what is asked for because of it, and where the answers go.

import { Controls } from "./controls.js";
import { Picture } from "./picture.js";
import { drawLine } from "./plot.js";
import { Cancelled, Reader, ReadError } from "./reader.js";
import { Tree } from "./tree.js";

const $ = (id) => document.getElementById(id);
const state = { path: null, node: null, at: [], axes: [], window: null, field: null, point: null, along: null, profile: null, places: [] };
const narrow = matchMedia("(max-width: 760px)");
let reader, tree, begin, typed = false;
const begun = new Promise((resolve) => (begin = resolve)); // Python is there

const decoded = (text) => {
  try { return decodeURIComponent(text); } catch { return text; }
};

function sizeText(bytes) {
  const power = Math.min(3, Math.floor(Math.log(Math.max(bytes, 1)) / Math.log(1024)));
  return `${(bytes / 1024 ** power).toFixed(power ? 1 : 0)} ${["B", "KiB", "MiB", "GiB"][power]}`;
}

function counted({ requests, nbytes }) {
  $("traffic").textContent = `${requests.toLocaleString("en")} request${requests === 1 ? "" : "s"} · ${sizeText(nbytes)}`;
}

function refused(error) {
  if (error instanceof Cancelled) return;
  const known = error instanceof ReadError;
  $("notice").querySelector("h2").textContent = known ? error.title : "This should not have happened";
  $("notice").querySelector("p").textContent = error.message;
  $("notice").querySelector("pre").textContent = known ? error.detail : (error.stack ?? "");
  $("notice").querySelector("details").hidden = known && !error.detail;
  $("notice").hidden = false;
  document.body.classList.remove("reading");
  if (!known) console.error(error);
}

const saidWell = () => ($("notice").hidden = true);

// A URL may hold a password or a token: such a one is not written into the address of the page.
const hasSecret = (url) => /:\/\/[^/]*@|\?/.test(url);

async function open(url) {
  await begun;
  saidWell();
  reader.stop("node", "picture", "paint", "value", "profile");
  $("node").hidden = $("by-path").hidden = true;
  state.path = null;
  $("tree").replaceChildren();
  $("source").textContent = $("host").textContent = "";
  $("starting").textContent = "Opening";
  try {
    const { name, root } = await reader.ask("open", { url });
    entitled(name);
    const item = tree.start(root);
    await tree.expand(item);
    const wanted = decoded(location.hash.replace(/^#\/?/, "")), found = wanted && (await tree.reveal(wanted));
    if (state.path === null) tree.choose(found || item, false);
  } catch (error) {
    refused(error);
  } finally {
    $("starting").textContent = "";
  }
}

// What is open: its name, and where it is unless that is here.
function entitled(name) {
  const { origin, hostname } = new URL(name), last = decoded(name.split("?")[0].replace(/\/+$/, "").split("/").pop());
  $("source").textContent = last || name;
  $("host").textContent = origin === location.origin ? "" : hostname;
  $("host").title = origin === location.origin ? "" : name;
  document.title = `${last} · azarr`;
}

async function choose(path) {
  saidWell();
  reader.stop("node", "picture", "paint", "value", "profile");
  Object.assign(state, { path, node: null, point: null, window: null, profile: null });
  document.body.classList.remove("drawn");
  $("menu").setAttribute("aria-expanded", "false");
  history.replaceState(null, "", path ? `#/${encodeURI(path)}` : location.pathname + location.search);
  try {
    const node = await reader.ask("node", { path });
    Object.assign(state, { node, at: (node.axes ?? []).map(() => 0), axes: node.view ?? [], field: node.fields?.[0] ?? null });
    describe(node);
    if (node.kind !== "array") return await contents(path);
    controls.build(node, state);
    state.along = controls.others()[0] ?? state.axes.at(-1);
    choices();
    await show();
  } catch (error) {
    refused(error);
  }
}

function describe(node) {
  $("node").hidden = false;
  $("name").textContent = node.path || $("source").textContent;
  $("about").textContent = [node.title, node.shape, node.dtype, node.units].filter(Boolean).join(" · ");
  $("stage").hidden = $("texts").hidden = $("contents-box").hidden = true;
  $("profile").hidden = true;
  list($("facts"), node.facts);
  list($("attributes"), node.attributes);
  $("attributes-box").hidden = !node.attributes.length;
  picture.image = picture.point = null;
}

// What stands in a group, to be chosen without the tree.
async function contents(path) {
  const item = tree.find(path);
  if (item) await tree.expand(item);
  if (state.path !== path) return;
  const found = [...(item?.querySelectorAll(":scope > [role=group] > [role=treeitem]") ?? [])];
  $("contents-box").hidden = !found.length;
  $("contents").replaceChildren(...found.map((each) => {
    const button = Object.assign(document.createElement("button"), { type: "button" }), line = document.createElement("li");
    const label = each.querySelector(".label").cloneNode(true);
    if (each.dataset.kind === "group") label.append(Object.assign(document.createElement("span"), { className: "kind", textContent: "group" }));
    button.append(label);
    button.addEventListener("click", () => { tree.choose(each, false); $("main").focus(); });
    line.append(button);
    return line;
  }));
}

function list(element, rows) {
  element.replaceChildren(...rows.flatMap(([label, text]) => [["dt", label], ["dd", text]].map(([name, textContent]) => Object.assign(document.createElement(name), { textContent }))));
}

// Read what is to be seen now; what was being read for another position is ended.
async function show() {
  const { node, path, at, axes, window, field } = state;
  if (node.empty) return texts({ texts: ["no elements"], count: 0 });
  saidWell();
  document.body.classList.add("reading");
  $("progress").removeAttribute("value");
  try {
    const found = await reader.ask("picture", { path, axes, at, window, field, ...controls.look() }, { happened: said });
    document.body.classList.remove("reading");
    if (found.count !== undefined) return texts(found);
    $("stage").hidden = false;
    $("texts").hidden = true;
    $("stage").classList.toggle("flat", axes.length === 1);
    state.window = found.window;
    if (axes.length === 1) {
      controls.stretch(axes[0], found.window[0], (window) => { state.window = [window]; show(); });
      return lined(found, true);
    }
    state.steps = found.steps;
    pictured(found);
    await pointed();
  } catch (error) {
    refused(error);
  }
}

function said({ done, total, places, plan }) {
  if (places) controls.place((state.places = places));
  if (plan) $("said").textContent = `reading ${plan.chunks.toLocaleString("en")} chunk${plan.chunks === 1 ? "" : "s"}, ${sizeText(plan.decoded)}`;
  if (total) $("progress").value = done / total;
}

function pictured({ bytes, shape, window, note, ...painted }) {
  const { node, axes } = state, [rows, columns] = axes, cells = node.cells;
  const names = axes.map((axis) => node.axes[axis].name + (node.axes[axis].units ? ` (${node.axes[axis].units})` : ""));
  const cell = cells[rows] && cells[columns] ? cells[columns] / cells[rows] : 1;
  picture.show({ bytes, shape, window, lengths: axes.map((axis) => node.axes[axis].length), ticks: painted.ticks, names, cell, flip: controls.flip });
  if (note !== undefined) $("said").textContent = note && `Shown: ${note}`;
  $("canvas").setAttribute("aria-label", `${node.path}: ${names[0]} down, ${names[1]} across, values from ${painted.rangeTexts.join(" to ")}`);
  controls.painted(painted);
}

async function repaint() {
  if (!picture.image) return;
  try {
    const painted = await reader.ask("paint", controls.look());
    pictured({ ...picture.image, ...painted });
  } catch (error) {
    refused(error);
  }
}

function texts({ texts: found, count }) {
  document.body.classList.remove("reading");
  $("texts").hidden = false;
  $("stage").hidden = !controls.others().length;
  $("stage").classList.add("flat");
  $("profile").hidden = true;
  $("said").textContent = $("value").textContent = "";
  $("texts").classList.toggle("one", count === 1);
  $("texts").textContent = found.join("\n") + (count > found.length ? `\n… ${(count - found.length).toLocaleString("en")} more` : "");
}

async function hover(place) {
  if (!place) return state.point ? pointed(false) : ($("value").textContent = "");
  try {
    valued(await reader.ask("value", { row: place[0], column: place[1] }));
  } catch (error) {
    refused(error);
  }
}

function valued({ text, places, at }) {
  const where = state.axes.map((axis) => `${state.node.axes[axis].name} ${places[axis] || at[axis]}`).join(", ");
  const units = state.node.units && text !== "missing" ? ` ${state.node.units}` : "";
  $("value").replaceChildren(Object.assign(document.createElement("b"), { textContent: text + units }), where);
}

// The chosen point: its value, and the profile through it.
async function pointed(withProfile = true) {
  if (!state.point) return;
  const [rows, columns] = state.axes, at = [...state.at];
  [at[rows], at[columns]] = state.point;
  const [row, column] = state.axes.map((axis, n) => Math.floor((at[axis] - state.window[n][0]) / state.steps[n]));
  const inside = row >= 0 && column >= 0 && row < picture.image.rows && column < picture.image.columns;
  picture.point = inside ? [row, column] : null;
  picture.draw();
  try {
    if (inside) valued(await reader.ask("value", { row, column }));
    if (!withProfile) return;
    const { fill } = controls.look();
    const line = await reader.ask("profile", { path: state.path, axis: state.along, at, field: state.field, fill });
    lined(line);
  } catch (error) {
    refused(error);
  }
}

function pick([row, column]) {
  state.point = [row, column].map((each, n) => state.window[n][0] + each * state.steps[n]);
  pointed();
}

let drawn = null;

function lined(line, alone = false) {
  const { node } = state, axis = node.axes[line.axis];
  $("profile").hidden = false;
  $("profile").querySelector("h2").textContent = alone ? `Values along ${axis.name}` : "Profile along";
  state.profile = line;
  redraw();
  $("line").setAttribute("aria-label", `${node.path} along ${axis.name}, from ${line.texts[0]} to ${line.texts.at(-1)}`);
  $("line-said").textContent = line.note ? `Shown: ${line.note}` : "";
}

function redraw() {
  const line = state.profile;
  if (!line || $("profile").hidden) return;
  const axis = state.node.axes[line.axis], [start, stop] = line.window[0], n = state.axes.indexOf(line.axis);
  const at = n < 0 ? state.at[line.axis] : state.point?.[n];
  const mark = state.axes.length > 1 && at !== undefined ? (at - start + 0.5) / (stop - start) : null;
  const names = { rowName: state.node.units, columnName: axis.name + (axis.units ? ` (${axis.units})` : "") };
  drawn = drawLine($("line"), line, { mark, ...names, height: state.axes.length === 1 ? 300 : 190 });
}

function lineHover(event) {
  if (!drawn || !state.profile) return;
  const line = state.profile, n = drawn.nearest(event.clientX - $("line").getBoundingClientRect().left), { box, pointer } = drawn;
  const x = box.left + line.x[n] * box.width, [path, circle] = pointer.children;
  path.setAttribute("d", `M${x} ${box.top}v${box.height}`);
  circle.setAttribute("cx", x);
  circle.setAttribute("cy", box.top + (1 - (line.y[n] ?? 0)) * box.height);
  circle.setAttribute("visibility", line.y[n] === null ? "hidden" : "inherit");
  pointer.setAttribute("visibility", "visible");
  const value = line.y[n] === null ? "missing" : `${line.texts[n]} ${state.node.units}`.trimEnd();
  $("line-said").textContent = `${value} at ${state.node.axes[line.axis].name} ${line.places[n]}`;
}

function choices() {
  const { node } = state;
  $("along").replaceChildren(...node.axes.map(({ name }, axis) => {
    const label = document.createElement("label"), input = document.createElement("input");
    Object.assign(input, { type: "radio", name: "along", value: axis, checked: axis === state.along });
    input.addEventListener("change", () => { state.along = axis; pointed(); });
    label.append(input, name);
    return label;
  }));
}

const picture = new Picture(
  { frame: $("frame"), canvas: $("canvas"), lines: $("edges"), overview: $("overview"), here: $("here") },
  { pointed: hover, picked: pick, moved: (window) => { state.window = window; show(); } },
);
const controls = new Controls({
  moved: () => { show(); redraw(); },
  turned: () => { Object.assign(state, { window: null, point: null }); picture.point = null; $("profile").hidden = true; choices(); show(); },
  repainted: repaint,
  flipped: () => { if (picture.image) { picture.image.flip = controls.flip; picture.layout(); } },
});

for (const button of document.querySelectorAll("[data-zoom]"))
  button.addEventListener("click", () => picture.zoom({ in: 0.5, out: 2, all: null }[button.dataset.zoom]));
$("line").addEventListener("pointermove", lineHover);
$("line").addEventListener("pointerleave", () => { drawn?.pointer.setAttribute("visibility", "hidden"); $("line-said").textContent = ""; });
new ResizeObserver(redraw).observe($("line"));
$("open").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("url").value.trim();
  if (!text) return;
  const url = /^[a-z][a-z0-9+]*:\/\//i.test(text) ? text : new URL(text, location.href).href;
  const query = new URLSearchParams(hasSecret(url) ? {} : { url });
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  if (hasSecret(url)) $("url").value = "";
  typed = true;
  open(url);
});
$("by-path").addEventListener("submit", (event) => {
  event.preventDefault();
  const path = $("path-text").value.trim().replace(/^\/+|\/+$/g, "");
  tree.mark(path);
  choose(path);
});
const drawer = (show) => {
  document.body.classList.toggle("drawn", show);
  $("menu").setAttribute("aria-expanded", String(show));
  if (show) $("tree").querySelector("[tabindex='0']")?.focus();
  else if (narrow.matches) $("menu").focus();
};
$("menu").addEventListener("click", () => drawer(!document.body.classList.contains("drawn")));
$("shade").addEventListener("click", () => drawer(false));
$("drawer").addEventListener("keydown", (event) => { if (event.key === "Escape" && narrow.matches) drawer(false); });

async function main() {
  const config = await (await fetch("config.json")).json(), base = new URL(".", location.href);
  const named = new URLSearchParams(location.search).get("url");
  if (named && hasSecret(named)) history.replaceState(null, "", location.pathname + location.hash);
  config.pyodide = new URL(config.pyodide, base).href;
  if (/\.(zip|whl)$/.test(config.azarr)) config.azarr = new URL(config.azarr, base).href;
  reader = new Reader(config, { counted, starting: (text) => ($("starting").textContent = text) });
  tree = new Tree($("tree"), {
    members: (path) => reader.ask("members", { path }, { kind: `members ${path}` }),
    chosen: choose,
    refused: (error) => { refused(error); if (!(error instanceof Cancelled)) $("by-path").hidden = false; },
  });
  controls.colours(await reader.ready);
  begin();
  $("starting").textContent = "";
  const url = named ?? config.url;
  if (!url && !typed) $("url").focus();
  else if (!typed) await open(new URL(url, base).href); // else that is being opened
  document.body.dataset.ready = "";
}

main().catch(refused).finally(() => ($("starting").textContent = ""));
