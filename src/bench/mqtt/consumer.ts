// The process that subscribes: every subscriber of a load, each on a connection of its own.
import { answerParent, reportFailure } from '../answer.ts';
import { cpuMs, monotonicMs, type ConsumerEnd, type ConsumerMark } from '../load.ts';
import { freshName } from '../loads.ts';
import { sumFindings } from '../tally.ts';
import { MqttConnection, type MqttAddress } from './connection.ts';
import { CreditGiver } from './credit.ts';
import type { MqttConsumerOpened, MqttConsumerRequest } from './load.ts';
import { MqttSubscriber, type MqttSubscriberPlan } from './subscriber.ts';

const bystanderConnections = 10;

let connections: MqttConnection[] = [];
let subscribers: MqttSubscriber[] = [];
let sessions: { address: MqttAddress; plan: MqttSubscriberPlan }[] = [];
let credit: CreditGiver | undefined;

answerParent<MqttConsumerRequest>(async (request) => {
  switch (request.verb) {
    case 'open': {
      const { address, plans, bystanders, creditStep } = request;
      await subscribeBystanders(address, bystanders);
      for (const plan of plans) {
        const { clientId, cleanSession } = plan;
        const connection = await MqttConnection.open(address, { clientId, cleanSession });
        connection.onFailure = reportFailure;
        connections.push(connection);
        if (!cleanSession) sessions.push({ address, plan });
        subscribers.push(new MqttSubscriber(connection, plan));
      }
      await Promise.all(subscribers.map((subscriber) => subscriber.subscribe()));
      const opened: MqttConsumerOpened = { creditPort: await giveCredit(creditStep) };
      return opened;
    }
    case 'mark': {
      const mark: ConsumerMark = { atMs: monotonicMs(), received: sumReceived(), cpuMs: cpuMs() };
      return mark;
    }
    case 'settle': {
      for (const subscriber of subscribers) subscriber.end(request.sent);
      await Promise.all(subscribers.map((subscriber) => subscriber.settle()));
      const end: ConsumerEnd = {
        received: sumReceived(),
        redelivered: subscribers.reduce((sum, { redelivered }) => sum + redelivered, 0),
        findings: sumFindings(subscribers.map(({ findings }) => findings)),
        spans: [],
      };
      return end;
    }
    case 'close':
      credit?.close();
      await Promise.all(connections.map((connection) => connection.close()));
      for (const { address, plan } of sessions) await endSession(address, plan.clientId);
      connections = [];
      subscribers = [];
      sessions = [];
      return undefined;
  }
});

async function subscribeBystanders(address: MqttAddress, filters: readonly string[]): Promise<void> {
  const each = Math.ceil(filters.length / bystanderConnections);
  const prefix = freshName('b');
  for (let at = 0; at < filters.length; at += each) {
    const connection = await MqttConnection.open(address, { clientId: `${prefix}-${at}` });
    connection.onFailure = reportFailure;
    connections.push(connection);
    await connection.subscribe(filters.slice(at, at + each), 0);
  }
}

async function giveCredit(step: number): Promise<number> {
  const giver = await CreditGiver.open();
  credit = giver;
  const tell = (): void => {
    let slowest = Number.POSITIVE_INFINITY;
    for (const subscriber of subscribers) slowest = Math.min(slowest, subscriber.passed);
    giver.tell(slowest, step);
  };
  for (const subscriber of subscribers) subscriber.onReceived = tell;
  return giver.port;
}

/** A clean session with the same client id deletes the one that outlived its connection. */
async function endSession(address: MqttAddress, clientId: string): Promise<void> {
  const connection = await MqttConnection.open(address, { clientId });
  await connection.close();
}

function sumReceived(): number {
  return subscribers.reduce((sum, { received }) => sum + received, 0);
}
