/**
 * The package's connection, with what it keeps to itself: which broker it talks to, bodies as the bytes that they are (it parses
 * JSON, and what is written again would no longer be what was sent), and each attempt that failed. These are internals of the
 * package, which is why its version is exact; whatever else is used of it is documented.
 */
import { Connection, type ConnectionOptions as ClientOptions } from 'rabbitmq-client';
import { decodeFieldTable } from '../../format/field-table.ts';
import { PostriderError } from '../errors.ts';

export interface Server {
  /** `RabbitMQ`, `Postrider`, ... */
  readonly product: string;
  readonly version: string;
}

type Read = (bytes: number) => Promise<Buffer>;

interface Frame {
  readonly type: number;
  readonly fields?: { contentType?: string | undefined; rawContentType?: string };
}

interface Internals {
  _opt: { frameMax: number };
  _negotiate(read: Read): Promise<void>;
  _handleChunk(frame: Frame | undefined): void;
  _reset(error: Error): void;
}

const internals = Connection.prototype as unknown as Internals;
for (const name of ['_negotiate', '_handleChunk', '_reset'] as const) {
  if (typeof internals[name] === 'function') continue;
  throw new PostriderError('INTERNAL', `the installed rabbitmq-client is not the version that this needs: no ${name}`);
}

const connectionStart = (10 << 16) | 10;
const connectionTune = (10 << 16) | 30;
const headerFrame = 2;
/** What is proposed; the broker may ask for less. */
const frameMaxBytes = 131_072;

export class BrokerConnection extends Connection {
  server: Server = { product: '', version: '' };
  /** The connection, or an attempt to make it, ended. Set right after construction: the first can't end before. */
  onEnd: (error: Error) => void = () => undefined;

  constructor(options: ClientOptions) {
    super({ ...options, frameMax: frameMaxBytes });
  }

  /** Largest frame, as negotiated. */
  get frameMaxBytes(): number {
    return (this as unknown as Internals)._opt.frameMax;
  }

  /** Runs in the base's constructor already: nothing of this class is there before the first answer. */
  _negotiate(read: Read): Promise<void> {
    const self = this as unknown as Internals;
    const tapped = tap(read, (method, payload) => {
      if (method === connectionStart) {
        // Behind the version's two octets.
        const properties = decodeFieldTable(payload, 6, payload.length);
        const text = (name: string): string => (typeof properties[name] === 'string' ? properties[name] : '');
        this.server = { product: text('product'), version: text('version') };
      } else if (method === connectionTune) {
        // The package's channels go by what it asked for, not by what was agreed on.
        const offered = payload.readUInt32BE(6);
        self._opt.frameMax = offered === 0 ? frameMaxBytes : Math.min(frameMaxBytes, offered);
      }
    });
    return internals._negotiate.call(self, tapped);
  }

  _handleChunk(frame: Frame | undefined): void {
    if (frame?.type === headerFrame && frame.fields?.contentType !== undefined) {
      frame.fields.rawContentType = frame.fields.contentType;
      delete frame.fields.contentType;
    }
    internals._handleChunk.call(this as unknown as Internals, frame);
  }

  _reset(error: Error): void {
    internals._reset.call(this as unknown as Internals, error);
    this.onEnd(error);
  }
}

/** Shows the method frames of a handshake to `seen`: eight octets to look at, then head and payload of each frame. */
function tap(read: Read, seen: (method: number, payload: Buffer) => void): Read {
  let next: 'look' | 'head' | 'payload' = 'look';
  return async (bytes) => {
    const chunk = await read(bytes);
    if (next === 'payload' && chunk.length > 4) seen(chunk.readUInt32BE(0), chunk);
    next = next === 'head' ? 'payload' : 'head';
    return chunk;
  };
}
