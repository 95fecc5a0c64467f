// Random numbers from a seed, the same in every browser.

/** Random numbers from a seed: uniform (mulberry32) and normal (Box and Muller). */
export function generator(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
}

/** Put a list into a random order, in place (Fisher and Yates). */
export function shuffle(list, random) {
  for (let n = list.length - 1; n > 0; n--) {
    const other = Math.floor(random.uniform() * (n + 1));
    [list[n], list[other]] = [list[other], list[n]];
  }
  return list;
}
