// Sensors speak MQTT: their readings wait in a durable queue, also while nobody takes them, and a command reaches the device.
import { connectAsync } from 'mqtt'; // MQTT.js; a device may use any MQTT client
import { connect } from 'postrider';

const celsius = {
  contentType: 'text/plain',
  serialize: (degrees: number) => Buffer.from(String(degrees)),
  deserialize: (bytes: Uint8Array) => Number(Buffer.from(bytes).toString()),
};
const mq = await connect('file:./data');
const readings = await mq.topic<number>('site/+/temperature', { serializer: celsius }).subscribe('readings');

const { mqtt } = await mq.listen({ mqtt: { port: 0 } }); // 0: any free port
const sensor = await connectAsync(`mqtt://127.0.0.1:${mqtt!.port}`, { clientId: 'sensor-7' });
await sensor.subscribeAsync('site/7/command', { qos: 1 });
const commanded = new Promise<string>((resolve) => {
  sensor.once('message', (topic, payload) => resolve(`${topic} ${payload.toString()}`));
});

// With QoS 1 each resolves once the reading is on disk. Nobody takes them yet.
await sensor.publishAsync('site/7/temperature', '21.5', { qos: 1 });
await sensor.publishAsync('site/7/temperature', '31.0', { qos: 1 });

const command = mq.topic<{ cooling: boolean }>('site/7/command');
await readings.consume(async (degrees, message) => {
  console.log(`service: ${message.topic} ${degrees}`);
  if (degrees > 30) await command.publish({ cooling: true });
});

console.log(`sensor 7: ${await commanded}`);
await sensor.endAsync();
await mq.close();
