import type { ConnectPacket } from '../../wire/mqtt/connect-packet.ts';

export interface Credentials {
  readonly user: string;
  readonly vhost: string;
  readonly password: string;
}

/**
 * Who a CONNECT says its client is. The user name may be `vhost:user`. Without one it is what every broker begins with, guest with
 * the password guest, and thus from this machine only, and refused once that user or its password is changed. Null: it may not be without one.
 */
export function credentialsOf(
  { userName, password }: ConnectPacket,
  vhost: string,
  loopback: boolean,
): Credentials | null {
  if (userName === null) return loopback ? { user: 'guest', vhost, password: 'guest' } : null;
  const text = password === null ? '' : password.toString();
  const colon = userName.lastIndexOf(':');
  if (colon < 0) return { user: userName, vhost, password: text };
  return { user: userName.slice(colon + 1), vhost: userName.slice(0, colon), password: text };
}
