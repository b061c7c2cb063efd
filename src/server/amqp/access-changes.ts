import type { AccessListener, Principal, Vhost } from '../../broker/index.ts';
import type { Channel } from './channel.ts';
import type { Connection } from './connection.ts';

/** What becomes of connections when their user, their vhost or their permissions change. */
export class AccessChanges implements AccessListener {
  readonly #connections: ReadonlySet<Connection>;

  constructor(connections: ReadonlySet<Connection>) {
    this.#connections = connections;
  }

  userDeleted(user: Principal): void {
    this.#expel(({ agreed }) => agreed?.principal === user, `user '${user.user}' is deleted`);
  }

  vhostDeleted(vhost: Vhost): void {
    this.#expel(({ agreed }) => agreed?.vhost === vhost, `vhost '${vhost.name}' is deleted`);
  }

  /** What is asked for from now on is judged anew; consumers have asked already, and get nothing more of what their user may not read. */
  permissionsChanged(user: Principal, vhost: string): void {
    for (const { agreed, channels } of this.#connections) {
      if (agreed?.principal !== user || agreed.vhost.name !== vhost) continue;
      for (const channel of channels.all()) this.#cancelUnreadable(channel, user, vhost);
    }
  }

  #cancelUnreadable(channel: Channel, user: Principal, vhost: string): void {
    const { connection, session } = channel;
    for (const { consumerTag, queueName, made } of Array.from(session.consumers)) {
      // One that is just being made asks for itself, once it is.
      if (!made || user.allows(vhost, 'read', queueName)) continue;
      const consumer = channel.consumers.get(consumerTag);
      session
        .cancel(consumerTag)
        .then(() => consumer?.cancelled())
        .catch((error: unknown) => connection.logBug(error));
    }
  }

  #expel(isMeant: (connection: Connection) => boolean, why: string): void {
    for (const connection of Array.from(this.#connections)) if (isMeant(connection)) connection.ending.expel(why);
  }
}
