import assert from 'node:assert/strict';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { connect } from '../../src/index.ts';
import { selfSigned } from '../api/self-signed.ts';
import { run, scratch, start, withoutMqtt } from './postrider.ts';

interface Listening {
  readonly ports: { readonly amqp?: number; readonly amqps: number };
}

async function serve(context: TestContext, ...more: string[]) {
  const directory = await scratch();
  const [cert, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
  const own = selfSigned('the broker');
  await Promise.all([writeFile(cert, own.cert), writeFile(key, own.key)]);
  const tls = ['--tls-cert', cert, '--tls-key', key, '--amqps-port', '0', '--mqtts-port', 'off', '--wss-port', 'off'];
  const running = start([
    'serve',
    '--data',
    'memory:',
    '--amqp-port',
    'off',
    ...withoutMqtt,
    '--json',
    ...tls,
    ...more,
  ]);
  context.after(() => running.child.kill('SIGKILL'));
  const { ports } = JSON.parse(await running.line()) as Listening;
  let told = '';
  running.child.stderr?.on('data', (text: string) => (told += text));
  const line = async (pattern: RegExp): Promise<void> => {
    while (!pattern.test(told)) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  const works = async (ca: string, tls: object = {}): Promise<void> => {
    const mq = await connect(`amqps://127.0.0.1:${ports.amqps}`, { connectTimeoutMs: 30_000, tls: { ca, ...tls } });
    const queue = await mq.queue('q', { deadLetter: false });
    await queue.publish('hello');
    await mq.close();
  };
  return { ...running, directory, cert, key, own, ports, line, works, told: () => told };
}

describe('serve with TLS', { timeout: 300_000 }, () => {
  it('serves it alone, and takes another certificate on SIGHUP and when the files change', async (context) => {
    const served = await serve(context);
    assert.deepEqual(Object.keys(served.ports), ['amqps']);
    await served.works(served.own.cert);
    const verb = await run(['queues', '--url', `amqps://guest:guest@127.0.0.1:${served.ports.amqps}`]);
    assert.match(
      verb.stderr,
      /^postrider: no trusted TLS connection .*NODE_EXTRA_CA_CERTS names an authority to trust\n$/,
    );

    const second = selfSigned('the broker');
    await Promise.all([writeFile(served.cert, second.cert), writeFile(served.key, second.key)]);
    served.child.kill('SIGHUP');
    await served.line(/a new certificate is in use, valid until \d{4}-/);
    await served.works(second.cert);
    await assert.rejects(served.works(served.own.cert), { code: 'UNREACHABLE' });

    await writeFile(served.key, served.own.key);
    served.child.kill('SIGHUP');
    await served.line(
      /the new certificate can't be used, the one before stays: \S+ is not the private key of \S+: replace both\n/,
    );
    await served.works(second.cert);

    // As certbot does it: new files in the place of the old. Nobody sends a signal.
    const next = join(served.directory, 'next');
    await writeFile(next, served.own.cert);
    await rename(next, served.cert);
    await served.line(/in use[^]*stays[^]*in use/);
    await served.works(served.own.cert);
    assert.ok(!served.told().includes('PRIVATE KEY'));
    served.child.kill('SIGTERM');
    assert.equal((await served.finished).code, 0);
  });

  it('asks clients for their certificate', async (context) => {
    const client = selfSigned('a client');
    const ca = join(await scratch(), 'clients.pem');
    await writeFile(ca, client.cert);
    const served = await serve(context, '--tls-client-ca', ca);
    await served.works(served.own.cert, { cert: client.cert, key: client.key });
    await assert.rejects(served.works(served.own.cert));
  });

  it('refuses files that do not fit, before anything is touched', async () => {
    const directory = await scratch();
    const [one, two] = [selfSigned('one'), selfSigned('two')];
    const [cert, key, bad] = ['cert.pem', 'key.pem', 'bad.pem'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    await Promise.all([writeFile(cert, one.cert), writeFile(key, two.key), writeFile(bad, 'nonsense')]);
    const data = ['serve', '--data', join(directory, 'data'), '--amqp-port', 'off', '--tls-cert'];
    for (const [args, line] of [
      [
        [cert, '--tls-key', key],
        /^postrider: the certificate can't be used: \S+ is not the private key of \S+: replace both\n$/,
      ],
      [[bad, '--tls-key', key], /^postrider: the certificate can't be used: \S+ holds no certificate in PEM\n$/],
      [[cert, '--tls-key', key, '--tls-client-ca', bad], /^postrider: the certificate can't be used: [^\n]+\n$/],
    ] as const) {
      const { code, stderr } = await run([...data, ...args]);
      assert.equal(code, 2);
      assert.match(stderr, line);
    }
  });
});
