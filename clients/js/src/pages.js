/** A list that comes in pages, as one async iterable. Each loop over it asks anew, a page when it gets there. */

export class Pages {
  #page;
  #items;

  /** `page`: answers the page at `{cursor}`, or the first one; `items`: the name of its list. */
  constructor(page, items) {
    this.#page = page;
    this.#items = items;
  }

  async *[Symbol.asyncIterator]() {
    let cursor = {};
    while (cursor) {
      const page = await this.#page(cursor);
      yield* page[this.#items];
      cursor = page.nextCursor ? { cursor: page.nextCursor } : null;
    }
  }

  /** All of it at once. */
  async toArray() {
    const all = [];
    for await (const one of this) all.push(one);
    return all;
  }
}
