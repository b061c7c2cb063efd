import { MqttError } from '../../wire/mqtt/mqtt-error.ts';
import { reasonCode } from '../../wire/mqtt/reason-code.ts';
import type { Connection } from './connection.ts';

/** Enhanced authentication of MQTT 5 (§4.12): a hook for whoever runs the server in a program of his own. */
export interface Authenticator {
  /** As clients name it: "SCRAM-SHA-256". */
  readonly method: string;
  /** A client begins with this method. */
  begin(): Authentication;
}

export interface Authentication {
  /**
   * Takes what the client sent (null: nothing) and answers what goes back to it; with `user`, the client is in as that user, whose permissions hold.
   * @throws anything: the client is refused
   */
  step(data: Buffer | null): AuthenticationStep | Promise<AuthenticationStep>;
}

export interface AuthenticationStep {
  readonly data?: Buffer;
  readonly user?: string;
  /** With `user`: absent, the server's vhost. */
  readonly vhost?: string;
}

/** What an authenticator throws refuses the client, whatever it is. Only the log has it: it may be about secrets. */
export function authenticationError(connection: Connection, error: unknown): MqttError {
  if (error instanceof MqttError) return error;
  connection.log(`authentication failed: ${error instanceof Error ? error.message : String(error)}`);
  return new MqttError(reasonCode.notAuthorized, 'authentication failed');
}
