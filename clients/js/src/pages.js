/** A list with pages, as an async iterable. Each loop over it starts again and requests a page when it needs one. */

export class Pages {
  #page;
  #items;

  /** `page`: requests the page at `{cursor}`, or the first page; `items`: the name of the list in the answer. */
  constructor(page, items) {
    this.#page = page;
    this.#items = items;
  }

  /** Returns a page with the cursor of the next page, which is null after the last. */
  async page(cursor) {
    const answer = await this.#page(cursor == null ? {} : { cursor });
    return { items: answer[this.#items], nextCursor: answer.nextCursor };
  }

  async *[Symbol.asyncIterator]() {
    let cursor = null;
    do {
      const { items, nextCursor } = await this.page(cursor);
      yield* items;
      cursor = nextCursor;
    } while (cursor);
  }

  /** Returns the items of all pages. */
  async toArray() {
    const items = [];
    for await (const item of this) items.push(item);
    return items;
  }
}
