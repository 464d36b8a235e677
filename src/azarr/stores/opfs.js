// Objects as files below a folder of the browser. Gives what makes one store: of a path in the origin private file system, or a handle.
// Each operation gives a promise of [name of the error, value or message], and a function that ends it; a cancelled one still settles.
//
// A new object is staged and moved to its place, so that nobody sees a part of it. Whoever changes an object holds a Web Lock on its name,
// in all tabs and workers. A version is the time of change, in milliseconds, and the size.
(() => {
  const STAGED = ".azarr-staged", ANY = "*", DAY = 864e5;
  const TICK = 20;        // milliseconds: the clocks of file systems move in steps up to 10
  const AGAIN = 100;      // tries, where others replace the object, or delete its folder, at the same time
  const FOLDERS = 4096;   // handles that are kept
  const known = (error, ...names) => names.includes(error.name);
  const versionOf = (file) => file && `${file.lastModified}-${file.size}`;
  const operation = (work) => {
    const controller = new AbortController();
    const settled = work(controller.signal).then((value) => ["", value], (error) => [error.name, error.message]);
    return [settled, () => controller.abort()];
  };

  return (path, handle) => {
    const folders = new Map();
    let opened, place;

    // The root, and what it is called in names of locks. Handles are looked up by their path each time they are used.
    const open = async () => {
      if (!globalThis.navigator?.storage?.getDirectory)
        throw new DOMException("no files of its own: the browser is too old, or the page is not secure (https)", "NotSupportedError");
      const all = await navigator.storage.getDirectory();
      const above = handle && (await all.resolve(handle));
      place = handle && !above ? `picked ${handle.name}` : (above ?? path.split("/").filter(Boolean)).map((part) => `/${part}`).join("");
      return handle ?? all;
    };

    const ready = () => opened ??= open().catch((error) => { opened = undefined; throw error; });

    // The folder of this path, undefined if there is none; `make` makes it.
    const folder = async (parts, make = false) => {
      let here = await ready(), name = "";
      try {
        for (const part of [...(handle ? [] : path.split("/").filter(Boolean)), ...parts]) {
          name += `/${part}`;
          if (!folders.has(name)) folders.set(name, await here.getDirectoryHandle(part, { create: make }));
          here = folders.get(name);
        }
      } catch (error) {
        folders.clear();
        if (!make && known(error, "NotFoundError")) return undefined;
        throw error;
      }
      if (folders.size > FOLDERS) folders.clear();
      return here;
    };

    const fileOf = async (parts, name) => {
      try {
        return await (await (await folder(parts))?.getFileHandle(name))?.getFile();
      } catch (error) {
        if (known(error, "NotFoundError")) return undefined;
        throw error;
      }
    };

    const split = (key) => { const parts = key.split("/"); return [parts, parts.pop()]; };

    // What `work` gives, which is done again when it fails in one of these ways.
    const again = async (names, work) => {
      for (let tries = 0; ; tries++) {
        try {
          return await work();
        } catch (error) {
          if (!known(error, ...names) || tries > AGAIN) throw error;
          folders.clear();
        }
      }
    };

    // A file that is replaced or deleted after it was looked up can no longer be read.
    const get = (key, start, stop) => again(["NotFoundError", "NotReadableError", "AbortError"], async () => {
      const file = await fileOf(...split(key));
      if (!file) return undefined;
      const first = start < 0 ? Math.max(file.size + start, 0) : Math.min(start, file.size);
      const last = Math.max(first, Math.min(stop ?? file.size, file.size));
      return [await file.slice(first, last).arrayBuffer(), versionOf(file), file.size];
    });

    const locked = async (what, key, signal, work) => {
      await ready();
      return await navigator.locks.request(`azarr ${what} ${place}/${key}`, { signal }, work);
    };

    // Two versions of an object, one after the other, never have the same time.
    const grown = async (file) => {
      const age = Math.abs(Date.now() - file.lastModified);
      if (age < TICK) await new Promise((done) => setTimeout(done, TICK - age));
    };

    const put = (key, data, version, signal) => locked("change", key, signal, async () => {
      const [parts, name] = split(key), old = await fileOf(parts, name);
      if (version !== ANY && version !== versionOf(old)) return false;
      if (old) await grown(old);
      signal.throwIfAborted();
      if (data) await replace(parts, name, data, signal);
      else if (old) await remove(parts, name);
      return true;
    });

    const replace = async (parts, name, data, signal) => {
      const own = crypto.randomUUID();
      let waiting;
      const staged = await again(["NotFoundError", "UnknownError"], async () => {
        waiting = await folder([STAGED], true);
        return await waiting.getFileHandle(own, { create: true });
      });
      try {
        const stream = await staged.createWritable();
        try {
          await stream.write(data);
          signal.throwIfAborted();
          await stream.close();
        } catch (error) {
          await stream.abort().catch(() => {});
          throw error;
        }
        signal.throwIfAborted();
        await again(["NotFoundError", "NoModificationAllowedError", "UnknownError"], async () => staged.move(await folder(parts, true), name));
      } catch (error) {
        await waiting.removeEntry(own).catch(() => {});
        throw error;
      }
    };

    // Folders go with their last object, unless others work in them. While one is deleted, nothing in it can be: who deletes at the same
    // time tries again, as the other may have failed because of what this one deletes.
    const remove = async (parts, name) => {
      const gone = (from, name) => again(["NoModificationAllowedError"], async () => (await folder(from))?.removeEntry(name));
      await gone(parts, name);
      try {
        for (const above = [...parts]; above.length; folders.clear()) {
          const last = above.pop();
          await gone(above, last);
        }
      } catch (error) {
        if (!known(error, "NotFoundError", "InvalidModificationError", "NoModificationAllowedError")) throw error;
      }
    };

    // Folders that are deleted while they are looked through have nothing in them any more.
    const list = (prefix, deep) => again(["NotFoundError"], async () => {
      const found = [], within = async (here, start) => {
        for await (const [name, each] of here.entries()) {
          if (name.startsWith(STAGED)) continue;
          if (each.kind === "file") found.push(start + name);
          else if (deep) await within(each, `${start}${name}/`).catch((error) => { if (!known(error, "NotFoundError")) throw error; });
          else found.push(`${start}${name}/`);
        }
      };
      const here = await folder(prefix ? prefix.split("/") : []);
      if (here) await within(here, deep && prefix ? `${prefix}/` : "");
      return found.sort();
    });

    // What was staged a day ago is of somebody who is dead. What others move or delete meanwhile is gone already.
    const clean = () => again(["NotFoundError"], async () => {
      const waiting = await folder([STAGED]);
      for await (const [name, each] of waiting?.entries() ?? []) {
        try {
          if (each.kind === "file" && (await each.getFile()).lastModified < Date.now() - DAY) await waiting.removeEntry(name);
        } catch (error) {
          if (!known(error, "NotFoundError", "NotReadableError", "NoModificationAllowedError")) throw error;
        }
      }
    });

    return {
      get: (key, start, stop) => operation(() => get(key, Number(start), stop && Number(stop))),  // large ones come as BigInt
      put: (key, data, version) => {
        const buffer = data?.getBuffer("u8"), copy = buffer?.data.slice();  // Python's memory may move meanwhile
        buffer?.release();
        return operation((signal) => put(key, copy, version, signal));
      },
      list: (prefix, deep) => operation(() => list(prefix, deep)),
      clean: () => operation(clean),
      // Ending it lets go, once it is held.
      hold: (key) => operation((signal) => new Promise((held, failed) => {
        locked("hold", key, signal, () => new Promise((release) => {
          signal.addEventListener("abort", release);
          if (signal.aborted) release();
          held();
        })).catch(failed);
      })),
    };
  };
})()
