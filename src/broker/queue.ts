/** A queue as the broker knows it. */
export class Queue {
  async delete(): Promise<void> {
    throw new Error('not there yet');
  }
}
