/**
 * A binary heap of numbers with the smallest key on top; of equal keys the smaller number, so that results do not
 * depend on history.
 */
export class IndexHeap {
  readonly #key: (item: number) => number;
  readonly #items: number[];

  /** @param items are copied */
  constructor(items: readonly number[], key: (item: number) => number) {
    this.#key = key;
    this.#items = [...items];
    for (let at = (this.#items.length >> 1) - 1; at >= 0; at--) this.#sink(at);
  }

  /** Null where the heap is empty. */
  top(): number | null {
    return this.#items[0] ?? null;
  }

  push(item: number): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(item, items[parent]!)) break;
      items[at] = items[parent]!;
      at = parent;
    }
    items[at] = item;
  }

  /** Removes the top. */
  pop(): void {
    const last = this.#items.pop();
    if (last === undefined || this.#items.length === 0) return;
    this.#items[0] = last;
    this.#sink(0);
  }

  #sink(start: number): void {
    const items = this.#items;
    const item = items[start]!;
    let at = start;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && this.#before(items[child + 1]!, items[child]!)) child++;
      if (!this.#before(items[child]!, item)) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = item;
  }

  #before(a: number, b: number): boolean {
    const difference = this.#key(a) - this.#key(b);
    return difference < 0 || (difference === 0 && a < b);
  }
}
