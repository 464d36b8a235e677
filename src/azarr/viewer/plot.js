// Lines, ticks and edges in SVG. Knows places between 0 and 1, and texts; never data.

const NS = "http://www.w3.org/2000/svg";

export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Ticks that do not run into each other: texts along one line, `place` in pixels.
function apart(ticks, size) {
  let last = -Infinity;
  return ticks.filter(({ place, text }) => {
    const half = size(text) / 2;
    if (place - half < last + 8) return false;
    last = place + half;
    return true;
  });
}

const wide = (text) => 6.6 * text.length;

// The edges of a box: ticks left and below it, and what the axes are called.
export function edges({ box, rows, columns, rowName, columnName }) {
  const { left, top, width, height } = box, found = [];
  found.push(svg("path", { class: "edge", d: `M${left - 0.5} ${top}v${height + 0.5}h${width}` }));
  const below = columns.map(([place, text]) => ({ place: left + place * width, text })).sort((a, b) => a.place - b.place);
  for (const { place, text } of apart(below, wide)) {
    found.push(svg("path", { class: "edge", d: `M${place} ${top + height}v5` }));
    found.push(svg("text", { x: place, y: top + height + 18, "text-anchor": "middle" }, text));
  }
  const beside = rows.map(([place, text]) => ({ place: top + place * height, text })).sort((a, b) => a.place - b.place);
  for (const { place, text } of apart(beside, () => 14)) {
    found.push(svg("path", { class: "edge", d: `M${left} ${place}h-5` }));
    found.push(svg("text", { x: left - 9, y: place + 4, "text-anchor": "end" }, text));
  }
  if (columnName) found.push(svg("text", { class: "named", x: left + width / 2, y: top + height + 36, "text-anchor": "middle" }, columnName));
  if (rowName) found.push(svg("text", { class: "named", x: left, y: top - 9, "text-anchor": "start" }, rowName));
  return found;
}

// How much room texts at the left need.
export const room = (ticks) => Math.max(34, ...ticks.map(([, text]) => wide(text) + 16));

// A line in an SVG: `x` and `y` between 0 and 1, y null where there is no value. `mark` is the place of the point.
export function drawLine(element, line, { mark = null, rowName = "", columnName = "", height = 190 } = {}) {
  const width = element.clientWidth || 600, left = room(line.yTicks);
  const box = { left, top: 24, width: width - left - 14, height: height - 24 - 44 };
  element.setAttribute("viewBox", `0 0 ${width} ${height}`);
  element.style.height = `${height}px`;
  const rows = line.yTicks.map(([place, text]) => [1 - place, text]);
  const drawn = edges({ box, rows, columns: line.xTicks, rowName, columnName });
  let path = "", pen = "M";
  const alone = [];
  line.x.forEach((x, n) => {
    if (line.y[n] === null) { pen = "M"; return; }
    const at = `${(box.left + x * box.width).toFixed(1)} ${(box.top + (1 - line.y[n]) * box.height).toFixed(1)}`;
    if (pen === "M" && (line.y[n + 1] ?? null) === null) alone.push(at.split(" "));
    path += pen + at;
    pen = "L";
  });
  drawn.push(svg("path", { class: "line", d: path || "M0 0" }));
  for (const [cx, cy] of alone) drawn.push(svg("circle", { class: "dot", cx, cy, r: 2 }));
  if (mark !== null) {
    const at = box.left + mark * box.width;
    drawn.push(svg("path", { class: "mark", d: `M${at} ${box.top}v${box.height}` }));
  }
  const pointer = svg("g", { class: "pointer", visibility: "hidden" }, svg("path", { d: "" }), svg("circle", { r: 4 }));
  element.replaceChildren(...drawn, pointer);
  return { box, pointer, nearest: (pixel) => nearest(line.x, (pixel - box.left) / box.width) };
}

function nearest(places, wanted) {
  let best = 0;
  for (let n = 1; n < places.length; n++) if (Math.abs(places[n] - wanted) < Math.abs(places[best] - wanted)) best = n;
  return best;
}
