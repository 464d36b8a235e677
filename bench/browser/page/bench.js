// The page: reads with zarrita.js, and has Pyodide read with azarr and with the floor. Each call gives milliseconds, and whether the values
// were right, which is found out after the clock has stopped. Nothing is read from a cache: each URL is new.
import * as zarr from "/zarrita/zarrita.js";

const bits = (data) => new Uint32Array(data.buffer, data.byteOffset, data.byteLength / 4);
const LARGE_WIDTH = 8192; // of the array that is made of copies of the truth, side by side
let truth;

window.loadTruth = async (url) => {
  truth = new Uint32Array(await (await fetch(url)).arrayBuffer());
};

function same(data) {
  const found = bits(data);
  const side = Math.sqrt(truth.length), width = found.length === truth.length ? side : LARGE_WIDTH;
  for (let index = 0; index < found.length; index++) {
    const row = Math.floor(index / width);
    if (found[index] !== truth[(row % side) * side + (index - row * width) % side]) return false;
  }
  return found.length > 0;
}

window.readers = {};
window.stopped = () => {}; // called when a read is over, and its values are yet to be compared

const zarrita = (make) => async (url) => {
  const array = await zarr.open.v3(make(url), { kind: "array" });
  const start = performance.now();
  const { data } = await zarr.get(array);
  const ms = performance.now() - start;
  window.stopped();
  return { ms, right: same(data) };
};
window.readers["zarrita"] = zarrita((url) => new zarr.FetchStore(url));
window.readers["zarrita-tuned"] = zarrita((url) =>
  zarr.withRangeCoalescing(new zarr.FetchStore(url, { overrides: { cache: "no-store" } })));

// Python, in steps that the driver times or not.
let python;
window.python = () => python;

window.startPython = async (wheels) => {
  const { loadPyodide } = await import("/pyodide/pyodide.mjs");
  python = await loadPyodide();
  await python.loadPackage("numpy", { messageCallback: () => {} });
  python.runPython("import asyncio, numpy");
  for (const wheel of wheels)
    python.unpackArchive(await (await fetch(wheel)).arrayBuffer(), "wheel");
  return `${python.version} (Python ${python.runPython("import sys; sys.version.split()[0]")})`;
};

// Milliseconds of a statement.
window.timePython = (code) => {
  const start = performance.now();
  python.runPython(code);
  return performance.now() - start;
};

window.loadReaders = async (url, truthUrl) => {
  python.FS.writeFile("reader.py", await (await fetch(url)).text());
  python.globals.set("truth_bytes", truth);
  python.runPython("import reader; reader.set_truth(truth_bytes)");
  for (const name of python.runPython("list(reader.READERS)").toJs()) {
    const read = python.runPython(`reader.READERS["${name}"]`);
    window.readers[name] = async (url, layout) => {
      const [ms, right] = await read(url, JSON.stringify(layout));
      return { ms, right };
    };
  }
};

// Reads once, after what earlier reads have left behind is collected.
window.readOnce = async (name, url, layout) => {
  gc();
  await new Promise((resolve) => setTimeout(resolve, 20));
  return window.readers[name](url, layout);
};

// The gaps between animation frames while `name` reads.
window.frameGaps = async (name, url, layout) => {
  const gaps = [];
  let last, done = false;
  const tick = (now) => {
    if (done) return;
    if (last !== undefined) gaps.push(now - last);
    last = now;
    requestAnimationFrame(tick);
  };
  await new Promise((resolve) => requestAnimationFrame(resolve));
  window.stopped = () => { done = true; };
  requestAnimationFrame(tick);
  const found = await window.readers[name](url, layout);
  window.stopped = () => {};
  return { ...found, gaps };
};

// Milliseconds from the start of the page until the first value of `url` is there.
window.firstValue = async (url) => {
  const value = await python.runPythonAsync(`import azarr; float((await azarr.open_array("${url}")[:1, :1])[0, 0])`);
  return { ms: performance.now(), right: new Float32Array(truth.buffer)[0] === value };
};
window.ready = true;
