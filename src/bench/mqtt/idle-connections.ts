// A process that opens many connections and leaves them alone, or reaches each of them with one message.
import { setTimeout as sleep } from 'node:timers/promises';
import { answerParent, reportFailure } from '../answer.ts';
import { monotonicMs } from '../load.ts';
import { freshName } from '../loads.ts';
import { inBatches } from '../topology.ts';
import { MqttConnection } from './connection.ts';
import type { IdleOpened, IdleReached, IdleRequest } from './load.ts';
import { acknowledgement, headerBytes, packetBytes, packetType, publishPacket } from './packet.ts';

const closedAtOnce = 200;
const publishedAtOnce = 200;
const bodyBytes = 100;
const patienceMs = 30_000;

let connections: MqttConnection[] = [];
let received = 0;

answerParent<IdleRequest>(async (request) => {
  switch (request.verb) {
    case 'open':
      return open(request);
    case 'reach':
      return reach(request);
    case 'close':
      await inBatches(connections, closedAtOnce, (connection) => connection.close());
      connections = [];
      return undefined;
  }
});

async function open({
  address,
  first,
  count,
  atOnce,
  topicPrefix,
}: IdleRequest & { verb: 'open' }): Promise<IdleOpened> {
  const prefix = freshName('i');
  const indexes = Array.from({ length: count }, (_, index) => first + index);
  const startedMs = monotonicMs();
  await inBatches(indexes, atOnce, async (index) => {
    const connection = await MqttConnection.open(address, { clientId: `${prefix}-${index}` });
    connection.onFailure = reportFailure;
    connections.push(connection);
    if (topicPrefix === undefined) return;
    await connection.subscribe([`${topicPrefix}/${index}`], 1);
    connection.reader = (bytes, at, end) => acknowledge(connection, bytes, at, end);
  });
  return { tookMs: monotonicMs() - startedMs };
}

async function reach({ address, first, count, topicPrefix }: IdleRequest & { verb: 'reach' }): Promise<IdleReached> {
  const publisher = await MqttConnection.open(address, { clientId: freshName('r') });
  publisher.reader = (bytes, at, end) => skipAcknowledgements(bytes, at, end);
  received = 0;
  for (let at = 0; at < count; at += publishedAtOnce) {
    const some = Math.min(publishedAtOnce, count - at);
    const packets = Array.from({ length: some }, (_, index) =>
      publishPacket(`${topicPrefix}/${first + at + index}`, 1, 1 + index, bodyBytes),
    );
    publisher.socket.write(Buffer.concat(packets));
    const deadlineMs = monotonicMs() + patienceMs;
    while (received < at + some && monotonicMs() < deadlineMs) await sleep(1);
  }
  await publisher.close();
  return { received };
}

function acknowledge(connection: MqttConnection, bytes: Buffer, at: number, end: number): number {
  while (at < end) {
    const size = packetBytes(bytes, at, end);
    if (size === 0 || at + size > end) break;
    if ((bytes[at] as number) >> 4 === packetType.publish) {
      received++;
      const topicAt = at + headerBytes(bytes, at);
      const idAt = topicAt + 2 + bytes.readUInt16BE(topicAt);
      connection.socket.write(acknowledgement(packetType.puback, bytes.readUInt16BE(idAt)));
    } else connection.control(bytes, at, at + size);
    at += size;
  }
  return at;
}

function skipAcknowledgements(bytes: Buffer, at: number, end: number): number {
  for (let size = packetBytes(bytes, at, end); size > 0 && at + size <= end; size = packetBytes(bytes, at, end))
    at += size;
  return at;
}
