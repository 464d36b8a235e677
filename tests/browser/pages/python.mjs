// Pyodide with azarr, installed as a user installs it. `start` gives a function that runs code, and gives what it gave or raised, as JSON.
const RUNNER = `
import json, traceback, warnings
from pyodide.code import eval_code_async

names = {"__name__": "__main__"}

async def run(code, given):
    names.update(json.loads(given))
    try:
        return json.dumps({"value": await eval_code_async(code, names)}, default=lambda each: each.tolist())
    except BaseException as error:
        return json.dumps({"name": type(error).__name__, "text": str(error), "traceback": traceback.format_exc()})

warnings.simplefilter("error")
run
`;
const INSTALL = `
import micropip
micropip.set_index_urls(f"{site}/simple")
await micropip.install("azarr")
`;

export async function start(loadPyodide, options, site) {
  const python = await loadPyodide(options);
  const quiet = { messageCallback: () => {} };
  await python.loadPackage("micropip", quiet);
  python.globals.set("site", site);
  await python.runPythonAsync(INSTALL);
  const run = python.runPython(RUNNER);
  return async (code, names) => await run(code, names); // a promise of JavaScript, not one of Python
}
