// Answers each message on the port that comes with it: null once Python has started, and code with what it gave.
import { loadPyodide } from "/pyodide/pyodide.mjs";
import { start } from "/pages/python.mjs";

const run = start(loadPyodide, {}, location.origin);

onmessage = async ({ data, ports: [port] }) => {
  try {
    const there = await run;
    port.postMessage(data === null ? true : await there(...data));
  } catch (error) { port.postMessage(String(error)); }
};
