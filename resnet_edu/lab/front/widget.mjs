// The lab in a notebook: anywidget's entry, and the kernel behind the widget as a source of figures.

import { mount } from "./lab.mjs";
import { correspond } from "./sources.mjs";

/** A training thread in a Jupyter kernel, through the widget's own messages. */
function kernelSource(model) {
  const post = correspond((message) => model.send(message),
    "The kernel does not answer: it is busy, was restarted or is gone. Run the cell again.");
  const listen = (reply) => post.receive(reply);
  model.on("msg:custom", listen);
  return { ask: post.ask, close: () => model.off("msg:custom", listen) };
}

/** anywidget's entry: https://anywidget.dev/en/afm */
export const render = ({ model, el }) => mount(el, (name) => (name === "engine" ? engine : model.get(name)),
  model.get("kernel") && (() => kernelSource(model)));
