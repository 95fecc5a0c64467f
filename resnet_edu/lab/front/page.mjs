// The lab in a page without a kernel: every island becomes one.

import { make } from "./elements.mjs";
import { mount } from "./lab.mjs";

/** Mount every island of the page; one that fails keeps its figure and says why. */
export function mountIslands() {
  for (const el of document.querySelectorAll(".resnet-lab")) {
    const box = make("div");
    const figure = el.querySelector(".resnet-lab-figure");
    try {
      const data = JSON.parse(el.querySelector("script[type='application/json']").textContent);
      el.append(box);
      mount(box, (name) => ({ engine, digits: resnetLab.digits, ...data })[name]);
      if (figure) figure.hidden = true;
    } catch (error) {
      box.remove();
      el.append(make("p", { role: "alert" }, `The lab could not start: ${error.message}`));
    }
  }
}
