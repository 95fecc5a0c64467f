// Where figures come from. A source answers one request at a time: `ask(request)` is a promise of a reply
// (the protocol is in resnet_edu/lab/__init__.py), rejected with a readable error when there will be none.

const PATIENCE = 6000; // milliseconds without an answer before a source counts as lost

/**
 * Number the requests, match the replies. Without an answer for a while the source is lost (`lost` says so), or, if it
 * may be `busy`, the reader is told and it goes on when the answer comes.
 */
export function correspond(send, lost, busy = null) {
  let [last, broken, heard] = [0, null, 0];
  const open = new Map();
  const post = { notice: () => {}, fail, receive, ask };
  function fail(text) {
    broken = text;
    for (const { reject } of open.values()) reject(new Error(text));
    open.clear();
  }
  function late() {
    if (busy) post.notice(busy);
    else fail(lost);
  }
  function receive(reply) {
    heard = performance.now();
    if (reply.progress) return open.get(reply.id)?.progress?.(reply.progress);
    open.get(reply.id)?.resolve(reply);
    return open.delete(reply.id);
  }
  function ask(request, { progress, signal } = {}) {
    if (broken) return Promise.reject(new Error(broken));
    return new Promise((resolve, reject) => {
      const id = ++last;
      let [waited, timer] = [false, 0];
      const wait = (time) => {
        timer = setTimeout(() => { // a source that answers others, or reports, is not lost
          const left = document.hidden ? PATIENCE : heard + PATIENCE - performance.now();
          if (left > 0) return wait(left);
          waited = true;
          return late();
        }, time);
      };
      wait(PATIENCE);
      const stop = () => send({ id: ++last, kind: "cancel", of: id });
      signal?.addEventListener("abort", stop, { once: true });
      const settle = (how) => (value) => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", stop);
        if (waited) post.notice("");
        how(value);
      };
      open.set(id, { resolve: settle(resolve), reject: settle(reject), progress });
      try {
        send({ ...request, id });
      } catch {
        fail(lost);
      }
    });
  }
  return post;
}

/** Training in this page: `engine` is the function that serves a Worker. */
export function browserSource(engine, digits) {
  const stopped = "The training worker of this page stopped answering. Press Reset to start another";
  const address = URL.createObjectURL(new Blob([`(${engine})().serve(self)`], { type: "text/javascript" }));
  const worker = new Worker(address);
  const post = correspond((message) => worker.postMessage(message), `${stopped}.`);
  worker.onmessage = ({ data }) => post.receive(data);
  worker.onerror = (event) => {
    event.preventDefault();
    post.fail(`${stopped}. ${event.message ?? ""}`);
  };
  post.ask({ kind: "hello", digits }).catch(() => {});
  return Object.assign(post, {
    /**
     * Ask about the network that the Worker holds; a promise of the answer's value. `progress({ done, total, part })` follows
     * it; `signal` gives it up, which rejects with an AbortError.
     */
    async question(question, settings, { progress, signal } = {}) {
      const given = () => new DOMException("given up", "AbortError");
      if (signal?.aborted) throw given();
      const { value, error, cancelled } = await post.ask({ kind: "ask", question, settings }, { progress, signal });
      if (cancelled) throw given();
      if (error) throw new Error(error);
      return value;
    },
    close() {
      worker.terminate();
      URL.revokeObjectURL(address);
      post.fail("closed");
    },
  });
}

/** A recording, played again at `speed` steps a second, or shown at once. */
export function recordedSource(find, speed = 60) {
  let [run, since, state, offset] = [null, 0, "paused", 0];
  const reached = () => (state === "running" ? Math.min(run.frames.length, offset + (performance.now() - since) * speed / 1000) : offset) | 0;
  const requests = {
    start(request) {
      run = find(request.config);
      [offset, state] = [0, "paused"];
      if (request.play) requests.play();
    },
    play() {
      since = performance.now();
      state = "running";
    },
    pause() {
      offset = reached();
      state = "paused";
    },
    step() {
      offset = Math.min(run.frames.length, offset + 1);
    },
    poll() {},
  };
  return {
    async ask(request) {
      requests[request.kind](request);
      const step = reached();
      if (step === run.frames.length) [state, offset] = ["done", step];
      return { state, frames: run.frames.slice(request.since ?? 0, step), facts: run.facts };
    },
    close() {},
  };
}

/** Open a source by its name; `find(config)` is a recorded run. `tools` are those that an instrument is mounted with. */
export const openSource = (tools, find) => async (name) => {
  if (name === "kernel") return tools.kernel();
  if (name === "recording") return recordedSource(find);
  try {
    const { engine, digits } = await tools.engine();
    return browserSource(engine, digits);
  } catch (error) {
    throw new Error(`Training in this page is not possible: ${error.message}.`);
  }
};
