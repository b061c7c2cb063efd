import type { FieldTable } from '../../format/field-table.ts';

/** RabbitMQ's capabilities, less what is not here: clients switch features on by them. */
export function serverProperties(version: string): FieldTable {
  return {
    capabilities: {
      publisher_confirms: true,
      exchange_exchange_bindings: true,
      'basic.nack': true,
      consumer_cancel_notify: true,
      'connection.blocked': true,
      consumer_priorities: true,
      authentication_failure_close: true,
      per_consumer_qos: true,
      direct_reply_to: true,
    },
    cluster_name: 'postrider',
    copyright: 'Copyright (c) Postrider contributors',
    information: 'Licensed under the MIT License',
    platform: `Node.js ${process.versions.node}`,
    product: 'Postrider',
    version,
  };
}
