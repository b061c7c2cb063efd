import type { ConsumeSettings } from './consume-options.ts';
import type { Consumer, Handler } from './consumer.ts';
import type { PostriderError } from './errors.ts';
import type { Link } from './link.ts';
import type { PayloadCodec } from './payload-codec.ts';
import type { Answers } from './request.ts';

/** What queues and topics need of the connection that they belong to. */
export interface MqCore {
  readonly link: Link;
  /** @throws PostriderError CLOSED, ENGINE_FAILED */
  requireOpen(verb: string): void;
  consume<Payload>(
    queue: string,
    codec: PayloadCodec<Payload, never>,
    handler: Handler<Payload>,
    settings: ConsumeSettings,
    signal: AbortSignal | undefined,
  ): Promise<Consumer<Payload>>;
  /** Of a consumer that nobody closed. */
  consumerEnded(error: PostriderError, queue: string): void;
  /** The queue for answers; made when it is first needed. */
  answers(): Promise<Answers>;
}
