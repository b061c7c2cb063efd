/** Resources as RabbitMQ's texts name them: `queue 'orders' in vhost '/'`. */
export type ResourceKind = 'queue' | 'exchange';

export function resourceName(kind: ResourceKind, name: string, vhost: string): string {
  return `${kind} '${name}' in vhost '${vhost}'`;
}
