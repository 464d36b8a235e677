// Python, in a thread of its own: loads it, and passes questions and answers between the page and azarr.viewer.worker.

let python, azarr, started;

const tell = (starting) => postMessage({ starting });

async function start({ pyodide, azarr: source }) {
  tell("Loading Python");
  const { loadPyodide } = await import(new URL("pyodide.mjs", pyodide).href);
  python = await loadPyodide({ indexURL: pyodide });
  tell("Loading NumPy");
  const quiet = { messageCallback: () => {} };
  await python.loadPackage("numpy", quiet);
  tell("Loading azarr");
  if (source.endsWith(".zip")) {
    const answer = await fetch(source);
    if (!answer.ok) throw new Error(`${source}: the server answered ${answer.status}`);
    python.unpackArchive(await answer.arrayBuffer(), "zip", { extractDir: "/azarr" });
    python.runPython("import sys; sys.path.insert(0, '/azarr')");
  } else await install(source);
  azarr = python.pyimport("azarr.viewer.worker");
  postMessage({ ready: JSON.parse(azarr.maps()) });
}

async function install(requirement, options = {}) {
  await python.loadPackage("micropip", { messageCallback: () => {} });
  const micropip = python.pyimport("micropip");
  await micropip.install.callKwargs(requirement, options);
}

// The package of a codec: the one of the distribution, else that from the index which is known to run here.
async function installCodec(name) {
  tell(`Loading ${name}`);
  const quiet = { messageCallback: () => {}, errorCallback: () => {} };
  if (python.lockfile?.packages?.[name]) await python.loadPackage(name, quiet);
  if (!python.loadedPackages[name]) await install("blosc2", { deps: false });
}

function reply(number, text, data) {
  let bytes;
  if (data) {
    const view = data.getBuffer("u8clamped");
    bytes = view.data.slice();
    view.release();
  }
  postMessage({ number, text, bytes }, bytes ? [bytes.buffer] : []);
}

onmessage = async ({ data }) => {
  try {
    if (data.config) return await (started = start(data.config));
    await started;
    if (data.install) await installCodec(data.install).then(
      () => postMessage({ installed: data.install }),
      (error) => postMessage({ installed: data.install, failed: String(error.message ?? error) }));
    else if (data.cancel !== undefined) azarr.cancel(data.cancel);
    else azarr.begin(data.number, JSON.stringify(data.question), reply);
  } catch (error) {
    postMessage({ failed: String(error.message ?? error) });
  }
};
