/** Tests that name the numbered conformance statements they hold the server to; docs/MQTT-CONFORMANCE.md lists them all. */
import { test } from 'node:test';
import type { Target } from './broker.ts';
import { MqttClient, type OpenOptions } from './client.ts';
import type { Packet, Version } from './packet.ts';

/** Statement numbers of each version that the test is about, with spaces between; '' for a version without any. */
export interface Statements {
  /** MQTT 3.1.1. */
  readonly v3?: string;
  /** MQTT 5.0. */
  readonly v5?: string;
}

/** What one test has for itself; its clients are gone when it ends. */
export interface World {
  readonly version: Version;
  readonly target: Target;
  /** A topic (or a filter's beginning) that no other test uses. */
  readonly topic: string;
  /** A client that has sent nothing yet. */
  raw(name?: string, version?: Version): MqttClient;
  /** A client that is connected, with `name` in its client identifier. */
  open(name?: string, options?: OpenOptions): Promise<MqttClient>;
  /** The same with the CONNACK. */
  reopen(name: string, options?: OpenOptions): Promise<readonly [MqttClient, Packet]>;
}

let tests = 0;

/** One test for each version that is named. */
export function conformsOn(target: Target) {
  return (title: string, statements: Statements, run: (world: World) => Promise<void>): void => {
    if (statements.v3 !== undefined) one(target, 4, `${title} (3.1.1)`, run);
    if (statements.v5 !== undefined) one(target, 5, `${title} (5.0)`, run);
  };
}

function one(target: Target, version: Version, title: string, run: (world: World) => Promise<void>): void {
  const number = ++tests;
  test(title, { timeout: 300_000 }, async () => {
    const clients: MqttClient[] = [];
    const raw: World['raw'] = (name = 'client', ofVersion = version) => {
      const client = new MqttClient(target.port, ofVersion, `t${process.pid}x${number}${name}`);
      clients.push(client);
      return client;
    };
    const reopen: World['reopen'] = async (name, options) => {
      const client = raw(name);
      return [client, await client.connect(options)];
    };
    const open: World['open'] = async (name = 'client', options) => (await reopen(name, options))[0];
    try {
      await run({ version, target, topic: `t${number}`, raw, open, reopen });
    } finally {
      for (const client of clients) client.drop();
    }
  });
}
