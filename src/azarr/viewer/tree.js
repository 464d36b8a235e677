// Groups and arrays as a tree, which is walked with the arrow keys. Asks for members when a group is opened.

const make = (name, options = {}, ...children) => {
  const element = Object.assign(document.createElement(name), options);
  element.append(...children);
  return element;
};

export class Tree {
  constructor(list, { members, chosen, refused }) {
    Object.assign(this, { list, members, chosen, refused, path: null });
    list.addEventListener("keydown", (event) => this.#key(event));
    list.addEventListener("click", (event) => {
      const item = event.target.closest("[role=treeitem]");
      if (!item) return;
      if (event.target.closest(".twist")) this.#toggle(item);
      else this.choose(item);
    });
  }

  // Show a hierarchy from its root.
  start(root) {
    const item = this.#item({ ...root, name: root.kind === "group" ? "/" : root.name || "array" }, 1);
    this.list.replaceChildren(item);
    item.tabIndex = 0;
    return item;
  }

  #item({ path, name, kind, shape, dtype }, level) {
    const label = make("span", { className: "label" }, make("span", { className: "name" }, name));
    if (kind === "array") label.append(make("span", { className: "shape" }, shape), make("span", { className: "kind" }, dtype));
    const row = make("div", { className: "line" }, make("span", { className: "twist" }), label);
    row.style.setProperty("--level", level - 1);
    const item = make("li", { tabIndex: -1 }, row);
    item.setAttribute("role", "treeitem");
    item.setAttribute("aria-level", level);
    item.setAttribute("aria-label", kind === "array" ? `${name}, ${shape}, ${dtype}` : `${name}, group`);
    Object.assign(item.dataset, { path, kind });
    if (kind === "group") item.setAttribute("aria-expanded", "false");
    return item;
  }

  async expand(item) {
    if (item.dataset.kind !== "group" || item.getAttribute("aria-expanded") === "true") return;
    if (!item.querySelector("[role=group]")) {
      item.setAttribute("aria-busy", "true");
      try {
        const level = Number(item.getAttribute("aria-level")) + 1;
        const found = await this.members(item.dataset.path);
        const group = make("ul", {}, ...found.map((each) => this.#item(each, level)));
        group.setAttribute("role", "group");
        item.append(group);
      } catch (error) {
        this.refused(error, item.dataset.path);
        return;
      } finally {
        item.removeAttribute("aria-busy");
      }
    }
    item.setAttribute("aria-expanded", "true");
  }

  #toggle(item) {
    if (item.getAttribute("aria-expanded") === "true") item.setAttribute("aria-expanded", "false");
    else return this.expand(item);
  }

  choose(item, focus = true) {
    this.mark(item.dataset.path);
    if (focus) item.focus();
    this.expand(item);
    this.chosen(item.dataset.path);
  }

  // The node that is shown, wherever it was chosen.
  mark(path) {
    for (const each of this.list.querySelectorAll("[role=treeitem]")) {
      const same = each.dataset.path === path;
      each.setAttribute("aria-selected", String(same));
      if (same) { this.#current.tabIndex = -1; each.tabIndex = 0; }
    }
  }

  find(path) {
    return [...this.list.querySelectorAll("[role=treeitem]")].find((each) => each.dataset.path === path);
  }

  // Open all groups above a path; the item there, if there is one.
  async reveal(path) {
    const parts = path.split("/");
    for (let n = 0; n < parts.length; n++) {
      const above = this.find(parts.slice(0, n).join("/"));
      if (above) await this.expand(above);
    }
    return this.find(path);
  }

  get #current() {
    return this.list.querySelector("[tabindex='0']") ?? this.list.firstElementChild;
  }

  #shown() {
    return [...this.list.querySelectorAll("[role=treeitem]")].filter((each) => !each.parentElement.closest("[aria-expanded=false]"));
  }

  #key(event) {
    const item = event.target.closest("[role=treeitem]"), all = this.#shown(), at = all.indexOf(item);
    const move = (to) => { if (to) { item.tabIndex = -1; to.tabIndex = 0; to.focus(); } };
    const open = item.getAttribute("aria-expanded");
    const keys = {
      ArrowDown: () => move(all[at + 1]),
      ArrowUp: () => move(all[at - 1]),
      Home: () => move(all[0]),
      End: () => move(all.at(-1)),
      ArrowRight: () => (open === "false" ? this.expand(item) : open && move(all[at + 1])),
      ArrowLeft: () => (open === "true" ? this.#toggle(item) : move(item.parentElement.closest("[role=treeitem]"))),
      Enter: () => this.choose(item),
      " ": () => this.choose(item),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  }
}
