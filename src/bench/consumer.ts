// The process that consumes: every consumer of a load, each on a connection of its own.
import { answerParent, reportFailure } from './answer.ts';
import { LoadConnection } from './connection.ts';
import { cpuMs, monotonicMs, type ConsumerEnd, type ConsumerMark, type ConsumerRequest, type Latency } from './load.ts';
import { Subscriber } from './subscriber.ts';
import { sumFindings } from './tally.ts';

let connections: LoadConnection[] = [];
let subscribers: Subscriber[] = [];

answerParent<ConsumerRequest>(async (request) => {
  switch (request.verb) {
    case 'open':
      for (const plan of request.plans) {
        const connection = await LoadConnection.open(request.address);
        connection.onFailure = reportFailure;
        connections.push(connection);
        subscribers.push(new Subscriber(connection, plan));
      }
      await Promise.all(subscribers.map((subscriber) => subscriber.consume()));
      return undefined;
    case 'mark': {
      const mark: ConsumerMark = { atMs: monotonicMs(), received: sumReceived(), cpuMs: cpuMs() };
      if (request.forgetLatencies === true) for (const subscriber of subscribers) subscriber.forgetLatencies();
      else if (subscribers.some((subscriber) => subscriber.latencyCount > 0)) mark.latency = latency();
      return mark;
    }
    case 'settle': {
      for (const [index, subscriber] of subscribers.entries()) subscriber.end(request.sent[index] ?? 0);
      await Promise.all(subscribers.map((subscriber) => subscriber.settle()));
      const end: ConsumerEnd = {
        received: sumReceived(),
        redelivered: subscribers.reduce((sum, subscriber) => sum + subscriber.redelivered, 0),
        findings: sumFindings(subscribers.map((subscriber) => subscriber.tally.findings)),
        spans: subscribers.map(({ received, startedMs, lastMs }) => ({ received, startedMs, lastMs })),
      };
      return end;
    }
    case 'close':
      await Promise.all(connections.map((connection) => connection.close()));
      connections = [];
      subscribers = [];
      return undefined;
  }
});

function sumReceived(): number {
  return subscribers.reduce((sum, subscriber) => sum + subscriber.received, 0);
}

function latency(): Latency {
  const kept = subscribers.map((subscriber) => subscriber.latenciesMs.slice(0, subscriber.latencyCount));
  const all = Float64Array.from(kept.flatMap((some) => [...some])).sort();
  const at = (fraction: number): number => all[Math.min(all.length - 1, Math.floor(all.length * fraction))] ?? 0;
  return { count: all.length, p50Ms: at(0.5), p99Ms: at(0.99), p999Ms: at(0.999), maxMs: at(1) };
}
