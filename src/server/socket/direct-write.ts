/**
 * Hot path: a few bytes to a socket that has nothing else to send.
 *
 * A stream takes 2 us for a write, and three objects; where thousands of clients are sent four bytes each that is as much as all else that is
 * done for them. The system takes so few bytes at once, nearly always. What Node's streams call is no documented interface: where it is not
 * found, everything goes through the stream.
 */
import { Socket } from 'node:net';
import type { Transport } from './transport.ts';

interface WriteRequest {
  oncomplete: ((status: number) => void) | null;
  buffer: Uint8Array | null;
  /** Above 0 once a write waits for it. */
  getAsyncId(): number;
}

type WriteBuffer = (this: StreamHandle, request: WriteRequest, bytes: Uint8Array) => number;

interface StreamHandle {
  writeBuffer?: WriteBuffer;
}

/** Null: none was seen yet. */
let Request: (new () => WriteRequest) | null = null;
/** One that no write waits for. */
let spare: WriteRequest | null = null;

export type DirectWrite = 'done' | 'later' | 'no';

/** `done`: the system has taken it. `later`: it waits, and `written` is called once it did not any more. `no`: the stream must be asked. */
export function writeDirectly(socket: Transport, bytes: Uint8Array, written: () => void): DirectWrite {
  // What encrypts or frames takes no bytes at once.
  if (socket.constructor !== Socket) return 'no';
  const { _handle: handle } = socket as unknown as { readonly _handle?: StreamHandle | null };
  if (handle === null || handle === undefined || typeof handle.writeBuffer !== 'function') return 'no';
  if (Request === null) {
    learnFrom(handle, handle.writeBuffer);
    return 'no';
  }
  const request = spare ?? new Request();
  spare = null;
  request.oncomplete = written;
  const error = handle.writeBuffer(request, bytes);
  if (error === 0 && request.getAsyncId() > 0) {
    request.buffer = bytes;
    return 'later';
  }
  request.oncomplete = null;
  spare = request;
  // Nothing was written: the stream will find the same, and tell of it.
  return error === 0 ? 'done' : 'no';
}

/** The next write of the stream shows what it makes for one. */
function learnFrom(handle: StreamHandle, writeBuffer: WriteBuffer): void {
  handle.writeBuffer = function (request, bytes) {
    delete handle.writeBuffer;
    const { constructor } = request;
    if (typeof request.getAsyncId === 'function') Request = constructor as new () => WriteRequest;
    return writeBuffer.call(this, request, bytes);
  };
}
