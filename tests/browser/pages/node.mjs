// `node node.mjs DISTRIBUTION SITE`: reads lines of code and names, writes lines of what it gave. What Python prints goes to standard error.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { start } from "./python.mjs";

const [distribution, site] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(`${distribution}/pyodide.mjs`));
const run = await start(loadPyodide, { indexURL: `${distribution}/`, stdout: console.error, stderr: console.error }, site);
console.log("ready");
for await (const line of createInterface({ input: process.stdin })) console.log(await run(...JSON.parse(line)));
process.exit(0);
