// The process that publishes: every publisher of a load, each on a connection of its own.
import type { Socket } from 'node:net';
import { answerParent, reportFailure } from '../answer.ts';
import { cpuMs, monotonicMs, type ProducerMark } from '../load.ts';
import { freshName } from '../loads.ts';
import { inBatches } from '../topology.ts';
import { Allowance } from './allowance.ts';
import { MqttConnection } from './connection.ts';
import { takeCredit } from './credit.ts';
import type { MqttProducerRequest } from './load.ts';
import { MqttPublisher } from './publisher.ts';

/** A broker that lost a message of QoS 0 would otherwise hold the publisher up for ever. */
const giveUpAfterMs = 500;
const openedAtOnce = 100;

let connections: MqttConnection[] = [];
let publishers: MqttPublisher[] = [];
let credit: Socket | undefined;
let looks: NodeJS.Timeout | undefined;

answerParent<MqttProducerRequest>(async (request) => {
  switch (request.verb) {
    case 'open': {
      const { address, plans, creditPort, maxAhead } = request;
      const allowance = new Allowance(maxAhead);
      const prefix = freshName('p');
      const opened: MqttPublisher[] = [];
      await inBatches([...plans.entries()], openedAtOnce, async ([index, plan]) => {
        const connection = await MqttConnection.open(address, { clientId: `${prefix}-${index}` });
        connection.onFailure = reportFailure;
        connections.push(connection);
        const publisher = new MqttPublisher(connection, plan, allowance);
        publisher.onFailure = reportFailure;
        opened[index] = publisher;
      });
      publishers = opened;
      credit = await takeCredit(creditPort, (passed) => allowance.tell(passed));
      if (plans.some(({ qos }) => qos !== 0)) return undefined;
      looks = setInterval(() => {
        // What this process still has to write is not lost.
        if (connections.every(({ socket }) => socket.writableLength === 0)) allowance.giveUpLost();
      }, giveUpAfterMs);
      return undefined;
    }
    case 'start':
      for (const publisher of publishers) publisher.start();
      return undefined;
    case 'stop':
      for (const publisher of publishers) publisher.stop();
      return undefined;
    case 'mark': {
      const mark: ProducerMark = {
        atMs: monotonicMs(),
        sent: publishers.map(({ sent }) => sent),
        // Nobody confirms a message of QoS 0: sent is all that it can be on this side.
        confirmed: publishers.reduce((sum, { qos, sent, acknowledged }) => sum + (qos === 0 ? sent : acknowledged), 0),
        settled: publishers.every(({ settled }) => settled),
        cpuMs: cpuMs(),
      };
      return mark;
    }
    case 'close':
      clearInterval(looks);
      credit?.destroy();
      await Promise.all(connections.map((connection) => connection.close()));
      connections = [];
      publishers = [];
      return undefined;
  }
});
