// What a reader's browser keeps: the last ten networks that were trained in its pages, newest first.
// IndexedDB, shared by all pages of the book; every fault becomes an error whose message is for the reader.

const [DATABASE, VERSION, STORE] = ["resnet-edu", 1, "networks"];
export const KEPT = 10;
const FORMAT = 1; // of an entry: { id, format, name, date, config, test_error, train_error, file }

const WORDS = {
  SecurityError: "this browser blocks storage for this page",
  InvalidStateError: "this browser blocks storage for this page",
  QuotaExceededError: "this browser’s storage is full; delete networks that you no longer need",
  VersionError: "it holds networks of a newer version of this book; reload the page, or export them there first",
};
const readable = (error) => new Error(WORDS[error?.name] ?? error?.message ?? "the browser gave no reason");

const settled = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = (event) => {
    event.preventDefault?.();
    reject(request.error);
  };
});

function open() {
  const request = globalThis.indexedDB.open(DATABASE, VERSION);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id", autoIncrement: true });
  return settled(request);
}

/** Run `work(store)`, which returns a request, in one transaction; resolve once it is on disk. */
async function within(mode, work) {
  let database;
  try {
    database = await open();
    const transaction = database.transaction(STORE, mode);
    const done = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    const result = await settled(work(transaction.objectStore(STORE)));
    await done;
    return result;
  } catch (error) {
    throw readable(error);
  } finally {
    database?.close();
  }
}

/** All entries that this version can read, newest first. */
export async function list() {
  const all = await within("readonly", (store) => store.getAll());
  return all.filter((entry) => entry.format === FORMAT && entry.file instanceof ArrayBuffer).reverse();
}

/** Keep an entry; the oldest beyond ten go. Returns its id. */
export async function keep(entry) {
  const id = await within("readwrite", (store) => store.add({ ...entry, format: FORMAT }));
  for (const old of (await list()).slice(KEPT)) await remove(old.id);
  return id;
}

export const put = (entry) => within("readwrite", (store) => store.put(entry));
export const remove = (id) => within("readwrite", (store) => store.delete(id));
