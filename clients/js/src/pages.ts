/** Lists with pages. */

/** A list with pages. Each loop starts at the first page, and requests the next page when it has used all items. */
export interface Pages<T> extends AsyncIterable<T> {
  /** Returns the items of all pages. */
  toArray(): Promise<T[]>;
  /** Returns a page. `cursor`: the `nextCursor` of the previous page. Without `cursor`, returns the first page. */
  page(cursor?: string | null): Promise<Page<T>>;
}

export interface Page<T> {
  items: T[];
  /** Null on the last page. */
  nextCursor: string | null;
}

export interface Paging {
  /** Number of items on a page, 1 to 1000. */
  limit?: number;
  /** The `nextCursor` of the previous page. */
  cursor?: string;
}

export class PagesOnDemand<T> implements Pages<T> {
  readonly #request: (cursor: Pick<Paging, "cursor">) => Promise<Page<T>>;

  /** `request`: requests the page at `cursor`. Without `cursor`, requests the first page. */
  constructor(request: (cursor: Pick<Paging, "cursor">) => Promise<Page<T>>) {
    this.#request = request;
  }

  async page(cursor?: string | null) {
    return this.#request(cursor == null ? {} : { cursor });
  }

  async *[Symbol.asyncIterator]() {
    let cursor: string | null = null;
    do {
      const page: Page<T> = await this.page(cursor);
      yield* page.items;
      cursor = page.nextCursor;
    } while (cursor);
  }

  async toArray() {
    const items: T[] = [];
    for await (const item of this) items.push(item);
    return items;
  }
}
