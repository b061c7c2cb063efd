import { administratorVerb } from './administrator.ts';

export const listVhosts = administratorVerb('list-vhosts', [], (_request, { broker }) => {
  const vhosts = Array.from(broker.vhosts, ({ name, graph }) => ({
    vhost: name,
    queues: graph.queues.size,
    exchanges: graph.exchanges.size,
  }));
  return { vhosts: vhosts.sort((a, b) => (a.vhost < b.vhost ? -1 : 1)) };
});
