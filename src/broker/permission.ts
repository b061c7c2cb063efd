import { BrokerError } from './broker-error.ts';
import type { Permission, Principal, TopicAccess } from './principal.ts';
import { type ResourceKind, resourceName } from './resource-name.ts';

/** Here and in `requireTopic` permission is asked, and nowhere else. @throws BrokerError ACCESS_REFUSED */
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

/**
 * To publish with a routing key (write), and to bind or subscribe with one (read), beside the permission for the exchange. Whose topics
 * are not limited there may use all. `clientId`: of the MQTT client that asks, whose names then stand in patterns as they stand in topics.
 * @throws BrokerError ACCESS_REFUSED
 */
export function requireTopic(
  principal: Principal,
  vhost: string,
  exchange: string,
  access: TopicAccess,
  routingKey: string,
  clientId: string | null,
): void {
  if (!principal.limitsTopics(vhost, exchange)) return;
  if (principal.allowsTopic(vhost, exchange, access, routingKey, clientId)) return;
  const where = resourceName('exchange', exchange, vhost);
  throw new BrokerError(
    'ACCESS_REFUSED',
    `access to topic '${routingKey}' in ${where} refused for user '${principal.user}'`,
  );
}
