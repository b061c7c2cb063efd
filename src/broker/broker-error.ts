/**
 * What a broker refuses. The codes are AMQP's own (0-9-1 §1.8), because they say best what kind of refusal it is; other
 * protocols map them. The message is RabbitMQ's text, without the code's name in front.
 */
export type BrokerErrorCode =
  | 'ACCESS_REFUSED'
  | 'NOT_FOUND'
  | 'RESOURCE_LOCKED'
  | 'PRECONDITION_FAILED'
  | 'NOT_ALLOWED'
  | 'COMMAND_INVALID'
  | 'NOT_IMPLEMENTED'
  | 'INTERNAL_ERROR';

export class BrokerError extends Error {
  readonly code: BrokerErrorCode;

  constructor(code: BrokerErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'BrokerError';
    this.code = code;
  }
}
