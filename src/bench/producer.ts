// The process that publishes: every publisher of a load, each on a connection of its own.
import { answerParent, reportFailure } from './answer.ts';
import { LoadConnection } from './connection.ts';
import { cpuMs, monotonicMs, type ProducerMark, type ProducerRequest } from './load.ts';
import { Pacer } from './pacer.ts';
import { Publisher } from './publisher.ts';

let connections: LoadConnection[] = [];
let publishers: Publisher[] = [];
let pacers: Pacer[] = [];

answerParent<ProducerRequest>(async (request) => {
  switch (request.verb) {
    case 'open':
      for (const plan of request.plans) {
        const connection = await LoadConnection.open(request.address);
        connection.onFailure = reportFailure;
        connections.push(connection);
        const publisher = await Publisher.open(connection, plan);
        publisher.onFailure = reportFailure;
        publishers.push(publisher);
        if (plan.ratePerS !== undefined) pacers.push(new Pacer(publisher, plan.ratePerS));
      }
      return undefined;
    case 'start':
      for (const publisher of publishers) publisher.start();
      for (const pacer of pacers) pacer.start();
      return undefined;
    case 'stop':
      for (const pacer of pacers) pacer.stop();
      for (const publisher of publishers) publisher.stop();
      return undefined;
    case 'mark': {
      const mark: ProducerMark = {
        atMs: monotonicMs(),
        sent: publishers.map((publisher) => publisher.sent),
        confirmed: publishers.reduce((sum, publisher) => sum + publisher.confirmed, 0),
        settled: publishers.every((publisher) => publisher.settled),
        cpuMs: cpuMs(),
      };
      return mark;
    }
    case 'close':
      await Promise.all(connections.map((connection) => connection.close()));
      connections = [];
      publishers = [];
      pacers = [];
      return undefined;
  }
});
