import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connect } from '../../src/index.ts';
import { run } from './postrider.ts';
import { fileBroker, jsonLines, runVerb, servedBroker } from './verb.ts';

describe('users, vhosts and permissions', { timeout: 300_000 }, () => {
  it('of a broker that runs', async (context) => {
    const broker = await servedBroker(context);
    const added = await broker.run(
      ['users', 'add', 'ann', '--tag', 'monitoring', '--tag', 'management'],
      'secret\nmore\n',
    );
    assert.deepEqual([added.code, added.stderr], [0, '']);
    assert.match(added.stdout, /^user 'ann' added; /);
    const listed = await broker.run(['users', '--json']);
    assert.deepEqual(jsonLines(listed.stdout), [
      { user: 'ann', tags: ['monitoring', 'management'] },
      { user: 'guest', tags: ['administrator'] },
    ]);
    await broker.run(['vhosts', 'add', 'staging']);
    const set = await broker.run([
      'permissions',
      'set',
      'ann',
      '--vhost',
      'staging',
      '--write',
      '.*',
      '--configure',
      '^a',
    ]);
    assert.equal(set.code, 0, set.stderr);
    const permissions = await broker.run(['permissions', '--user', 'ann', '--json']);
    assert.deepEqual(jsonLines(permissions.stdout), [
      { user: 'ann', vhost: 'staging', configure: '^a', write: '.*', read: '' },
    ]);
    const table = await broker.run(['permissions']);
    assert.match(
      table.stdout,
      /^USER +VHOST +CONFIGURE +WRITE +READ\nann +staging +\^a +\.\*\nguest +\/ +\.\* +\.\* +\.\*\n$/,
    );
    const topics = ['permissions', 'topics'];
    const limited = await broker.run([...topics, 'set', 'ann', '--vhost', 'staging', '--read', '^{client_id}\\.']);
    assert.deepEqual(
      [limited.stdout, limited.stderr],
      ["topic permissions of user 'ann' for exchange 'amq.topic' in vhost 'staging' set\n", ''],
    );
    await broker.run([...topics, 'set', 'guest', '--exchange', 'x', '--write', 'a', '--read', 'b']);
    const ofAnn = { user: 'ann', vhost: 'staging', exchange: 'amq.topic', write: '', read: '^{client_id}\\.' };
    const listedTopics = await broker.run([...topics, '--user', 'ann', '--json']);
    assert.deepEqual(jsonLines(listedTopics.stdout), [ofAnn]);
    assert.match(
      (await broker.run([...topics, '--vhost', '/'])).stdout,
      /^USER +VHOST +EXCHANGE +WRITE +READ\nguest +\/ +x +a +b\n$/,
    );
    const freed = await broker.run([...topics, 'clear', 'ann', '--vhost', 'staging', '--json']);
    assert.deepEqual(jsonLines(freed.stdout), [{ user: 'ann', vhost: 'staging', cleared: true }]);
    const clearedOne = await broker.run([...topics, 'clear', 'guest', '--exchange', 'x']);
    assert.equal(clearedOne.stdout, "user 'guest' may use all topics of exchange 'x' in vhost '/' again\n");
    const none = await broker.run(topics);
    assert.deepEqual([none.stdout, none.stderr], ['', 'no topic permissions: all topics are permitted\n']);

    const url = broker.url.replace('amqp://', 'amqp://ann:secret@');
    const mq = await connect(`${url}/staging`);
    await mq.queue('a', { deadLetter: false });
    await mq.close();
    const refused = await runVerb(['users', '--url', `${url}/staging`]);
    assert.deepEqual(
      [refused.code, refused.stderr],
      [1, "postrider: list-users is for administrators, and user 'ann' is none\n"],
    );
    const denied = await runVerb(['users', '--url', url]);
    assert.equal(denied.code, 1);
    assert.match(denied.stderr, /refused the vhost: it isn't there, or user 'ann' may not use it/);

    assert.equal((await broker.run(['users', 'password', 'ann'], 'other')).code, 0);
    assert.match((await runVerb(['users', '--url', url])).stderr, /refused the login of user 'ann'/);
    assert.equal((await broker.run(['permissions', 'clear', 'ann', '--vhost', 'staging'])).code, 0);
    assert.match((await broker.run(['vhosts'])).stdout, /^VHOST +QUEUES +EXCHANGES\n\/ +0 +6\nstaging +1 +6\n$/);
    assert.equal((await broker.run(['vhosts', 'delete', 'staging'])).code, 0);
    assert.equal((await broker.run(['users', 'tags', 'ann'])).stdout, "user 'ann' has no tags\n");
    assert.equal((await broker.run(['users', 'delete', 'ann', '--json'])).stdout, '{"user":"ann","deleted":true}\n');
    const gone = await broker.run(['users', 'delete', 'ann']);
    assert.deepEqual([gone.code, gone.stderr], [1, "postrider: no user 'ann'\n"]);
  });

  it('of a directory that no broker serves, with the password from the environment', async (context) => {
    const broker = await fileBroker(context);
    const env = { POSTRIDER_NEW_PASSWORD: 'from the environment' };
    const added = await run(['users', '--url', broker.url, 'add', 'bob'], env);
    assert.equal(added.code, 0, added.stderr);
    assert.equal((await broker.run(['permissions', 'set', 'bob', '--all'])).code, 0);
    assert.equal((await broker.run(['users', 'delete', 'guest'])).code, 0);
    assert.match((await broker.run(['users'])).stdout, /^USER +TAGS\nbob\n$/);
    await broker.open(async (mq) => {
      const { amqp, close } = await mq.listen({ amqp: { port: 0 } });
      const remote = await connect(`amqp://bob:from%20the%20environment@127.0.0.1:${amqp!.port}`);
      await remote.close();
      await assert.rejects(connect(`amqp://127.0.0.1:${amqp!.port}`), { code: 'ACCESS_REFUSED' });
      await close();
    });
  });

  it('say what is missing or wrong in a line', async (context) => {
    const broker = await fileBroker(context);
    for (const [args, code, line] of [
      [
        ['users', 'add', 'ann'],
        2,
        /the password of user 'ann' is expected on standard input, or in \$POSTRIDER_NEW_PASSWORD/,
      ],
      [['users', 'add'], 2, /missing required argument 'USER'/],
      [['users', 'ad', 'ann'], 2, /users takes no argument besides its options, and got 2|unknown command/],
      [['permissions', 'set', 'guest'], 2, /permissions set wants to know what is permitted/],
      [['permissions', 'set', 'guest', '--read', '(?=a)'], 1, /'\(\?=a\)' can't be used as a regular expression/],
      [['permissions', 'topics', 'set', 'guest'], 2, /permissions topics set wants to know what is permitted/],
      [['permissions', 'topics', 'set', 'guest', '--read', '(a'], 1, /'\(a' can't be used as a regular expression/],
      [['permissions', 'topics', 'clear', 'guest'], 1, /user 'guest' has no topic permissions in vhost '\/'/],
      [['permissions', '--vhost', 'none'], 1, /no vhost 'none'/],
      [['vhosts', 'delete', '/'], 1, /vhost '\/' is the default one, which can't be deleted/],
    ] as const) {
      const finished = await broker.run(args);
      assert.equal(finished.code, code, finished.stderr);
      assert.match(finished.stderr, line);
      assert.equal(finished.stderr.trim().split('\n').length, 1);
    }
  });
});
