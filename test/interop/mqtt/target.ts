/** What MQTT clients talk to: a Postrider in this process, its journal on disk, with every way in, that can be restarted. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { Broker } from '../../../src/broker/index.ts';
import { openLocal } from '../../../src/engine/local/index.ts';
import { AmqpServer } from '../../../src/server/amqp/index.ts';
import { MqttServer } from '../../../src/server/mqtt/index.ts';
import { selfSigned } from '../../api/self-signed.ts';

const host = '127.0.0.1';

export interface MqttTarget {
  readonly amqpUrl: string;
  readonly ports: Readonly<Record<'mqtt' | 'mqtts' | 'ws' | 'wss', number>>;
  /** The certificate, which clients are to trust, and the file that has it. */
  readonly cert: string;
  readonly certPath: string;
  /** Stops it and starts it again on the same ports, from its journal. */
  restart(): Promise<void>;
  /** Lines that a broker must never log, whatever a client does. */
  bugs(): string[];
}

interface Running {
  readonly ports: Record<'amqp' | 'mqtt' | 'mqtts' | 'ws' | 'wss', number>;
  stop(): Promise<void>;
}

/** To be called outside of any test. */
export async function mqttTarget(): Promise<MqttTarget> {
  const directory = mkdtempSync(join(tmpdir(), 'postrider-mqtt-'));
  const { cert, key } = selfSigned('localhost');
  const identity = { cert: Buffer.from(cert), key: Buffer.from(key) };
  const certPath = join(directory, 'cert.pem');
  writeFileSync(certPath, cert);
  const lines: string[] = [];
  const log = (line: string): void => void lines.push(line);
  const noPorts = { amqp: 0, mqtt: 0, mqtts: 0, ws: 0, wss: 0 };
  let running = await start(noPorts);
  const { ports } = running;
  after(async () => {
    await running.stop();
    await rm(directory, { recursive: true, force: true });
  });
  return {
    amqpUrl: `amqp://guest:guest@${host}:${ports.amqp}`,
    ports,
    cert,
    certPath,
    restart: async () => {
      await running.stop();
      running = await start(ports);
    },
    bugs: () => lines.filter((line) => /INTERNAL_ERROR|Error:|\bbug\b/.test(line)),
  };

  async function start(wanted: Running['ports']): Promise<Running> {
    const broker = new Broker({ engine: openLocal(join(directory, 'data')), log });
    await broker.open();
    const amqp = new AmqpServer({ broker, version: '0.0.1', log });
    const mqtt = new MqttServer({ broker, version: '0.0.1', log });
    const taken = {
      amqp: (await amqp.listen(host, wanted.amqp)).port,
      mqtt: (await mqtt.listen(host, wanted.mqtt)).port,
      mqtts: (await mqtt.listenTls(host, wanted.mqtts, identity)).port,
      ws: (await mqtt.listenWs(host, wanted.ws)).port,
      wss: (await mqtt.listenWss(host, wanted.wss, identity)).port,
    };
    const stop = async (): Promise<void> => {
      await amqp.close('test over', 500);
      await mqtt.close({ timeoutMs: 500 });
      await broker.close();
    };
    return { ports: taken, stop };
  }
}
