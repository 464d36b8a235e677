// The picture on its canvas: size, edges, the point, panning and zooming. Knows pixels and a window; never data.

import { edges, room } from "./plot.js";

const BELOW = 42, ABOVE = 26, BESIDE = 12;
const MOVED = 5; // pixels that make a drag of a click

export class Picture {
  // `pointed(row, column)` and `picked(row, column)` are told pixels of the picture, `moved(window)` a new window.
  constructor({ frame, canvas, lines, overview, here }, { pointed, picked, moved }) {
    Object.assign(this, { frame, canvas, lines, overview, here, pointed, picked, moved });
    this.image = null;
    this.point = null;
    this.shift = [0, 0];
    new ResizeObserver(() => this.layout()).observe(frame);
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", () => this.#drop());
    canvas.addEventListener("pointerleave", () => this.#held || this.pointed(null));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  #held = null;

  // A picture of `shape` pixels, of the part `window` of axes that have `lengths`; `cell` is how wide an element is for its height.
  show({ bytes, shape, window, lengths, ticks, names, cell, flip }) {
    const [rows, columns] = shape, source = document.createElement("canvas");
    Object.assign(source, { width: columns, height: rows });
    source.getContext("2d").putImageData(new ImageData(bytes, columns, rows), 0, 0);
    this.image = { source, rows, columns, window, lengths, ticks, names, cell, flip };
    this.shift = [0, 0];
    this.canvas.style.touchAction = this.isPart ? "none" : "manipulation";
    this.canvas.classList.toggle("part", this.isPart);
    this.layout();
  }

  get isPart() {
    return this.image.window.some(([start, stop], n) => stop - start < this.image.lengths[n]);
  }

  layout() {
    if (!this.image) return;
    const { window: [[r0, r1], [c0, c1]], ticks, cell, lengths, names, flip } = this.image;
    const left = room(ticks[0]), most = Math.max(200, Math.min(innerHeight * 0.56, 620));
    const width = this.frame.clientWidth - left - BESIDE;
    if (width <= 0) return;
    let ratio = ((c1 - c0) * cell) / (r1 - r0);
    ratio = Math.min(4, Math.max(0.45, ratio)); // long ones are stretched
    const wide = Math.max(1, Math.min(width, most * ratio)), high = wide / ratio;
    this.box = { left, top: ABOVE, width: Math.round(wide), height: Math.round(high) };
    const { style } = this.canvas;
    style.left = `${this.box.left}px`;
    style.top = `${this.box.top}px`;
    style.width = `${this.box.width}px`;
    style.height = `${this.box.height}px`;
    this.canvas.width = Math.round(this.box.width * devicePixelRatio);
    this.canvas.height = Math.round(this.box.height * devicePixelRatio);
    const height = this.box.height + ABOVE + BELOW;
    this.frame.style.height = `${height}px`;
    this.frame.style.setProperty("--left", `${this.box.left}px`);
    this.frame.style.setProperty("--right", `${this.frame.clientWidth - this.box.left - this.box.width}px`);
    this.frame.closest(".view").style.setProperty("--left", `${this.box.left}px`);
    this.frame.closest(".view").style.setProperty("--wide", `${this.box.width}px`);
    this.lines.setAttribute("viewBox", `0 0 ${this.frame.clientWidth} ${height}`);
    const rows = ticks[0].map(([place, text]) => [flip ? 1 - place : place, text]);
    this.lines.replaceChildren(...edges({ box: this.box, rows, columns: ticks[1], rowName: names[0], columnName: names[1] }));
    this.overview.toggleAttribute("hidden", !this.isPart);
    const [y, x] = [r0 / lengths[0], c0 / lengths[1]].map((each) => each * 100);
    const size = { x, width: Math.max(3, (100 * (c1 - c0)) / lengths[1]), height: Math.max(3, (100 * (r1 - r0)) / lengths[0]) };
    size.y = flip ? 100 - y - size.height : y;
    for (const [name, value] of Object.entries(size)) this.here.setAttribute(name, value);
    this.draw();
  }

  draw() {
    if (!this.image) return;
    const { source, rows, columns, flip } = this.image, pen = this.canvas.getContext("2d"), { width, height } = this.canvas;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.imageSmoothingEnabled = columns > width || rows > height;
    const [dx, dy] = this.shift.map((each) => each * devicePixelRatio);
    if (flip) pen.setTransform(1, 0, 0, -1, dx, height + dy);
    else pen.translate(dx, dy);
    pen.drawImage(source, 0, 0, width, height);
    pen.setTransform(1, 0, 0, 1, 0, 0);
    if (this.point) this.#mark(pen, width, height, rows, columns, flip);
  }

  #mark(pen, width, height, rows, columns, flip) {
    const [row, column] = this.point, y = ((flip ? rows - 1 - row : row) + 0.5) / rows * height, x = ((column + 0.5) / columns) * width;
    const gap = 7 * devicePixelRatio;
    for (const [style, thick] of [["rgba(255,255,255,.85)", 3], ["rgba(0,0,0,.9)", 1.2]]) {
      pen.strokeStyle = style;
      pen.lineWidth = thick * devicePixelRatio;
      pen.beginPath();
      pen.arc(x, y, gap, 0, 2 * Math.PI);
      for (const [a, b, c, d] of [[x - 2 * gap, y, x - gap, y], [x + gap, y, x + 2 * gap, y], [x, y - 2 * gap, x, y - gap], [x, y + gap, x, y + 2 * gap]]) {
        pen.moveTo(a, b);
        pen.lineTo(c, d);
      }
      pen.stroke();
    }
  }

  // The pixel of the picture under an event.
  #under(event) {
    const box = this.canvas.getBoundingClientRect(), { rows, columns, flip } = this.image;
    const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
    const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
    if (row < 0 || column < 0 || row >= rows || column >= columns) return null;
    return [flip ? rows - 1 - row : row, column];
  }

  #down(event) {
    if (!this.image || event.button) return;
    this.#held = { x: event.clientX, y: event.clientY, moved: false };
    this.canvas.setPointerCapture(event.pointerId);
  }

  #move(event) {
    if (!this.image) return;
    if (!this.#held) return this.pointed(this.#under(event));
    const [dx, dy] = [event.clientX - this.#held.x, event.clientY - this.#held.y];
    this.#held.moved ||= Math.hypot(dx, dy) > MOVED;
    if (this.#held.moved && this.isPart) {
      this.shift = [dx, dy];
      this.draw();
    }
  }

  #up(event) {
    const held = this.#held, place = this.image && this.#under(event);
    this.#held = null;
    if (held && !held.moved && place) this.picked(place);
    else if (held && this.isPart) {
      const { window: [[r0, r1], [c0, c1]], flip } = this.image;
      this.pan((flip ? 1 : -1) * (this.shift[1] / this.box.height) * (r1 - r0), -(this.shift[0] / this.box.width) * (c1 - c0));
    } else this.#drop();
  }

  #drop() {
    this.#held = null;
    this.shift = [0, 0];
    this.draw();
  }

  // Move the window by so many elements.
  pan(rows, columns) {
    this.#go(this.image.window.map(([start, stop], n) => [start + [rows, columns][n], stop + [rows, columns][n]]));
  }

  // `factor` times as many elements, around the point or the middle; none for all.
  zoom(factor) {
    if (!this.image) return;
    const { rows, columns, window, lengths } = this.image;
    const middle = this.point ? [(this.point[0] + 0.5) / rows, (this.point[1] + 0.5) / columns] : [0.5, 0.5];
    this.#go(window.map(([start, stop], n) => {
      if (!factor) return [0, lengths[n]];
      const size = Math.min(lengths[n], Math.max(Math.min(4, lengths[n]), Math.round((stop - start) * factor)));
      const first = start + middle[n] * (stop - start) - middle[n] * size;
      return [first, first + size];
    }));
  }

  #go(window) {
    const fitted = window.map(([start, stop], n) => {
      const size = Math.round(stop - start), first = Math.max(0, Math.min(Math.round(start), this.image.lengths[n] - size));
      return [first, first + size];
    });
    if (JSON.stringify(fitted) === JSON.stringify(this.image.window)) this.#drop();
    else this.moved(fitted);
  }

  #wheel(event) {
    if (!event.ctrlKey || !this.image) return; // a wheel alone scrolls the page; two fingers that spread come as ctrl
    event.preventDefault();
    if (this.#rested > event.timeStamp) return;
    this.#rested = event.timeStamp + 150;
    this.point ??= this.#under(event);
    this.zoom(event.deltaY < 0 ? 0.5 : 2);
  }

  #rested = 0;

  #key(event) {
    if (!this.image || event.ctrlKey || event.metaKey || event.altKey) return;
    const { rows, columns, window: [[r0, r1], [c0, c1]], flip } = this.image;
    const steps = { ArrowUp: [flip ? 1 : -1, 0], ArrowDown: [flip ? -1 : 1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const zoom = { "+": 0.5, "=": 0.5, "-": 2, 0: null }[event.key];
    if (steps && event.shiftKey) this.pan((steps[0] * (r1 - r0)) / 2, (steps[1] * (c1 - c0)) / 2);
    else if (steps) {
      const [row, column] = this.point ?? [Math.floor(rows / 2), Math.floor(columns / 2)];
      const first = !this.point;
      this.picked([clamp(row + (first ? 0 : steps[0]), rows), clamp(column + (first ? 0 : steps[1]), columns)]);
    } else if (zoom !== undefined) this.zoom(zoom);
    else return;
    event.preventDefault();
  }
}

const clamp = (value, length) => Math.max(0, Math.min(length - 1, value));
