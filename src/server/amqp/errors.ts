import { BrokerError, EngineError, type BrokerErrorCode } from '../../broker/index.ts';
import { FormatError } from '../../format/format-error.ts';
import { ChannelError, ConnectionError } from '../../wire/amqp/amqp-error.ts';

type Closing = ChannelError | ConnectionError;

/** Which of the broker's refusals end the channel, and which the connection, as in RabbitMQ. */
const made: Record<BrokerErrorCode, (message: string) => Closing> = {
  ACCESS_REFUSED: (message) => new ChannelError('ACCESS_REFUSED', message),
  NOT_FOUND: (message) => new ChannelError('NOT_FOUND', message),
  RESOURCE_LOCKED: (message) => new ChannelError('RESOURCE_LOCKED', message),
  PRECONDITION_FAILED: (message) => new ChannelError('PRECONDITION_FAILED', message),
  NOT_ALLOWED: (message) => new ConnectionError('NOT_ALLOWED', message),
  COMMAND_INVALID: (message) => new ConnectionError('COMMAND_INVALID', message),
  NOT_IMPLEMENTED: (message) => new ConnectionError('NOT_IMPLEMENTED', message),
  INTERNAL_ERROR: (message) => new ConnectionError('INTERNAL_ERROR', message),
};

/** What the client is told of anything that was thrown while its bytes were handled. */
export function closingError(error: unknown): Closing {
  if (error instanceof ChannelError || error instanceof ConnectionError) return error;
  if (error instanceof BrokerError) return made[error.code](error.message);
  if (error instanceof FormatError) return new ConnectionError('SYNTAX_ERROR', error.message);
  if (error instanceof EngineError) return new ConnectionError('INTERNAL_ERROR', error.message, { cause: error });
  // A bug of ours: its text is for the log, not for the client.
  return new ConnectionError('INTERNAL_ERROR', '', { cause: error });
}
