// The page's side of the worker: questions, of which a later one of the same kind cancels the earlier.

export class Cancelled extends Error {}

export class ReadError extends Error {
  constructor({ title, text, detail }) {
    super(text);
    Object.assign(this, { title, detail: detail ?? "" });
  }
}

export class Reader {
  #worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  #asked = new Map();
  #latest = new Map();
  #count = 0;
  #installed = new Map();

  constructor(config, { starting, counted }) {
    this.counted = counted;
    this.ready = new Promise((resolve, reject) => {
      this.#worker.onmessage = ({ data }) => {
        if (data.starting) starting(data.starting);
        else if (data.ready) resolve(data.ready);
        else if (data.installed) {
          const { resolve, reject } = this.#installed.get(data.installed), title = "A codec is not there";
          if (!data.failed) return resolve();
          this.#installed.delete(data.installed); // it may come the next time
          reject(new ReadError({ title, text: `Its package could not be loaded: ${data.installed}.`, detail: data.failed }));
        }
        else if (data.failed) {
          const error = new ReadError({ title: "Python did not start", text: "What the viewer needs could not be loaded.", detail: data.failed });
          reject(error);
        } else this.#answered(data);
      };
      this.#worker.onerror = (event) =>
        reject(new ReadError({ title: "Python did not start", text: "The worker of this page could not be loaded.", detail: event.message }));
    });
    this.#worker.postMessage({ config });
  }

  // The answer of `call`; an earlier question of the same `kind` is answered no more, and what it reads is ended.
  async ask(call, questions, { kind = call, happened = () => {} } = {}) {
    const before = this.#latest.get(kind);
    if (before !== undefined) this.cancel(before);
    const number = ++this.#count;
    this.#latest.set(kind, number);
    try {
      return await this.#send(number, call, questions, kind, happened);
    } catch (error) {
      if (!error.package) throw error;
      await this.#install(error.package);
      if (this.#latest.get(kind) !== number) throw new Cancelled(); // something else was asked meanwhile
      return this.#send(number, call, questions, kind, happened);
    }
  }

  cancel(number) {
    if (this.#asked.has(number)) this.#worker.postMessage({ cancel: number });
  }

  // End all that is asked for, of some kinds.
  stop(...kinds) {
    for (const kind of kinds) {
      this.cancel(this.#latest.get(kind));
      this.#latest.delete(kind); // an answer that is on its way is none
    }
  }

  #install(name) {
    if (!this.#installed.has(name)) {
      const entry = {};
      entry.done = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
      this.#installed.set(name, entry);
      this.#worker.postMessage({ install: name });
    }
    return this.#installed.get(name).done;
  }

  #send(number, call, questions, kind, happened) {
    return new Promise((resolve, reject) => {
      this.#asked.set(number, { resolve, reject, happened, kind });
      this.#worker.postMessage({ number, question: { call, ...questions } });
    });
  }

  #answered({ number, text, bytes }) {
    const said = JSON.parse(text), asked = this.#asked.get(number), latest = this.#latest.get(asked.kind) === number;
    if (said.event) {
      this.counted(said.event.counters);
      if (latest) asked.happened(said.event);
      return;
    }
    this.#asked.delete(number);
    this.counted(said.counters);
    if (said.cancelled || !latest) asked.reject(new Cancelled());
    else if (said.error) asked.reject(Object.assign(new ReadError(said.error), { package: said.error.package }));
    else asked.resolve(bytes ? { ...said.answer, bytes } : said.answer);
  }
}
