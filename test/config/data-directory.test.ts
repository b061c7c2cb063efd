import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ConfigError } from '../../src/config/config-error.ts';
import { dataDirectory } from '../../src/config/data-directory.ts';
import { serveSettings } from '../../src/config/serve-settings.ts';

describe('a data directory', () => {
  const taken: readonly (readonly [text: string, path: string])[] = [
    ['./data', './data'],
    ['/var/lib/a:b', '/var/lib/a:b'],
    ['file:./data', './data'],
    ['file:data', 'data'],
    ['FILE:/var/data', '/var/data'],
    ['file:///var/a%20b', '/var/a b'],
  ];
  for (const [text, path] of taken) {
    it(`may be ${text}`, () => assert.equal(dataDirectory(text), path));
  }

  const refused: readonly (readonly [text: string, why: RegExp])[] = [
    ['amqp://x', /^must be a directory, not "amqp:\/\/x": that is the URL of a broker that runs/],
    ['flie:./data', /did you mean file:\?$/],
    ['memroy:', /did you mean memory:\?$/],
    ['redis://x', /for one of that name write \.\/redis:\/\/x$/],
    ['file:', /it names none/],
    ['file://host/data', /write file:\.\/data/],
  ];
  for (const [text, why] of refused) {
    it(`may not be ${text}`, () => {
      assert.throws(
        () => dataDirectory(text),
        (error) => error instanceof ConfigError && why.test(error.message),
      );
    });
  }

  it('is what serve takes, and memory: too', () => {
    const { read } = serveSettings.find(({ name }) => name === 'data')!;
    assert.equal(read('memory:'), 'memory:');
    assert.equal(read('file:./data'), './data');
    assert.throws(() => read('amqp://x'), ConfigError);
  });
});
