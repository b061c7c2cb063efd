import { connect, type EmbeddedMq } from '../../src/index.ts';
import { apiSuite } from './suite.ts';

let broker: EmbeddedMq | null = null;
let url = '';

apiSuite({
  name: 'amqp: to a Postrider',
  kind: 'postrider',
  async open() {
    if (broker === null) {
      broker = await connect('memory:', { log: () => undefined });
      const { amqp } = await broker.listen({ amqp: { port: 0 } });
      url = `amqp://127.0.0.1:${amqp!.port}`;
    }
    return connect(url);
  },
  async close() {
    await broker?.close();
  },
});
