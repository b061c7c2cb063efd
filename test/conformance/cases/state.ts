/** Keyed state: small values beside the messages, in the same commit. */
import assert from 'node:assert/strict';
import type { Check } from '../engine-suite.ts';
import { conflict, type Fixture } from '../fixture.ts';

const bytes = (text: string): Buffer => Buffer.from(text);

async function read(fixture: Fixture, prefix: string): Promise<Record<string, string>> {
  const values = await fixture.engine.state(prefix);
  return Object.fromEntries(values.map(({ key, value }) => [key, Buffer.from(value).toString()]));
}

async function revision(fixture: Fixture, key: string): Promise<number> {
  const found = (await fixture.engine.state(key)).find((value) => value.key === key);
  assert.ok(found, key);
  return found.revision;
}

export function stateCases(check: Check): void {
  check('put, put again, delete', async (fixture) => {
    assert.deepEqual(await fixture.engine.state(''), []);
    await fixture.commit((batch) => batch.put('a', bytes('1')));
    assert.deepEqual(await read(fixture, ''), { a: '1' });
    const first = await revision(fixture, 'a');
    assert.ok(first > 0, 'revisions begin above 0');
    await fixture.commit((batch) => batch.put('a', bytes('2')));
    assert.deepEqual(await read(fixture, ''), { a: '2' });
    assert.ok((await revision(fixture, 'a')) > first, 'revisions and epochs grow');
    await fixture.commit((batch) => batch.put('a', null));
    assert.deepEqual(await read(fixture, ''), {});
    assert.deepEqual(await fixture.commit((batch) => batch.put('a', null)), [], 'deleting what is not there is done');
  });

  check('values are bytes, the empty one too, and are copied', async (fixture) => {
    const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const scratch = Buffer.from('kept');
    await fixture.commit((batch) => {
      batch.put('every', every);
      batch.put('empty', new Uint8Array(0));
      batch.put('big', Buffer.alloc(200_000, 'x'));
      batch.put('scratch', scratch);
      scratch.fill(0);
    });
    const values = new Map((await fixture.engine.state('')).map(({ key, value }) => [key, Buffer.from(value)]));
    assert.deepEqual(values.get('every'), every);
    assert.deepEqual(values.get('empty'), Buffer.alloc(0));
    assert.ok(values.get('big')!.equals(Buffer.alloc(200_000, 'x')), 'the value is the same');
    assert.equal(values.get('scratch')!.toString(), 'kept');
  });

  check('state reads what starts with the prefix, nothing else', async (fixture) => {
    const keys = ['session/a', 'session/a/1', 'session/b', 'sessions', 'session', 'zessel/a', 'sessioö', ''];
    await fixture.commit((batch) => {
      for (const key of keys.slice(0, -1)) batch.put(key, bytes(key));
    });
    const under = async (prefix: string): Promise<string[]> => Object.keys(await read(fixture, prefix)).sort();
    assert.deepEqual(await under('session/'), ['session/a', 'session/a/1', 'session/b']);
    assert.deepEqual(await under('session/a'), ['session/a', 'session/a/1']);
    assert.deepEqual(await under('nothing'), []);
    assert.equal((await under('')).length, keys.length - 1);
  });

  check('an expected revision writes and tells the new one; another one is a conflict', async (fixture) => {
    const [created] = await fixture.commit((batch) => batch.put('a', bytes('1'), 0));
    assert.equal(created?.outcome, 'written');
    assert.equal(created.revision, await revision(fixture, 'a'));
    assert.deepEqual(await fixture.commit((batch) => batch.put('a', bytes('x'), 0)), [conflict(0)]);
    const [updated] = await fixture.commit((batch) => batch.put('a', bytes('2'), created.revision));
    assert.equal(updated?.outcome, 'written');
    assert.ok(updated.revision! > created.revision, 'revisions and epochs grow');
    assert.deepEqual(await fixture.commit((batch) => batch.put('a', bytes('x'), created.revision)), [conflict(0)]);
    assert.deepEqual(await fixture.commit((batch) => batch.put('a', null, created.revision)), [conflict(0)]);
    assert.deepEqual(await fixture.commit((batch) => batch.put('none', bytes('x'), 7)), [conflict(0)]);
    assert.deepEqual(await read(fixture, ''), { a: '2' });
    const [deleted] = await fixture.commit((batch) => batch.put('a', null, updated.revision));
    assert.notEqual(deleted?.outcome, 'conflict');
    assert.deepEqual(await read(fixture, ''), {});
  });

  check('a key that was deleted and made again never has an old revision', async (fixture) => {
    const [first] = await fixture.commit((batch) => batch.put('a', bytes('1'), 0));
    await fixture.commit((batch) => batch.put('a', null));
    const [second] = await fixture.commit((batch) => batch.put('a', bytes('2'), 0));
    assert.ok(second!.revision! > first!.revision!, 'revisions and epochs grow');
    assert.deepEqual(await fixture.commit((batch) => batch.put('a', bytes('late'), first!.revision)), [conflict(0)]);
  });

  check('in one batch puts see each other, in order', async (fixture) => {
    const outcomes = await fixture.commit((batch) => {
      batch.put('a', bytes('1'), 0);
      batch.put('a', bytes('2'), 0);
      batch.put('a', bytes('3'));
      batch.put('b', bytes('x'));
      batch.put('b', null);
      batch.put('b', bytes('y'), 0);
    });
    assert.deepEqual(
      outcomes.map(({ item, outcome }) => [item, outcome]),
      [
        [0, 'written'],
        [1, 'conflict'],
        [5, 'written'],
      ],
    );
    assert.deepEqual(await read(fixture, ''), { a: '3', b: 'y' });
  });

  check('of two batches that expect the same revision one wins', async (fixture) => {
    const outcomes = await Promise.all([
      fixture.commit((batch) => batch.put('a', bytes('1'), 0)),
      fixture.commit((batch) => batch.put('a', bytes('2'), 0)),
    ]);
    assert.deepEqual(
      outcomes.map(([outcome]) => outcome?.outcome),
      ['written', 'conflict'],
    );
    assert.deepEqual(await read(fixture, ''), { a: '1' });
  });

  check('a conflict in a plain batch leaves the rest of it done', async (fixture) => {
    const queue = await fixture.declare();
    assert.deepEqual(
      await fixture.commit((batch) => {
        batch.put('a', bytes('x'), 5);
        fixture.append(batch, queue, 'm');
        batch.put('b', bytes('y'));
      }),
      [conflict(0)],
    );
    assert.deepEqual(await fixture.drainTexts(queue), ['m']);
    assert.deepEqual(await read(fixture, ''), { b: 'y' });
  });

  check(
    'outlives a restart, with its revisions',
    async (fixture) => {
      await fixture.commit((batch) => {
        for (let at = 0; at < 100; at++) batch.put(`k/${at}`, bytes(`${at}`));
      });
      await fixture.commit((batch) => {
        batch.put('k/1', null);
        batch.put('k/2', bytes('new'));
      });
      const before = await fixture.engine.state('k/');
      const sort = (values: typeof before): unknown[] =>
        [...values]
          .sort((a, b) => (a.key < b.key ? -1 : 1))
          .map(({ key, value, revision }) => [key, Buffer.from(value).toString(), revision]);
      for (const restart of ['reopen', 'crash'] as const) {
        if (restart === 'crash' && !fixture.canCrash) break;
        await fixture[restart]();
        assert.deepEqual(sort(await fixture.engine.state('k/')), sort(before));
      }
      const last = Math.max(...before.map((value) => value.revision));
      const [written] = await fixture.commit((batch) => batch.put('k/1', bytes('again'), 0));
      assert.equal(written?.outcome, 'written');
      assert.ok(written.revision! > last, 'revisions go on over a restart');
    },
    { across: 'reopen' },
  );
}
