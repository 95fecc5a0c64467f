// What the reader answered, on this device alone: one entry a question, in the browser's storage for this book.
// An entry: { version, at, … } under the question's id; a question whose version rose is asked anew, and an answer to
// one that is gone stays, for the export. Nothing ever leaves the device.

const KEY = "resnet-edu-answers";
const CHANGED = "resnet-edu-answers"; // an event of the window
const FORMAT = 1;
const DAYS = [1, 3, 7, 21]; // until a missed question comes back, and again after each right answer
const LIMIT = 2e6; // characters of a file
const [ID, NAME] = [/^[a-z0-9-]{1,60}\/[a-z0-9-]{1,80}$/, /^[a-z0-9-]{1,60}$/];

const empty = () => ({ format: FORMAT, questions: {}, operated: {} });
let memory = null; // where the browser keeps nothing
let kept = "";

/** Why answers are not kept, for the reader; empty if they are. */
export const trouble = () => kept;

const isDate = (text) => typeof text === "string" && text.length < 40 && Number.isFinite(Date.parse(text));
const isWord = (one) => typeof one === "string" && one.length <= 200;
const isValue = (one) => isWord(one) || typeof one === "boolean" || one === null || (typeof one === "number" && Number.isFinite(one));
const isPlain = (one) => isValue(one) || (Array.isArray(one) && one.length <= 50 && one.every(isValue))
  || (one?.constructor === Object && Object.keys(one).length <= 50 && Object.entries(one).every(([name, value]) => isWord(name) && isValue(value)));
const isEntry = (one) => one?.constructor === Object && Number.isInteger(one.version) && isDate(one.at)
  && Object.keys(one).length <= 20 && Object.values(one).every(isPlain);

function entries(table, name, known, good) {
  if (table?.constructor !== Object) throw new Error(`it has no table “${name}”`);
  const bad = Object.keys(table).find((key) => !known.test(key) || !good(table[key]));
  if (bad !== undefined) throw new Error(`its entry “${bad.slice(0, 60)}” is not an answer of this book`);
  return table;
}

/** Answers from a text; throws an error for the reader if it is anything else. */
function parse(text) {
  if (text.length > LIMIT) throw new Error("it is larger than any file of answers");
  let all = null;
  try {
    all = JSON.parse(text);
  } catch {
    throw new Error("it is not a file of answers (no JSON), or it was cut off");
  }
  if (all?.constructor !== Object || all.format === undefined) throw new Error("it is not a file of answers of this book");
  if (all.format !== FORMAT) throw new Error(`it was written by another version of this book (format ${String(all.format).slice(0, 20)}); reload the page, and try again`);
  return { format: FORMAT, questions: entries(all.questions, "questions", ID, isEntry), operated: entries(all.operated, "operated", NAME, isDate) };
}

function read() {
  if (memory) return memory;
  try {
    if (localStorage.lasts === false) throw new DOMException("", "SecurityError"); // the book's stand-in for one that is blocked
    const text = localStorage.getItem(KEY);
    kept = "";
    return text ? parse(text) : empty();
  } catch (error) {
    kept = error instanceof DOMException ? "This browser blocks storage for this page: answers last until it is closed."
      : `What this browser keeps cannot be read (${error.message}). It stays untouched; answers last until this page is closed.`;
    return (memory = empty());
  }
}

function write(change) {
  const all = read();
  change(all);
  if (!memory) {
    try {
      localStorage.setItem(KEY, JSON.stringify(all));
    } catch {
      kept = "This browser’s storage is full or blocked: answers last until this page is closed.";
      memory = all;
    }
  }
  window.dispatchEvent(new Event(CHANGED));
}

/** Call `changed` when an answer was kept, here or in another tab; returns what ends it. */
export function listen(changed) {
  const foreign = ({ key }) => (key === KEY || key === null) && changed();
  window.addEventListener(CHANGED, changed);
  window.addEventListener("storage", foreign);
  return () => {
    window.removeEventListener(CHANGED, changed);
    window.removeEventListener("storage", foreign);
  };
}

const of = (all, { id, version }) => (Object.hasOwn(all.questions, id) && all.questions[id].version === version ? all.questions[id] : null);

/** What was kept for a question of this version, or null. */
export const entry = (question) => of(read(), question);

export const keep = (question, fields) => write((all) => {
  all.questions[question.id] = { ...of(all, question), ...fields, version: question.version, at: new Date().toISOString() };
});

/** The start of the day so many days from now, where the reader is. */
function inDays(days) {
  const today = new Date();
  return new Date(today.getFullYear(), today.getMonth(), today.getDate() + days).toISOString();
}

export const isDue = (one) => Boolean(one?.due) && Date.parse(one.due) <= Date.now();

/** Keep an answer to a recall question: `fields` with `right`. The first one decides whether it comes back, and when. */
export function answered(question, fields) {
  const before = entry(question);
  let plan = { first: before?.first ?? fields.right };
  if (!before && !fields.right) plan = { first: false, stage: 0, due: inDays(DAYS[0]) };
  else if (isDue(before)) {
    const stage = fields.right ? Math.max(0, Math.trunc(Number(before.stage)) || 0) + 1 : 0;
    plan = { ...plan, stage, due: stage < DAYS.length ? inDays(DAYS[stage]) : null };
  }
  keep(question, { ...fields, ...plan });
}

/** Once a page: the reader has used one of its instruments. */
export const operated = (chapter) => NAME.test(chapter) && !Object.hasOwn(read().operated, chapter) && write((all) => {
  all.operated[chapter] = new Date().toISOString();
});

export const everything = () => read();
export const exported = () => JSON.stringify(read(), null, 1);

/** Take in a file of answers: of two answers the newer stays. Returns how many came in; throws an error for the reader. */
export function imported(text) {
  const file = parse(text);
  let count = 0;
  write((all) => {
    for (const [id, one] of Object.entries(file.questions)) {
      if (Object.hasOwn(all.questions, id) && Date.parse(all.questions[id].at) >= Date.parse(one.at)) continue;
      all.questions[id] = one;
      count++;
    }
    all.operated = { ...file.operated, ...all.operated };
  });
  return count;
}

export function clear() {
  memory = memory && empty();
  try {
    localStorage.removeItem(KEY);
  } catch {
    // nothing is kept there
  }
  window.dispatchEvent(new Event(CHANGED));
}
