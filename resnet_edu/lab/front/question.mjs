// A notebook's question for a guess: anywidget's entry; what the reader commits reaches the kernel.

import { mount } from "./instruments/predict.mjs";

/** https://anywidget.dev/en/afm */
export const render = ({ model, el }) => mount(el, model.get("data"), {
  address: false,
  given: model.get("given"),
  commit(values) {
    model.set("given", values);
    model.save_changes();
  },
});
