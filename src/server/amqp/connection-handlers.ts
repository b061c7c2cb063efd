/** Methods of channel 0 on an open connection; those of the handshake are in handshake.ts. */
import { ConnectionError } from '../../wire/amqp/amqp-error.ts';
import {
  connectionClose,
  connectionUpdateSecret,
  connectionUpdateSecretOk,
} from '../../wire/amqp/connection-methods.ts';
import type { Connection } from './connection.ts';

/** @throws ConnectionError, FormatError */
export function handleConnectionMethod(
  connection: Connection,
  id: number,
  bytes: Buffer,
  start: number,
  end: number,
): void {
  switch (id) {
    case connectionClose.id:
      connectionClose.read(bytes, start, end);
      connection.ending.atPeersWish();
      return;
    case connectionUpdateSecret.id:
      // Passwords do not expire: whoever is in stays in.
      connectionUpdateSecret.read(bytes, start, end);
      connection.output.writeFrame(connectionUpdateSecretOk.frame(0, {}));
      return;
    default:
      throw new ConnectionError('CHANNEL_ERROR', 'unexpected method in connection state running');
  }
}
