// The page's address: "#lab?depth=20;race?seed=3" holds the state of every instrument by its id.

import { readState } from "./config.mjs";

const segments = () => location.hash.slice(1).split(";").filter(Boolean);

/** What an address says of an instrument: { named, state, problems }; `named`: whether it speaks of it at all. */
export function readAddress(address, start, sources) {
  const text = address?.read() ?? null;
  if (text === null) return { named: false, state: { config: start, source: null, cursor: null, guess: false }, problems: [] };
  const { state, problems } = readState(text, start, sources);
  return { named: true, state, problems: problems.length ? [`This address was not understood in full. ${problems.join(" ")} The rest was used.`] : [] };
}

/** The part of the address that belongs to the instrument `id`. */
export class Address {
  constructor(id) {
    this.id = id;
    this.isMine = (part) => part === id || part.startsWith(`${id}?`);
  }

  /** The text after "id?", or null if the address does not name this instrument. */
  read() {
    const mine = segments().find(this.isMine);
    if (mine === undefined) return null;
    const text = mine.slice(this.id.length + 1);
    try {
      return decodeURIComponent(text);
    } catch {
      return text; // a stray % stays as it is; reading the parts reports it
    }
  }

  of(state) {
    return state ? `${this.id}?${state}` : this.id;
  }

  save(state) {
    const others = segments().filter((part) => part.includes("?") && !this.isMine(part));
    try {
      history.replaceState(history.state, "", `#${[...others, this.of(state)].join(";")}`);
    } catch {
      // an embedding page may forbid it; the link can still be copied
    }
  }

  link(state) {
    return `${location.href.split("#")[0]}#${this.of(state)}`;
  }
}
