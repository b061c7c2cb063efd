import type { DeliveryView } from '../../engine/engine.ts';
import { readHeaders } from '../../format/basic-properties.ts';
import type { FieldTable } from '../../format/field-table.ts';

/** Which messages a consumer of a stream gets, by their header `x-stream-filter-value`. */
export class StreamFilter {
  readonly #values: ReadonlySet<unknown>;
  readonly #unfiltered: boolean;

  constructor(values: readonly unknown[], unfiltered: boolean) {
    this.#values = new Set(values);
    this.#unfiltered = unfiltered;
  }

  /** Null: it gets all. As RabbitMQ does, what is no string is passed over. */
  static of(given: FieldTable): StreamFilter | null {
    const filter = given['x-stream-filter'];
    const values = (Array.isArray(filter) ? filter : [filter]).filter((value) => typeof value === 'string');
    if (values.length === 0 && !Array.isArray(filter)) return null;
    return new StreamFilter(values, given['x-stream-match-unfiltered'] === true);
  }

  admits({ head, propertiesStart, propertiesEnd }: DeliveryView): boolean {
    const value = readHeaders(head, propertiesStart, propertiesEnd)?.['x-stream-filter-value'];
    return typeof value === 'string' ? this.#values.has(value) : this.#unfiltered;
  }
}
