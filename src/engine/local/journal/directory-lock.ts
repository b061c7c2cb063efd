/**
 * Takes a directory for one process, with a Unix domain socket that listens at DIRECTORY/lock: the kernel closes it with the
 * process, however that ends, and whoever comes second can ask it who the owner is.
 *
 *   lock        the owner's socket, or one whose owner is dead
 *   lock-ID     a socket that is being set up; it takes its place by link(2), which never replaces
 *   lock.ID     a socket that somebody took for dead and moved aside; if it was alive it is put back
 *
 * Two invariants make a takeover safe against any number of racing processes, whenever one of them dies:
 * - a socket listens before it is called `lock`, so one that refuses is dead, and for good;
 * - an owner's socket is called `lock` or `lock.ID` at every moment, and nobody becomes the owner before he has the name `lock`
 *   and then has found that no `lock.ID` answers.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { link, lstat, open, readdir, rename, unlink } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { basename, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { EngineError } from '../../errors.ts';
import type { DirectoryLock } from './files.ts';

const ATTEMPTS = 60;
const RETRY_MS = 20;
const ANSWER_TIMEOUT_MS = 500;
const MAX_ANSWER_BYTES = 4096;
const MAX_COMMAND_LENGTH = 200;
/** sockaddr_un.sun_path less its NUL. */
const MAX_SOCKET_PATH_BYTES = process.platform === 'linux' ? 107 : 103;

interface Owner {
  pid: number;
  started: string;
  command: string;
}

type Standing =
  | { state: 'absent' | 'dead' }
  /** Somebody has it who may yet give way, or who went while he was asked. */
  | { state: 'unsettled' }
  | { state: 'held'; owner: Owner | null };

/** @throws EngineError LOCKED, naming the owner; UNWRITABLE; FOREIGN where `lock` is something else */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  let place: Place | null = null;
  try {
    place = await openPlace(directory);
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (attempt > 0) await delay(1 + Math.random() * RETRY_MS);
      const lock = await attemptLock(place);
      if (lock !== null) return lock;
    }
    throw lockedError(directory, null);
  } catch (error) {
    await place?.close();
    throw error instanceof EngineError ? error : unwritableError(directory, error);
  }
}

/** Null: somebody was in the way who may be gone by now. */
async function attemptLock(place: Place): Promise<DirectoryLock | null> {
  const lockPath = place.pathOf('lock');
  const standing = await ask(lockPath);
  if (standing.state === 'held') throw lockedError(place.directory, standing.owner);
  if (standing.state === 'unsettled') return null;
  if (standing.state === 'dead') {
    await refuseForeign(place);
    await setAside(place);
  }

  const claim = await listen(place);
  let owned = false;
  try {
    if (!(await succeeds(link(claim.path, lockPath), 'EEXIST', 'ENOENT'))) return null;
    await succeeds(unlink(claim.path), 'ENOENT');
    for (const name of await readdir(place.base)) {
      if (!name.startsWith('lock.')) continue;
      const other = await ask(place.pathOf(name));
      if (other.state === 'held') throw lockedError(place.directory, other.owner);
      if (other.state === 'unsettled') return null;
      if (other.state === 'dead') await removeSocket(place.pathOf(name));
    }
    // Somebody who took the socket for its predecessor may have moved it: then another may have the name.
    if ((await identityOf(lockPath)) !== claim.identity) return null;
    owned = true;
    claim.settle();
    // Litter harms nobody.
    await sweepClaims(place).catch(() => undefined);
    return new SocketLock(place, claim);
  } finally {
    // Left in its place it is dead, and the next one who comes moves it aside.
    if (!owned) await claim.close();
  }
}

class SocketLock implements DirectoryLock {
  readonly #place: Place;
  readonly #claim: Claim;
  #released: Promise<void> | null = null;

  constructor(place: Place, claim: Claim) {
    this.#place = place;
    this.#claim = claim;
  }

  release(): Promise<void> {
    return (this.#released ??= this.#release());
  }

  async #release(): Promise<void> {
    try {
      // What is called `lock` is unlinked only once it is known, under a name of its own, to be this one.
      await setAside(this.#place, this.#claim.identity).catch(() => undefined);
    } finally {
      await this.#claim.close();
      await this.#place.close();
    }
  }
}

/** Moves `lock` out of the way and removes it if it is dead, or `own`; puts it back if it is somebody's. */
async function setAside(place: Place, own?: string): Promise<void> {
  const lockPath = place.pathOf('lock');
  const asidePath = place.pathOf(`lock.${uniqueName()}`);
  if (!(await succeeds(rename(lockPath, asidePath), 'ENOENT'))) return;
  const isOwn = own !== undefined && (await identityOf(asidePath)) === own;
  if (isOwn || (await ask(asidePath)).state === 'dead') {
    await removeSocket(asidePath);
  } else if (await succeeds(link(asidePath, lockPath), 'EEXIST', 'EPERM', 'ENOENT')) {
    await succeeds(unlink(asidePath), 'ENOENT');
  }
}

/** Removes what processes left that died while they set up their socket. */
async function sweepClaims(place: Place): Promise<void> {
  for (const name of await readdir(place.base)) {
    if (!/^lock-[0-9a-f]{12}$/.test(name)) continue;
    // One that does not listen yet goes too: its owner finds it gone, and starts over.
    if ((await ask(place.pathOf(name))).state === 'dead') await removeSocket(place.pathOf(name));
  }
}

interface Claim {
  readonly path: string;
  readonly identity: string;
  /** From now on it answers as the owner. */
  settle(): void;
  close(): Promise<void>;
}

async function listen(place: Place): Promise<Claim> {
  const path = place.pathOf(`lock-${uniqueName()}`);
  let settled = false;
  const server: Server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.unref();
    socket.write(JSON.stringify({ ...self(), settled }) + '\n');
    socket.destroySoon();
  });
  await new Promise<void>((listening, failed) => {
    server.once('error', failed);
    // Exclusive: the workers of a cluster would share one socket, and each believe that the directory is its own.
    server.listen({ path, exclusive: true }, listening);
  });
  server.on('error', () => undefined);
  server.unref();
  const close = (): Promise<void> => new Promise((closed) => server.close(() => closed()));
  const identity = await identityOf(path);
  return { path, identity, settle: () => (settled = true), close };
}

function self(): Owner {
  const [program = '', script = '', first = ''] = process.argv;
  // Of the arguments only the subcommand: options may hold secrets.
  const words = [basename(program), basename(script), first.startsWith('-') ? '' : first];
  return {
    pid: process.pid,
    started: new Date(Date.now() - process.uptime() * 1000).toISOString(),
    command: words.filter((word) => word !== '').join(' '),
  };
}

/** Asks the socket at `path` who holds the directory. */
function ask(path: string): Promise<Standing> {
  return new Promise((settle, fail) => {
    let connected = false;
    let answer = '';
    const socket = connect({ path });
    socket.setEncoding('utf8');
    const end = (standing: Standing): void => {
      clearTimeout(timer);
      socket.destroy();
      settle(standing);
    };
    const timer = setTimeout(() => end({ state: 'held', owner: null }), ANSWER_TIMEOUT_MS);
    socket.on('connect', () => (connected = true));
    socket.on('data', (text: string) => {
      answer += text;
      if (answer.includes('\n')) end(parseAnswer(answer));
      else if (answer.length > MAX_ANSWER_BYTES) end({ state: 'held', owner: null });
    });
    socket.on('end', () => end({ state: 'unsettled' }));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (connected || error.code === 'ECONNRESET' || error.code === 'EPIPE') end({ state: 'unsettled' });
      else if (error.code === 'ECONNREFUSED') end({ state: 'dead' });
      else if (error.code === 'ENOENT') end({ state: 'absent' });
      else if (error.code === 'EAGAIN') end({ state: 'held', owner: null });
      else {
        clearTimeout(timer);
        fail(error);
      }
    });
  });
}

function parseAnswer(answer: string): Standing {
  try {
    const { pid, started, command, settled } = JSON.parse(answer.slice(0, answer.indexOf('\n'))) as Record<
      string,
      unknown
    >;
    if (settled === false) return { state: 'unsettled' };
    if (typeof pid !== 'number' || typeof started !== 'string' || typeof command !== 'string') throw new TypeError();
    return { state: 'held', owner: { pid, started: printable(started), command: printable(command) } };
  } catch {
    return { state: 'held', owner: null };
  }
}

/** It is printed on a terminal, and comes from somewhere else. */
function printable(text: string): string {
  return text.replace(/\p{C}/gu, '?').slice(0, MAX_COMMAND_LENGTH);
}

/** The directory by a path that is short enough for the names of sockets in it. */
interface Place {
  readonly directory: string;
  readonly base: string;
  pathOf(name: string): string;
  close(): Promise<void>;
}

async function openPlace(directory: string): Promise<Place> {
  const path = resolve(directory);
  const longest = `${path}/lock-${uniqueName()}`;
  if (Buffer.byteLength(longest) <= MAX_SOCKET_PATH_BYTES) {
    return { directory, base: path, pathOf: (name) => `${path}/${name}`, close: async () => undefined };
  }
  if (process.platform !== 'linux') {
    const limit = MAX_SOCKET_PATH_BYTES - (longest.length - path.length);
    throw new EngineError(
      'UNWRITABLE',
      `${directory} can't be locked: its path is longer than ${limit} bytes; choose a shorter one`,
    );
  }
  const descriptor = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  const base = `/proc/self/fd/${descriptor.fd}`;
  return { directory, base, pathOf: (name) => `${base}/${name}`, close: () => descriptor.close() };
}

async function refuseForeign(place: Place): Promise<void> {
  const found = await lstat(place.pathOf('lock')).catch(() => null);
  if (found === null || found.isSocket()) return;
  throw new EngineError(
    'FOREIGN',
    `${place.directory}/lock is not a lock of Postrider: move it away, or choose another directory`,
  );
}

async function removeSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null);
  if (found?.isSocket()) await succeeds(unlink(path), 'ENOENT');
}

async function identityOf(path: string): Promise<string> {
  try {
    const { dev, ino } = await lstat(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 'none';
    throw error;
  }
}

/** False where it failed with one of `codes`; other errors are thrown. */
async function succeeds(call: Promise<void>, ...codes: string[]): Promise<boolean> {
  try {
    await call;
    return true;
  } catch (error) {
    if (codes.includes(codeOf(error))) return false;
    throw error;
  }
}

function uniqueName(): string {
  return randomBytes(6).toString('hex');
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException | null)?.code ?? '';
}

function lockedError(directory: string, owner: Owner | null): EngineError {
  const by = owner === null ? 'another process' : `process ${owner.pid} (${owner.command}, since ${owner.started})`;
  return new EngineError('LOCKED', `${directory} is in use by ${by}: stop it, or choose another directory`);
}

function unwritableError(directory: string, cause: unknown): EngineError {
  const reason = codeOf(cause) || String(cause);
  return new EngineError(
    'UNWRITABLE',
    `${directory} can't be locked (${reason}): make it a directory that this user can write, or choose another`,
    { cause },
  );
}
