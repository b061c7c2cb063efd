/**
 * Hot path: all sockets read into one buffer, since a read is handled whole before the next one begins.
 *
 * Node gives each read of an accepted socket 64 KiB of its own; at a gigabit that is a thousand collections of external memory a
 * minute, each a pause of milliseconds. `net.Socket` can read into a given buffer (`onread`), but a server can't ask for it: so
 * `shareReads` has a listener make such sockets itself. Where it can't, the accepted socket hands its handle over to another that reads so,
 * which makes a socket twice; where that can't be either, reading falls back to `data` events. What Node does not document of this is in
 * `Handle` and `Internals`, and the option `handle`.
 */
import { Socket, type Server } from 'node:net';

const readBytes = 256 * 1024;
const shared = Buffer.allocUnsafeSlow(readBytes);

interface Handle {
  onconnection?: unknown;
}

interface Internals {
  _handle?: Handle | null;
  /** Of a socket: whose it is among the next. */
  _server?: Server;
  /** Of a server, which is closed when none is left. */
  _connections?: number;
}

/** Handles `bytes[0, end)` and keeps nothing of them: the next read overwrites them. */
export type Reader = (bytes: Buffer, end: number) => void;

const reader = Symbol('reader');

/** Passes what it reads to whoever it was given to. */
interface SharedSocket extends Socket {
  [reader]: Reader;
}

/** Has a server that listens make sockets for `readInto` at once. Its options and its `connection` event hold as before, but that `readInto` must be called within the event. */
export function shareReads(server: Server): void {
  const listener = (server as unknown as Internals)._handle;
  const accept = listener?.onconnection;
  if (typeof accept !== 'function') return;
  listener!.onconnection = (error: number, handle: Handle | undefined): void => {
    const socket = error === 0 && handle !== undefined ? sharedSocket(handle, server) : null;
    if (socket === null) {
      Reflect.apply(accept, listener, [error, handle]);
      return;
    }
    (server as unknown as { _connections: number })._connections += 1;
    server.emit('connection', socket);
  };
}

/** Passes what the socket reads to `read`. Unless the server shares reads, the socket must have been accepted with `pauseOnConnect`. */
export function readInto(accepted: Socket, server: Server, read: Reader): Socket {
  if (reader in accepted) {
    (accepted as SharedSocket)[reader] = read;
    return accepted;
  }
  const internals = accepted as unknown as Internals;
  const handle = internals._handle;
  const socket = handle === null || handle === undefined ? null : sharedSocket(handle, server);
  if (socket === null) return readEvents(accepted, read);
  internals._handle = null;
  socket[reader] = read;
  return socket;
}

/** Null: this Node takes no handle. */
function sharedSocket(handle: Handle, server: Server): SharedSocket | null {
  const onread = {
    buffer: shared,
    callback: (size: number): boolean => {
      socket[reader](shared, size);
      return true;
    },
  };
  const socket = new Socket({ handle, allowHalfOpen: true, onread } as { allowHalfOpen: boolean }) as SharedSocket;
  socket[reader] = ignore;
  const internals = socket as unknown as Internals;
  if (internals._handle !== handle) {
    socket.destroy();
    return null;
  }
  internals._server = server;
  return socket;
}

function ignore(): void {
  // Nobody wants it: it is about to be destroyed.
}

/** For sockets whose bytes are not the system's own: TLS. */
export function readEvents(socket: Socket, read: Reader): Socket {
  socket.on('data', (chunk: Buffer) => read(chunk, chunk.length));
  socket.resume();
  return socket;
}
