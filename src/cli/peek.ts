/** `postrider peek`: the first messages of a queue, left where they are. */
import type { Command } from 'commander';
import type { Message } from '../api/message.ts';
import { wholeNumber } from './option-value.ts';
import { print } from './print.ts';
import { addBrokerOptions, addVerb, type VerbOptions, withBroker } from './verb.ts';

const examples = `
Examples:
  postrider peek orders                 the first ten, oldest first
  postrider peek orders.dead            dead letters, with the reason
  postrider peek orders --count 1 --json

The messages stay in their queue. Over amqp:// they have to be taken and given
back for that, which flags them as redelivered and counts as a delivery: one
that is looked at more than 20 times (the default limit) is dead-lettered.`;

export interface PeekFlags extends VerbOptions {
  readonly count: number;
}

export function registerPeek(program: Command): void {
  const command = addVerb(program, 'peek', 'show the first messages of a queue without taking them', examples)
    .argument('<QUEUE>', 'which queue')
    .option('--count <N>', 'at most so many', wholeNumber('--count', 1, 10_000), 10);
  addBrokerOptions(command, 'print one object a line, as consume --json does').action(peek);
}

async function peek(name: string, { count, json = false, ...options }: PeekFlags): Promise<void> {
  await withBroker(options, async (mq) => {
    const { asItStands } = await import('./raw-bytes.ts');
    const messages = await (await mq.queue<Uint8Array>(name, asItStands())).peek(count);
    const { messageRecord } = await import('./message-record.ts');
    await print(json ? messages.map(messageRecord) : await table(messages));
    if (messages.length === 0 && !json) process.stderr.write(`queue '${name}' is empty\n`);
  });
}

async function table(messages: readonly Message<Uint8Array>[]): Promise<string[]> {
  if (messages.length === 0) return [];
  const { deathOf } = await import('../api/message-headers.ts');
  const { bytes, renderTable, widthOf } = await import('./table.ts');
  const { headersOf, payloadText } = await import('./message-record.ts');
  const { printableLine } = await import('./printable.ts');
  const { paintFor } = await import('./terminal.ts');
  const rows = messages.map((message) => {
    const death = deathOf(message.properties.headers);
    const headers = Object.entries(headersOf(message)).filter(([header]) => !header.startsWith('x-'));
    return {
      ID: message.id ?? '',
      REASON: death === null ? '' : [death.reason, death.error].filter((part) => part !== '').join(': '),
      HEADERS: headers
        .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
        .join(' '),
      SIZE: bytes(message.payload.length),
      PAYLOAD: payloadText(message) ?? '(no text)',
    };
  });
  // A column that has nothing to say takes no room, one that says much no more than its share.
  const titles = (['ID', 'REASON', 'HEADERS', 'SIZE', 'PAYLOAD'] as const).filter((title) =>
    rows.some((row) => row[title] !== ''),
  );
  const width = widthOf(process.stdout);
  const share = width === Infinity ? Infinity : Math.max(12, Math.floor(width / titles.length));
  const columns = titles.map((title) => ({ title, numeric: title === 'SIZE' }));
  const cells = rows.map((row) =>
    titles.map((title) => (title === 'PAYLOAD' ? printableLine(row[title]) : short(printableLine(row[title]), share))),
  );
  return renderTable(columns, cells, width, paintFor(process.stdout));
}

function short(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
