// Numbers and dates as a person would write them.

export function say(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e4 || size < 1e-3) return value.toExponential(1).replace("e+", "e").replace("-", "−");
  return size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : size >= 1 ? value.toFixed(2) : value.toPrecision(2);
}

export const percent = (value) => (Number.isFinite(value) ? value.toFixed(1) : "–");

export const count = (number, noun = "step") => `${number} ${noun}${number === 1 ? "" : "s"}`;

/** "1,727,962". */
export const separated = (number) => number.toLocaleString("en-US");

/** 10 to a whole power, short. */
export const power = (exponent) => (Math.abs(exponent) < 3 ? String(Number((10 ** exponent).toFixed(2))) : `1e${exponent}`.replace("-", "−"));

export const dayOf = (date) => new Date(date).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });

/** The browser and its version. */
export function agent() {
  const [, name = "a browser", version = ""] = /(Firefox|Edg|Chrome|Version)\/(\d+)/.exec(navigator.userAgent) ?? [];
  return `${{ Edg: "Edge", Version: "Safari" }[name] ?? name} ${version}`.trim();
}
