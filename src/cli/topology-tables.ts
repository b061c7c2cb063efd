/** What `topology` tells, as tables for a person. */
import type { VhostDescription } from '../broker/index.ts';
import { printableLine } from './printable.ts';
import { number, renderTable, type Column } from './table.ts';
import type { Paint } from './terminal.ts';

type Given = Readonly<Record<string, unknown>>;

export function renderTopology(description: VhostDescription, width: number, paint: Paint): string[] {
  const { vhost, queues, exchanges, bindings } = description;
  const table = (columns: readonly Column[], rows: readonly (readonly string[])[]): string[] =>
    renderTable(
      columns,
      rows.map((row) => row.map(printableLine)),
      width - 2,
      paint,
    ).map((line) => `  ${line}`);
  const lines = [`vhost ${printableLine(vhost)}`, '', paint.bold(`queues (${number(queues.length)})`)];
  if (queues.length > 0) {
    const columns = [
      { title: 'QUEUE' },
      { title: 'READY', numeric: true },
      { title: 'CONSUMERS', numeric: true },
      { title: 'SETTINGS' },
    ];
    lines.push(
      ...table(
        columns,
        queues.map((queue) => [queue.name, number(queue.ready), number(queue.consumers), settings(queue)]),
      ),
    );
  }
  // Built-in ones of which nobody made use only fill the screen.
  const used = new Set(bindings.flatMap(({ source, destination }) => [source, destination]));
  const shown = exchanges.filter(({ name }) => used.has(name) || !(name === '' || name.startsWith('amq.')));
  lines.push('', paint.bold(`exchanges (${number(shown.length)})`));
  if (shown.length > 0) {
    const columns = [{ title: 'EXCHANGE' }, { title: 'TYPE' }, { title: 'SETTINGS' }];
    lines.push(
      ...table(
        columns,
        shown.map((exchange) => [exchange.name, exchange.type, settings(exchange)]),
      ),
    );
  }
  const hidden = exchanges.length - shown.length;
  if (hidden > 0) lines.push(`  and ${hidden} built-in ${hidden === 1 ? 'one' : 'ones'} that nothing is bound to`);

  lines.push('', paint.bold(`bindings (${number(bindings.length)})`));
  if (bindings.length > 0) {
    const columns = [{ title: 'FROM' }, { title: 'ROUTING KEY' }, { title: 'TO' }, { title: 'ARGUMENTS' }];
    const rows = bindings.map((binding) => [
      binding.source,
      binding.routingKey,
      `${binding.destinationType === 'exchange' ? 'exchange ' : ''}${binding.destination}`,
      list(binding.arguments),
    ]);
    const some = rows.some((row) => row[3] !== '');
    lines.push(
      ...(some
        ? table(columns, rows)
        : table(
            columns.slice(0, 3),
            rows.map((row) => row.slice(0, 3)),
          )),
    );
  }
  return lines;
}

function settings(thing: {
  durable: boolean;
  autoDelete: boolean;
  exclusive?: boolean;
  internal?: boolean;
  delayed?: number;
  duplicates?: number;
  arguments: Given;
}): string {
  const words = [
    thing.durable ? 'durable' : 'transient',
    ...(thing.exclusive === true ? ['exclusive'] : []),
    ...(thing.autoDelete ? ['auto-delete'] : []),
    ...(thing.internal === true ? ['internal'] : []),
    ...counted(thing.delayed, 'delayed'),
    ...counted(thing.duplicates, 'duplicates'),
  ];
  const given = list(thing.arguments);
  return given === '' ? words.join(', ') : `${words.join(', ')}, ${given}`;
}

/** Where there are some. */
function counted(count: number | undefined, what: string): string[] {
  return count === undefined || count === 0 ? [] : [`${number(count)} ${what}`];
}

function list(given: Given): string {
  const { 'x-queue-type': type, 'x-dead-letter-exchange': exchange, 'x-dead-letter-routing-key': key, ...rest } = given;
  const words = Object.entries(rest).map(([name, value]) => `${name.replace(/^x-/, '')}=${text(value)}`);
  if (exchange !== undefined) {
    const to =
      exchange === '' ? text(key ?? '') : `exchange ${text(exchange)}${key === undefined ? '' : `, key ${text(key)}`}`;
    words.unshift(`dead letters to ${to}`);
  }
  if (type !== undefined) words.unshift(text(type));
  return words.join(', ');
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
