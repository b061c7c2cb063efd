/** Rows of a fixed number of 32-bit integers in one growing array: a few bytes a row, whatever the number of rows. */
export class Rows {
  readonly #width: number;
  #cells: Int32Array;
  length = 0;

  constructor(width: number, capacity = 64) {
    this.#width = width;
    this.#cells = new Int32Array(width * capacity);
  }

  /** Adds a row of zeros and returns its number. */
  push(): number {
    const end = (this.length + 1) * this.#width;
    if (end > this.#cells.length) {
      const larger = new Int32Array(this.#cells.length * 2);
      larger.set(this.#cells);
      this.#cells = larger;
    }
    return this.length++;
  }

  get(row: number, field: number): number {
    return this.#cells[row * this.#width + field] as number;
  }

  set(row: number, field: number, value: number): void {
    this.#cells[row * this.#width + field] = value;
  }

  add(row: number, field: number, difference: number): void {
    const cell = row * this.#width + field;
    this.#cells[cell] = (this.#cells[cell] as number) + difference;
  }
}
