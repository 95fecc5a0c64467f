// A notebook's widget: anywidget's entry, and the kernel behind the widget as a source of figures.

import { mountIn } from "./parts/mount.mjs";
import { correspond } from "./parts/sources.mjs";

const GONE = "The kernel does not answer: it was restarted or is gone. Run the cell again.";
const BUSY = "The kernel does not answer: it is busy with another cell, was restarted or is gone. The lab waits and goes on when the answer comes. If the kernel was restarted, run the cell again.";

/** A training thread in a Jupyter kernel, through the widget's own messages. */
function kernelSource(model) {
  const post = correspond((message) => model.send(message), GONE, BUSY);
  const listen = (reply) => post.receive(reply);
  model.on("msg:custom", listen);
  return Object.assign(post, { close: () => model.off("msg:custom", listen) });
}

const VALUES = ["id", "config", "records", "shown", "guess", "datasets"];

/** anywidget's entry: https://anywidget.dev/en/afm */
export const render = ({ model, el }) => mountIn(el, "training", Object.fromEntries(VALUES.map((name) => [name, model.get(name)])), {
  address: false, kernel: model.get("kernel") ? () => kernelSource(model) : null,
});
