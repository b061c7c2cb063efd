/** What a permission is asked for: to change a resource, to put messages into it, to take messages from it. */
export type Permission = 'configure' | 'write' | 'read';

/** Beside the permission for the exchange: to publish with a routing key, and to bind or subscribe with one. */
export type TopicAccess = 'write' | 'read';

/** `administrator`: users, vhosts and permissions. `impersonator`: messages may name another user. Others are kept and mean nothing here. */
export const administratorTag = 'administrator';
export const impersonatorTag = 'impersonator';

/**
 * Who a connection acts for: one object a user, shared by that user's connections, so that what was permitted to it can be
 * kept by identity. `permissions` grows when its answers may have changed.
 */
export interface Principal {
  readonly user: string;
  readonly permissions: number;
  readonly tags: readonly string[];
  /** Whether it may connect to the vhost at all. */
  entersVhost(vhost: string): boolean;
  allows(vhost: string, permission: Permission, resource: string): boolean;
  /** Whether some topics of the exchange may be refused to it. */
  limitsTopics(vhost: string, exchange: string): boolean;
  /** `clientId`: of MQTT; null where there is none. True where its topics are not limited. */
  allowsTopic(
    vhost: string,
    exchange: string,
    access: TopicAccess,
    routingKey: string,
    clientId: string | null,
  ): boolean;
}

/** Whoever has the broker in its own process: what it opened it may do everything with. */
export const guest: Principal = {
  user: 'guest',
  permissions: 0,
  tags: [administratorTag],
  entersVhost: () => true,
  allows: () => true,
  limitsTopics: () => false,
  allowsTopic: () => true,
};
