// Runs before anything is drawn: storage that answers, and the colours that the reader chose. A file of its own: what
// stands in a page and asks for storage at once gets, from disk and in Chromium, 1 time in 100 one that no other page
// sees, and what is kept there is lost.
(() => {
  "use strict";

  /** Storage for this page alone, where the browser refuses its own (blocked cookies, a full disk). */
  const inMemory = () => {
    const kept = new Map();
    return {
      lasts: false, // so that a page can say that nothing will be kept
      get length() { return kept.size; },
      key: (index) => [...kept.keys()][index] ?? null,
      getItem: (name) => kept.get(String(name)) ?? null,
      setItem: (name, value) => void kept.set(String(name), String(value)),
      removeItem: (name) => void kept.delete(String(name)),
      clear: () => kept.clear(),
    };
  };

  for (const name of ["localStorage", "sessionStorage"]) {
    try {
      window[name].setItem("resnet-edu-probe", "");
      window[name].removeItem("resnet-edu-probe");
    } catch {
      // The theme's scripts and Sphinx's read and write without a guard: one refusal would end menu, search and colours.
      Object.defineProperty(window, name, { configurable: true, value: inMemory() });
    }
  }

  const root = document.documentElement;
  const stored = localStorage.getItem("mode");
  root.dataset.mode = ["light", "dark"].includes(stored) ? stored : "auto";
  const colour = () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    root.dataset.theme = root.dataset.mode === "auto" ? system : root.dataset.mode;
  };
  colour();

  // The two fonts of a page's first lines, asked for before the style sheets name them. From disk none comes late, and
  // a browser lets no page read ahead there.
  if (location.protocol !== "file:") {
    for (const name of ["source-serif-4-normal", "inter-normal"]) {
      const href = new URL(`vendor/fonts/${name}.woff2`, document.currentScript.src).href;
      const link = Object.assign(document.createElement("link"), { rel: "preload", as: "font", type: "font/woff2", href });
      link.crossOrigin = "anonymous"; // fonts are asked for so, even here
      document.head.append(link);
    }
  }

  // Instead of a handler in the page's element, which its security policy forbids.
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-press='print']")) window.print();
  });

  // A notebook is saved, never shown as text: from disk no browser follows a link's "download", so its text lies in a
  // script beside it (tools/build_book.py), which calls this.
  window.saveNotebook = (name, text) => {
    const address = URL.createObjectURL(new Blob([text], { type: "application/x-ipynb+json" }));
    Object.assign(document.createElement("a"), { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[download][href$='.ipynb']");
    if (!link || location.protocol !== "file:") return;
    event.preventDefault();
    document.head.append(Object.assign(document.createElement("script"), { src: `${link.href}.js` }));
  });

  // What scrolls sideways must be within reach of keys: the theme sees to code, this to wide equations.
  const reach = () => {
    for (const one of document.querySelectorAll("mjx-container[display='true']")) {
      if (one.scrollWidth > one.clientWidth) one.tabIndex = 0;
      else one.removeAttribute("tabindex");
    }
  };
  addEventListener("load", () => {
    window.MathJax?.startup?.promise?.then(reach);
    addEventListener("resize", reach);
  });

  // On paper a page is light, and its answers are open. Drawings further down may not have been loaded yet.
  let opened = [];
  addEventListener("beforeprint", () => {
    for (const image of document.querySelectorAll("img[loading='lazy']")) image.loading = "eager";
    opened = [...document.querySelectorAll("article details:not([open], .hide, .rl *)")];
    for (const one of opened) one.open = true;
    root.dataset.theme = "light";
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
    colour();
  });
})();
