// Recall: questions after a chapter. The reader answers before the page does.

import { listen, trouble } from "../parts/answers.mjs";
import { Ask } from "../parts/ask.mjs";
import { Messages } from "../parts/messages.mjs";
import { html, nothing, show } from "../parts/ui.mjs";

export function mount(el, data, tools) {
  let screen = null;
  const redraw = () => screen?.redraw();
  const messages = new Messages(redraw);
  const asks = data.questions.map((question) => new Ask(question, redraw, (text) => messages.announce(text)));
  screen = show(el, () => html`<section class="rl rl-questions" aria-label=${data.title || "A question"}>
    ${asks.map((ask) => ask.view())}
    <p class="rl-key">${trouble() || "Your answers stay on this device."}
      ${data.title && tools.address ? html` <a href="../your-progress.html">Your progress</a>` : nothing}</p>${messages.live()}</section>`);
  const quiet = listen(redraw);
  return () => {
    quiet();
    screen.close();
  };
}
