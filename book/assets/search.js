// Puts a few words of the page under each search result. Sphinx fetches the whole page for that, which no browser
// does from disk, and begins with the page's furniture; here the text of all pages lies beside the index (PAGE_TEXT).
(() => {
  "use strict";

  const LENGTH = 240; // characters
  const words = (new URLSearchParams(location.search).get("q") ?? "").toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];

  /** Where in `text` most of the words stand close together. */
  function place(text) {
    const lower = text.toLowerCase();
    const hits = words.flatMap((word) => {
      const found = [];
      for (let at = lower.indexOf(word); at >= 0 && found.length < 200; at = lower.indexOf(word, at + 1)) found.push([at, word]);
      return found;
    });
    let best = [0, 0];
    for (const [start] of hits) {
      const near = new Set(hits.filter(([at]) => at >= start && at < start + LENGTH * 0.7).map(([, word]) => word));
      if (near.size > best[1]) best = [start, near.size];
    }
    return best[1] ? best[0] : -1;
  }

  /** An excerpt as an element, the words marked; null where none of them stands in the text. */
  function excerpt(text) {
    const found = place(text);
    if (found < 0) return null;
    const from = text.lastIndexOf(" ", Math.max(0, found - LENGTH / 3)) + 1;
    const part = `${from ? "… " : ""}${text.slice(from, from + LENGTH).replace(/\s\S*$/, "")} …`;
    const box = document.createElement("p");
    box.className = "context";
    const pattern = new RegExp(`(${words.toSorted((a, b) => b.length - a.length).join("|")})`, "giu"); // letters and digits alone
    part.split(pattern).forEach((piece, index) => {
      const mark = index % 2 ? document.createElement("mark") : null;
      if (mark) mark.textContent = piece;
      box.append(mark ?? piece);
    });
    return box;
  }

  function add(item) {
    const link = item.querySelector("a");
    if (!link || item.querySelector(".context")) return;
    const name = link.getAttribute("href").replace(/\.html(#.*)?$/, "").replace(/^(\.\/)+/, "");
    const box = words.length && excerpt(PAGE_TEXT[name] ?? "");
    if (box) item.append(box);
  }

  const results = document.getElementById("search-results");
  if (!results) return;
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) for (const node of addedNodes) if (node.nodeName === "LI") add(node);
  }).observe(results, { childList: true, subtree: true });
  results.querySelectorAll("li").forEach(add);
})();
