/**
 * Hot path: all sockets read into one buffer, since a read is handled whole before the next one begins.
 *
 * Node gives each read of an accepted socket 64 KiB of its own; at a gigabit that is a thousand collections of external memory a
 * minute, each a pause of milliseconds. `net.Socket` can read into a given buffer (`onread`), but a server can't ask for it: so
 * the accepted socket hands its handle over to a socket that can. `handle` is no documented option; where it is not there any
 * more, reading falls back to `data` events.
 */
import { Socket, type Server } from 'node:net';

const readBytes = 256 * 1024;
const shared = Buffer.allocUnsafeSlow(readBytes);

/** What of Node's sockets is used beyond their documentation. */
interface Internals {
  _handle: { readonly reading?: boolean } | null;
  _server?: Server;
}

/** Handles `bytes[0, end)` and keeps nothing of them: the next read overwrites them. */
export type Reader = (bytes: Buffer, end: number) => void;

/** Passes what the socket reads to `read`. The socket must have been accepted with `pauseOnConnect`. */
export function readInto(accepted: Socket, server: Server, read: Reader): Socket {
  const internals = accepted as unknown as Internals;
  const handle = internals._handle;
  if (handle === null || handle === undefined) return readEvents(accepted, read);
  const options = {
    handle,
    allowHalfOpen: true,
    onread: {
      buffer: shared,
      callback: (size: number) => {
        read(shared, size);
        return true;
      },
    },
  };
  const socket = new Socket(options);
  if ((socket as unknown as Internals)._handle !== handle) {
    socket.destroy();
    return readEvents(accepted, read);
  }
  internals._handle = null;
  (socket as unknown as Internals)._server = server;
  return socket;
}

/** For sockets whose bytes are not the system's own: TLS. */
export function readEvents(socket: Socket, read: Reader): Socket {
  socket.on('data', (chunk: Buffer) => read(chunk, chunk.length));
  socket.resume();
  return socket;
}
