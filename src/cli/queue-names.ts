/** Names of queues for a shell's completion: quick, or none. */
import { connect } from 'node:net';
import { brokerUrl, isRemote } from './verb.ts';

/** A shell waits for them: as long as a broker that listens may take in the worst case. */
const timeoutMs = 3_000;
/** A journal of this size is read in that time; a segment has a few MiB from its beginning. */
const mostBytes = 64 * 1024 * 1024;

/** Those of a broker that runs, or of a small data directory, which is only read. */
export async function queueNames(): Promise<string[]> {
  const url = brokerUrl({});
  const late = new Promise<string[]>((resolve) => setTimeout(() => resolve([]), timeoutMs).unref());
  const names = await Promise.race([isRemote(url) ? asked(url) : read(url), late]).catch(() => []);
  // What a shell would take apart, or take for a command, is not offered.
  return names.filter((name) => /^[\w./@+,-]+$/.test(name) && !name.startsWith('-'));
}

async function asked(url: string): Promise<string[]> {
  const { askRemote } = await import('./ask-topology.ts');
  const { amqpAddress } = await import('../api/remote/amqp-url.ts');
  const { hostname = '', port = 0 } = amqpAddress(url, undefined).client;
  // Asking would go on trying for a while.
  if (!(await isOpen(hostname, Number(port)))) return [];
  return (await askRemote(url, timeoutMs)).queues.map(({ name }) => name);
}

async function read(url: string): Promise<string[]> {
  if (!/^file:/i.test(url)) return [];
  const { directoryOf } = await import('../api/connect.ts');
  const { readdir, stat } = await import('node:fs/promises');
  const path = await import('node:path');
  const directory = directoryOf(url);
  const segments = (await readdir(directory)).filter((file) => file.endsWith('.seg'));
  const sizes = await Promise.all(segments.map(async (file) => (await stat(path.join(directory, file))).size));
  if (sizes.reduce((sum, size) => sum + size, 0) > mostBytes) return [];
  const { inspectJournal } = await import('../engine/local/journal/inspect.ts');
  const { readQueueKey } = await import('../broker/topology-entry.ts');
  return (await inspectJournal(directory)).queues
    .map(({ key }) => readQueueKey(key))
    .filter(({ owned, mailbox }) => !owned && !mailbox)
    .map(({ name }) => name);
}

function isOpen(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
      .once('error', () => resolve(false))
      .once('connect', () => {
        socket.destroy();
        resolve(true);
      });
  });
}
