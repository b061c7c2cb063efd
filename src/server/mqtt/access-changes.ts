import type { AccessListener, Principal, Vhost } from '../../broker/index.ts';
import { reasonCode } from '../../wire/mqtt/reason-code.ts';
import type { Connection } from './connection.ts';
import type { MqttSession } from './session.ts';
import type { Sessions } from './sessions.ts';

/** What becomes of connections and sessions when their user, their vhost or their permissions change. */
export class AccessChanges implements AccessListener {
  readonly #connections: ReadonlySet<Connection>;
  readonly #sessions: Sessions;

  constructor(connections: ReadonlySet<Connection>, sessions: Sessions) {
    this.#connections = connections;
    this.#sessions = sessions;
  }

  userDeleted(user: Principal): void {
    this.#expel((principal) => principal === user, `user '${user.user}' is deleted`);
    this.#forget(({ principal }) => principal === user);
  }

  vhostDeleted(vhost: Vhost): void {
    this.#expel((_, of) => of === vhost, `vhost '${vhost.name}' is deleted`);
    this.#forget((session) => session.vhost === vhost);
  }

  /** What is asked for from now on is judged anew, and what was subscribed to, too. */
  permissionsChanged(user: Principal, vhost: string): void {
    for (const session of this.#sessions) {
      if (session.principal !== user || session.vhost.name !== vhost) continue;
      this.#sessions.dropUnreadable(session);
    }
  }

  #expel(isMeant: (principal: Principal, vhost: Vhost) => boolean, why: string): void {
    for (const connection of Array.from(this.#connections)) {
      const { isRunning } = connection;
      if (!isRunning) continue;
      const { principal, vhost } = connection.agreed;
      if (isMeant(principal, vhost)) connection.ending.refuse(reasonCode.administrativeAction, why);
    }
  }

  #forget(isMeant: (session: MqttSession) => boolean): void {
    for (const session of Array.from(this.#sessions)) if (isMeant(session)) this.#sessions.forget(session);
  }
}
