/** What a permission is asked for: to change a resource, to put messages into it, to take messages from it. */
export type Permission = 'configure' | 'write' | 'read';

/**
 * Who a connection acts for: one object a user, shared by that user's connections, so that what was permitted to it can be
 * kept by identity. `permissions` grows when its answers may have changed.
 */
export interface Principal {
  readonly user: string;
  readonly permissions: number;
  allows(vhost: string, permission: Permission, resource: string): boolean;
}

/** The user that may do everything in '/', and that only loopback may be. */
export const guest: Principal = {
  user: 'guest',
  permissions: 0,
  allows: (vhost) => vhost === '/',
};
