import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { until } from '../../src/demo/patience.ts';

const calm = new AbortController().signal;
const nothing = (): void => undefined;

describe('until', () => {
  it('ends with the condition', async () => {
    let asked = 0;
    await until('the third time', () => ++asked === 3, 1000, calm, nothing);
    assert.equal(asked, 3);
  });

  it('says what did not come', async () => {
    await assert.rejects(
      until('rain', () => false, 20, calm, nothing),
      /gave up after 0\.02 s: rain/,
    );
  });

  it('ends with what the watch throws', async () => {
    const watch = (): void => {
      throw new Error('payment ended by itself');
    };
    await assert.rejects(
      until('rain', () => false, 1000, calm, watch),
      /payment ended by itself/,
    );
  });

  it('ends with the signal', async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 15);
    await assert.rejects(
      until('rain', () => false, 1000, controller.signal, nothing),
      { name: 'AbortError' },
    );
  });
});
