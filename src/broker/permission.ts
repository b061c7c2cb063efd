import { BrokerError } from './broker-error.ts';
import type { Permission, Principal } from './principal.ts';
import { type ResourceKind, resourceName } from './resource-name.ts';

/** The one place where permission is asked. @throws BrokerError ACCESS_REFUSED */
export function requirePermission(
  principal: Principal,
  vhost: string,
  permission: Permission,
  kind: ResourceKind,
  name: string,
): void {
  // The default exchange has no name of its own; permissions know it as RabbitMQ's do.
  const resource = kind === 'exchange' && name === '' ? 'amq.default' : name;
  if (principal.allows(vhost, permission, resource)) return;
  throw new BrokerError(
    'ACCESS_REFUSED',
    `access to ${resourceName(kind, resource, vhost)} refused for user '${principal.user}'`,
  );
}
