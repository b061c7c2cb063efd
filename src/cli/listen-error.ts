/** Why an address can't be listened on, and what to do: judged before the data directory is touched. */
import { createServer } from 'node:net';
import { CommandError } from './command-error.ts';
import { exitCode } from './exit-code.ts';

/** Binds the address and lets it go again. @throws CommandError when it can't be had */
export async function tryAddress(host: string, port: number, option: string): Promise<void> {
  const probe = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      probe.once('error', reject);
      probe.listen({ host, port, exclusive: true }, resolve);
    });
  } catch (error) {
    throw listenError(error, host, port, option);
  }
  await new Promise((resolve) => probe.close(resolve));
}

/** The line for an error of `listen`; other errors come back as they are. */
export function listenError(error: unknown, host: string, port: number, option: string): unknown {
  const why = explain((error as NodeJS.ErrnoException).code, host, port, option);
  return why === null
    ? error
    : new CommandError(exitCode.listen, `cannot listen on ${address(host, port)}: ${why}`, { cause: error });
}

export function address(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function explain(code: string | undefined, host: string, port: number, option: string): string | null {
  switch (code) {
    case 'EADDRINUSE':
      return `port ${port} is in use; stop what listens there, or choose another port with ${option} (0: any free one; off: none)`;
    case 'EACCES':
      return `port ${port} needs privileges; choose one above 1023 with ${option}`;
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
      return `this machine has no address ${host}; choose another with --host`;
    default:
      return null;
  }
}
