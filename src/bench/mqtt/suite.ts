import type { Contender } from '../broker.ts';
import { portIn, servePostrider } from '../postrider.ts';
import type { Suite } from '../suite.ts';
import { findAedes } from './aedes.ts';
import type { MqttBroker } from './load-run.ts';
import { findMosquitto } from './mosquitto.ts';
import { rows } from './rows.ts';

/** Postrider as a user starts it, and its guest, whom it lets in from loopback. */
const postrider: Contender<MqttBroker> = {
  name: 'postrider',
  async start(dataDir) {
    const listeners = ['--amqp-port', '0', '--mqtt-port', '0', '--ws-port', 'off'];
    const { ports, ...broker } = await servePostrider(dataDir, listeners);
    return { ...broker, address: { host: '127.0.0.1', port: portIn(ports, 'mqtt') } };
  },
};

/** @param note is told what is absent here */
export function mqttSuite(note: (line: string) => void): Suite<MqttBroker> {
  const mosquitto = findMosquitto();
  const aedes = findAedes();
  if (mosquitto === undefined) note('Mosquitto is not installed here (Debian: apt-get install mosquitto)');
  if (aedes === undefined) note('Aedes is not installed here (npm install aedes)');
  return {
    id: 'mqtt',
    title: 'MQTT 3.1.1, 100-byte messages',
    reference: { name: 'best peer', label: 'the better of Mosquitto and Aedes', among: ['mosquitto', 'aedes'] },
    contenders: [postrider, ...(mosquitto === undefined ? [] : [mosquitto]), ...(aedes === undefined ? [] : [aedes])],
    rows,
  };
}
