/** What servers and the API need of the broker. */
export type {
  Batch,
  CommitReceiver,
  DeliveryView,
  Engine,
  EngineQueue,
  ItemOutcome,
  MessageView,
  RefusalReason,
  Targets,
} from '../engine/engine.ts';
export { LARGE_BODY_BYTES, MAX_BODY_BYTES, MAX_PROPERTIES_BYTES } from '../engine/engine.ts';
export { EngineError } from '../engine/errors.ts';
export { Broker } from './broker.ts';
export { RefusedMessages } from './dead-letter/refused-messages.ts';
export type { AccessListener, BrokerOptions } from './broker.ts';
export { BrokerError } from './broker-error.ts';
export type { BrokerErrorCode } from './broker-error.ts';
export type { BrokerSettings } from './broker-settings.ts';
export { answerControl, type ControlAnswer } from './control/answer.ts';
export type { ControlRequest } from './control/control-request.ts';
export type { ControlResult, ControlVerb } from './control/control-verb.ts';
export { controlVerbs } from './control/verbs.ts';
export { ConnectionScope } from './connection-scope.ts';
export { describe, requireReadAll } from './description.ts';
export type { BindingDescription, ExchangeDescription, QueueDescription, VhostDescription } from './description.ts';
export type { Pressure, PressureListener } from './pressure.ts';
export type { Queue } from './queue.ts';
export type { Permission, Principal } from './principal.ts';
export type { Route } from './route.ts';
export type { Claim, ConsumerSink, ConsumeRequest, GetSink, MailboxRequest, SessionConsumer } from './consuming.ts';
export { handToLive } from './subscription/live.ts';
export type { RetainedMessage } from './subscription/retained-message.ts';
export type { RetainedMessages } from './subscription/retained-messages.ts';
export { messageTopic } from './subscription/message-topic.ts';
export type { Mailbox } from './subscription/mailbox.ts';
export type { SharedGroup } from './subscription/shared-group.ts';
export type { LiveSink, Subscriber } from './subscription/subscriber.ts';
export type { Subscribed, Subscribers, SubscriptionAddress } from './subscription/subscribers.ts';
export type { Subscription, SubscriptionRequest } from './subscription/subscription.ts';
export { isFilter, isTopic, subscriptionName } from './subscription/topic-filter.ts';
export { Session } from './session.ts';
export type { Transaction } from './transaction/transaction.ts';
export { emptyMessage } from './empty-message.ts';
export { readEnvelope } from './envelope.ts';
export { isShortened, routingKeyOf, topicHeader, topicOf } from './subscription/topic-key.ts';

export type {
  Actor,
  ExchangeBindingRequest,
  ExchangeDeclaration,
  QueueBindingRequest,
  QueueDeclaration,
  QueueStatus,
} from './vhost.ts';
export { Vhost } from './vhost.ts';
