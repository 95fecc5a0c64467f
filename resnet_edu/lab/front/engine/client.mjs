// The page's end of a Worker that runs worker.mjs: requests have numbers, answers come back as promises.

/**
 * Connect to a Worker (or anything with postMessage and onmessage). `request(kind, fields)` is the training protocol;
 * `ask(question, settings, { progress, signal })` asks the network (questions.mjs) and can be given up by `signal`, an
 * AbortSignal; `close()` ends the Worker and rejects what is open.
 */
export function connect(port) {
  const open = new Map();
  let [last, broken] = [0, null];
  const settle = (id, how, value) => {
    const one = open.get(id);
    open.delete(id);
    one?.[how](value);
  };
  const fail = (error) => {
    broken = error;
    for (const id of [...open.keys()]) settle(id, "reject", error);
  };
  const send = (message, progress) => new Promise((resolve, reject) => {
    if (broken) return reject(broken);
    open.set(message.id, { resolve, reject, progress });
    port.postMessage(message);
  });
  port.onmessage = ({ data: reply }) => {
    if (reply.progress) open.get(reply.id)?.progress?.(reply.progress);
    else if ("error" in reply) settle(reply.id, "reject", new Error(reply.error));
    else if (reply.cancelled) settle(reply.id, "reject", new DOMException("given up", "AbortError"));
    else settle(reply.id, "resolve", "value" in reply ? reply.value : reply);
  };
  port.onerror = (event) => {
    event.preventDefault?.();
    fail(new Error(`The training worker of this page stopped answering. ${event.message ?? ""}`.trim()));
  };
  return {
    request: (kind, fields = {}) => send({ ...fields, kind, id: ++last }),
    ask(question, settings = {}, { progress, signal } = {}) {
      if (signal?.aborted) return Promise.reject(new DOMException("given up", "AbortError"));
      const id = ++last;
      const stop = () => port.postMessage({ id: ++last, kind: "cancel", of: id });
      signal?.addEventListener("abort", stop, { once: true });
      return send({ id, kind: "ask", question, settings }, progress).finally(() => signal?.removeEventListener("abort", stop));
    },
    close() {
      port.terminate?.();
      fail(new Error("closed"));
    },
  };
}
