/** The public API. Explicit names only. */
export { connect, type ConnectOptions } from './api/connect.ts';
export type { ConsumeOptions } from './api/consume-options.ts';
export type { Consumer, FailureEnd, Handler } from './api/consumer.ts';
export type { EmbeddedMq, Listening, ListeningPlace, ListenOptions, ListenPlace } from './api/embedded-mq.ts';
export { type ErrorCode, PostriderError } from './api/errors.ts';
export type { Headers, Message } from './api/message.ts';
export type { DeadLetterReason, Death } from './api/message-headers.ts';
export type { MessageStream, StreamOptions } from './api/message-stream.ts';
export type { CloseOptions, Mq, MqEvents, TopicOptions } from './api/mq.ts';
export type { PublishOptions } from './api/publish-options.ts';
export type { Queue, QueueStats } from './api/queue.ts';
export type { QueueOptions } from './api/queue-options.ts';
export type { DeadLetter, RedriveOptions } from './api/redrive.ts';
export type { RequestOptions } from './api/request.ts';
export type { RetryPolicy } from './api/retry-policy.ts';
export type { Serializer } from './api/serializer.ts';
export type {
  SchemaInput,
  SchemaIssue,
  SchemaOutput,
  SchemaPathSegment,
  SchemaResult,
  StandardSchema,
  WithSchema,
} from './api/standard-schema.ts';
export type { SubscriptionOptions, Topic } from './api/topic.ts';
export { version } from './version.ts';
