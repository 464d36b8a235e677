// A database that keeps bytes under places, at most so many. Each operation gives a promise of [name of the error, value or message].
//
// "data" has the bytes; "uses" has of each how many there are, when they were used, and when they were checked; "total" has their sum.
((name, most) => {
  const FREE = 0.1;  // how much of it is emptied at a time
  let opened;
  const done = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const open = () => opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      for (const each of ["data", "total"]) request.result.createObjectStore(each);
      request.result.createObjectStore("uses").createIndex("used", "used");
    };
    request.onsuccess = () => {
      request.result.onversionchange = request.result.onclose = () => { request.result.close(); opened = undefined; };
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
  }).catch((error) => { opened = undefined; throw error; });

  // What `work` gives, in one transaction, once all that it did is stored.
  const within = async (mode, names, work) => {
    const transaction = (await open()).transaction(names, mode);
    const ended = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error ?? new DOMException("it was ended", "AbortError"));
    });
    ended.catch(() => {});
    try {
      const value = await work(...names.map((each) => transaction.objectStore(each)));
      await ended;
      return value;
    } catch (error) {
      try { transaction.abort(); } catch {}
      throw error;
    }
  };
  const change = (work) => within("readwrite", ["data", "uses", "total"], work);

  // Delete what `request` comes by, as long as `more` says so of the sum of their sizes; gives this sum.
  const drop = (request, data, more) => new Promise((resolve, reject) => {
    let size = 0;
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const cursor = request.result;
      if (!cursor || !more(size)) return resolve(size);
      size += cursor.value.size;
      data.delete(cursor.primaryKey);
      cursor.delete();
      cursor.continue();
    };
  });

  const used = async (uses, place, facts) => {
    const held = await done(uses.get(place));
    if (held) await done(uses.put({ ...held, ...facts }, place));
    return held;
  };

  const read = async (place, now) => {
    const bytes = await within("readonly", ["data"], (data) => done(data.get(place)));
    if (bytes === undefined) return undefined;
    const held = await within("readwrite", ["uses"], (uses) => used(uses, place, { used: now }));
    return held && [bytes, held.checked];
  };

  const write = (place, bytes, checked, now) => change(async (data, uses, total) => {
    const before = (await done(uses.get(place)))?.size ?? 0;
    let sum = ((await done(total.get(0))) ?? 0) + bytes.length - before;
    data.put(bytes.buffer, place);
    uses.put({ size: bytes.length, checked, used: now }, place);
    if (sum > most) sum -= await drop(uses.index("used").openCursor(), data, (gone) => sum - gone > most * (1 - FREE));
    await done(total.put(sum, 0));
  });

  const forget = (place) => change(async (data, uses, total) => {
    const gone = await drop(uses.openCursor(IDBKeyRange.bound(place, place + "\uffff")), data, () => true);
    await done(total.put(((await done(total.get(0))) ?? 0) - gone, 0));
  });

  const operation = (promise) => [promise.then((value) => ["", value], (error) => [error.name, error.message]), () => {}];
  return {
    read: (place, now) => operation(read(place, now)),
    write: (place, packed, checked, now) => {
      const buffer = packed.getBuffer("u8"), bytes = buffer.data.slice();  // Python's memory may move meanwhile
      buffer.release();
      if (bytes.length > most) return operation(Promise.resolve());
      return operation(write(place, bytes, checked, now).catch((error) => {  // a site that is full keeps no more
        if (error.name !== "QuotaExceededError") throw error;
      }));
    },
    touch: (place, checked, now) => operation(within("readwrite", ["uses"], (uses) => used(uses, place, { checked, used: now }))),
    forget: (place) => operation(forget(place)),
  };
})
