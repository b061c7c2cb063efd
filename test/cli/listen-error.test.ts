import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { CommandError } from '../../src/cli/command-error.ts';
import { listenError, tryAddress } from '../../src/cli/listen-error.ts';

describe('an address', () => {
  it('in use is told with its port and what to do', async (context) => {
    const other = createServer();
    context.after(() => other.close());
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    await assert.rejects(tryAddress('127.0.0.1', port, '--amqp-port'), (error) => {
      assert.ok(error instanceof CommandError);
      assert.equal(error.exitCode, 4);
      assert.match(
        error.message,
        new RegExp(`^cannot listen on 127\\.0\\.0\\.1:${port}: port ${port} is in use; .* --amqp-port`),
      );
      return true;
    });
  });

  it('that is free is let go again', async () => {
    const probe = createServer();
    await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
    const { port } = probe.address() as AddressInfo;
    await new Promise((resolve) => probe.close(resolve));
    await tryAddress('127.0.0.1', port, '--amqp-port');
    await tryAddress('127.0.0.1', port, '--amqp-port');
  });

  it('of another machine, or privileged, is told as that', () => {
    const told = (code: string): string =>
      (listenError(Object.assign(new Error(code), { code }), '::1', 80, '--amqp-port') as Error).message;
    assert.match(told('EADDRNOTAVAIL'), /^cannot listen on \[::1\]:80: this machine has no address ::1/);
    assert.match(told('EACCES'), /port 80 needs privileges/);
    assert.equal(told('EIO'), 'EIO');
  });
});
