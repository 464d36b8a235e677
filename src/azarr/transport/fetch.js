// Requests, each with a number. `answered` is called once for each: number, status, headers, body, kind, and the URL at the end
// of redirects, if there were some.
// Status 0: no answer; -1: no whole body; -2: a stall; then `headers` says why, and `body` is how many bytes came.
// A server is silent when none of its answers moves: browsers queue requests, and those in the queue are not to blame.
(answered) => {
  const moved = new Map(), controllers = new Map(), LARGE = 1 << 20;
  const send = async (number, url, method, cache, follow, headers, most, patience) => {
    const controller = new AbortController(), origin = url.slice(0, url.indexOf("/", 8));
    let timer, stalled = false, got = 0;
    const move = () => moved.set(origin, performance.now());
    const look = () => {
      const left = moved.get(origin) + patience - performance.now();
      if (left > 0) timer = setTimeout(look, left);
      else { stalled = true; controller.abort(); }
    };
    const failed = (kind, error) => [stalled ? -2 : kind, `${error.name}: ${error.message}`, got, "", ""];
    const run = async () => {
      move();
      timer = setTimeout(look, patience);
      controllers.set(number, controller);
      try {
        let answer;
        try {
          const redirect = follow ? "follow" : "error", { signal } = controller;
          answer = await fetch(url, { method, cache, redirect, headers: headers ? JSON.parse(headers) : {}, signal });
        } catch (error) { return failed(0, error); }
        move();
        const told = (body) => [answer.status, seen, body, answer.type, answer.redirected ? answer.url : ""];
        let seen = "", body;
        for (const [name, value] of answer.headers) seen += name + ":" + value + "\n";
        const announced = answer.headers.get("content-length");
        if (most >= 0 && announced !== null && Number(announced) > most && method !== "HEAD") {
          controller.abort();
          return told();
        }
        try {
          if (announced !== null && Number(announced) < LARGE) body = await answer.arrayBuffer();
          else if (answer.body === null) body = new ArrayBuffer(0);
          else {
            const parts = [], reader = answer.body.getReader();
            for (let part; !(part = await reader.read()).done; ) {
              got += part.value.length;
              move();
              if (most >= 0 && got > most) { controller.abort(); return told(); }
              parts.push(part.value);
            }
            const all = new Uint8Array(got);
            let at = 0;
            for (const part of parts) { all.set(part, at); at += part.length; }
            body = all.buffer;
          }
        } catch (error) { return failed(-1, error); }
        move();
        return told(body);
      } finally {
        clearTimeout(timer);
        controllers.delete(number);
      }
    };
    answered(number, ...(await run()));
  };
  // From within Python the stack is deep, and whoever inspects the page (a debugger, a test) has it looked through at each request, which
  // takes a millisecond. So requests are sent when Python has returned; those that are aborted before are not.
  const queued = new Set();
  const later = (number, ...request) => {
    queued.add(number);
    queueMicrotask(() => { if (queued.delete(number)) send(number, ...request); });
  };
  const abort = (number) => { if (!queued.delete(number)) controllers.get(number)?.abort(); };
  return { send: later, abort };
}
