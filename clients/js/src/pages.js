/** A list that comes in pages, as one async iterable. Each loop over it asks anew, a page when it gets there. */

export class Pages {
  #page;
  #items;

  /** `page`: answers the page at `{cursor}`, or the first one; `items`: the name of its list. */
  constructor(page, items) {
    this.#page = page;
    this.#items = items;
  }

  /** One page, and the cursor of the next one; null after the last. */
  async page(cursor) {
    const told = await this.#page(cursor == null ? {} : { cursor });
    return { items: told[this.#items], nextCursor: told.nextCursor };
  }

  async *[Symbol.asyncIterator]() {
    let cursor = null;
    do {
      const { items, nextCursor } = await this.page(cursor);
      yield* items;
      cursor = nextCursor;
    } while (cursor);
  }

  /** All of it at once. */
  async toArray() {
    const all = [];
    for await (const one of this) all.push(one);
    return all;
  }
}
