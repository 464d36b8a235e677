// What is shown, and how: axes, sliders, colours and range. Tells what was changed; asks for nothing.

const $ = (id) => document.getElementById(id);
const option = (value, text) => Object.assign(document.createElement("option"), { value, textContent: text });

export class Controls {
  // `moved`: another position; `turned`: other axes; `repainted`: the same in other colours; `flipped`.
  constructor({ moved, turned, repainted, flipped }) {
    Object.assign(this, { moved, turned, repainted, flipped, sliders: new Map() });
    $("controls").addEventListener("submit", (event) => event.preventDefault());
    $("rows").addEventListener("change", () => this.#turn("rows"));
    $("columns").addEventListener("change", () => this.#turn("columns"));
    $("field").addEventListener("change", () => { this.state.field = $("field").value; this.turned(); });
    $("colour").addEventListener("change", () => repainted());
    $("flip").addEventListener("change", () => flipped());
    $("fill").addEventListener("change", () => repainted());
    $("auto").addEventListener("change", () => repainted());
    for (const id of ["low", "high"])
      $(id).addEventListener("change", () => { $("auto").checked = false; repainted(); });
  }

  // Colour maps by name, each a list of colours at equal distances.
  colours(maps) {
    this.maps = maps;
    $("colour").replaceChildren(...Object.keys(maps).map((name) => option(name, name)));
  }

  build(node, state) {
    Object.assign(this, { node, state });
    for (const id of ["rows", "columns"]) $(id).replaceChildren(...node.axes.map(({ name }, axis) => option(axis, name)));
    $("field-box").hidden = !node.fields.length;
    $("field").replaceChildren(...node.fields.map((name) => option(name, name)));
    $("auto").checked = true;
    $("fill").checked = node.fillApart;
    $("fill-box").hidden = node.fill === "nan" || !/^[-+.\deE]+$/.test(node.fill);
    $("fill-box").querySelector("span").textContent = `fill value ${node.fill} shown apart`;
    this.#lay();
  }

  // Axes that are neither rows nor columns.
  others() {
    return this.node.axes.map((_, axis) => axis).filter((axis) => !this.state.axes.includes(axis));
  }

  get flip() {
    return $("flip").checked;
  }

  look() {
    const [low, high] = [$("low"), $("high")].map((each) => Number.parseFloat(each.value));
    const limits = $("auto").checked || !(Number.isFinite(low) && Number.isFinite(high)) ? null : [low, high];
    return { colour: $("colour").value, fill: $("fill").checked, limits };
  }

  #turn(changed) {
    const { axes } = this.state, n = changed === "rows" ? 0 : 1, chosen = Number($(changed).value);
    if (axes[1 - n] === chosen) axes[1 - n] = axes[n];
    axes[n] = chosen;
    this.#lay();
    this.turned();
  }

  #lay() {
    const { axes } = this.state;
    if (axes.length === 2) [$("rows").value, $("columns").value] = axes;
    $("flip").checked = this.node.up[axes[0]] ?? false;
    this.sliders.clear();
    $("sliders").replaceChildren(...this.others().map((axis) => this.#slider(axis)));
  }

  #slider(axis) {
    const { name, length } = this.node.axes[axis], box = document.createElement("div");
    box.className = "slider";
    box.innerHTML = '<label class="top"><span></span><output></output><small></small></label><input type="range" min="0" step="1">';
    const [label, input] = box.children, [named, text, small] = label.children;
    named.textContent = name;
    Object.assign(input, { id: `axis-${axis}`, max: length - 1, value: this.state.at[axis], disabled: length < 2 });
    label.htmlFor = input.id;
    input.addEventListener("input", () => {
      this.state.at[axis] = Number(input.value);
      this.#index(axis);
      this.moved();
    });
    this.sliders.set(axis, { input, text, small });
    this.#index(axis);
    return box;
  }

  #index(axis) {
    const { small } = this.sliders.get(axis), { length } = this.node.axes[axis];
    small.textContent = `${(this.state.at[axis] + 1).toLocaleString("en")} of ${length.toLocaleString("en")}`;
  }

  // A slider that moves the part of a line that is shown, where that is not all of it.
  stretch(axis, [start, stop], moved) {
    const { length } = this.node.axes[axis], size = stop - start;
    if (size === length || this.sliders.has(axis)) return;
    const box = this.#slider(axis), { input, small } = this.sliders.get(axis);
    Object.assign(input, { max: length - size, step: Math.max(1, Math.floor(size / 4)), value: start });
    small.textContent = `${size.toLocaleString("en")} of ${length.toLocaleString("en")} at a time`;
    const fresh = input.cloneNode(); // without what a slider of a position does
    fresh.addEventListener("input", () => moved([Number(fresh.value), Number(fresh.value) + size]));
    input.replaceWith(fresh);
    this.sliders.set(axis, null);
    $("sliders").append(box);
  }

  // What stands at the position of each axis.
  place(places) {
    for (const [axis, { input, text }] of [...this.sliders].filter(([, slider]) => slider)) {
      text.textContent = places[axis];
      input.setAttribute("aria-valuetext", places[axis] || `${this.state.at[axis]}`);
    }
  }

  // What the picture was painted with.
  painted({ rangeTexts, legend, missing }) {
    const colours = this.maps[$("colour").value], marks = $("marks");
    $("bar").style.background = `linear-gradient(to right, ${colours.join(", ")})`;
    if ($("auto").checked) [$("low").value, $("high").value] = rangeTexts;
    marks.replaceChildren(...legend.map(([place, text]) => {
      const mark = Object.assign(document.createElement("span"), { textContent: text });
      mark.style.left = `${100 * place}%`;
      return mark;
    }));
    $("canvas").dataset.missing = missing;
  }
}
