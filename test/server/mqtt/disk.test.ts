/** What waits for the disk, and what does not: the disk is held while the test looks. */
import assert from 'node:assert/strict';
import { DiskFiles } from '../../../src/engine/local/journal/disk-files.ts';
import type { FileHandle, Files, OpenMode } from '../../../src/engine/local/journal/files.ts';
import { startTarget } from './broker.ts';
import type { MqttClient } from './client.ts';
import { conformsOn } from './conforms.ts';
import { acknowledge, publish, subscribe } from './packet.ts';

/** Nothing is durable while it is held. */
class HeldFiles implements Files {
  readonly #disk = new DiskFiles();
  readonly makeDirectory = this.#disk.makeDirectory.bind(this.#disk);
  readonly list = this.#disk.list.bind(this.#disk);
  readonly rename = this.#disk.rename.bind(this.#disk);
  readonly unlink = this.#disk.unlink.bind(this.#disk);
  readonly syncDirectory = this.#disk.syncDirectory.bind(this.#disk);
  readonly lock = this.#disk.lock.bind(this.#disk);
  #waiting: (() => void)[] | null = null;

  hold(): void {
    this.#waiting = [];
  }

  letGo(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    for (const each of waiting) each();
  }

  async open(path: string, mode: OpenMode): Promise<FileHandle> {
    const handle: FileHandle = await this.#disk.open(path, mode);
    const append = handle.append.bind(handle);
    const sync = handle.sync.bind(handle);
    handle.append = (bytes, offset, length, position, isSync, done) => {
      append(bytes, offset, length, position, isSync, (error) => this.#pass(() => done(error)));
    };
    handle.sync = async () => {
      await sync();
      await new Promise<void>((resolve) => this.#pass(resolve));
    };
    return handle;
  }

  #pass(then: () => void): void {
    if (this.#waiting === null) then();
    else this.#waiting.push(then);
  }
}

const files = new HeldFiles();
const target = await startTarget({ durable: true, files });
const conforms = conformsOn(target);

/** Sends, sees that no answer comes while the disk is held, and answers what comes once it is not. */
async function afterDisk(
  client: MqttClient,
  bytes: Buffer,
  answer: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp' | 'suback',
) {
  files.hold();
  try {
    client.send(bytes);
    // Packets are handled in their order, and PINGRESP waits for nothing.
    await client.ping();
    await client.ping();
    assert.equal(client.pending, 0);
  } finally {
    files.letGo();
  }
  return client.expect(answer);
}

conforms(
  'PUBACK and PUBREC come once a message that is kept is on disk',
  { v3: '4.3.2-2 4.3.3-2', v5: '4.3.2-4 4.3.3-8' },
  async ({ open, topic, version }) => {
    const keeper = await open('keeper', { durable: true });
    await keeper.subscribe(`${topic}/kept`, { qos: 2 });
    await keeper.disconnect();
    const publisher = await open('publisher');
    await afterDisk(publisher, publish(version, `${topic}/kept`, 'one', { qos: 1, id: 1 }), 'puback');
    await afterDisk(publisher, publish(version, `${topic}/kept`, 'two', { qos: 2, id: 2 }), 'pubrec');
    await publisher.release(2);
    await afterDisk(publisher, publish(version, `${topic}/other`, 'three', { qos: 1, id: 3, retain: true }), 'puback');
    const back = await open('keeper', { durable: true });
    await back.message('one');
    await back.message('two');
  },
);

conforms(
  'PUBREC and PUBCOMP of a session that lasts come once its packet identifiers are on disk',
  { v3: '4.3.3-2 4.1.0-1', v5: '4.3.3-8 4.3.3-11 4.1.0-1' },
  async ({ open, topic, version }) => {
    const publisher = await open('publisher', { durable: true });
    await afterDisk(publisher, publish(version, topic, 'for nobody', { qos: 2, id: 2 }), 'pubrec');
    await afterDisk(publisher, acknowledge('pubrel', 2), 'pubcomp');
  },
);

conforms(
  'PUBREL comes once it is on disk that PUBREC came',
  { v3: '4.3.3-1 4.1.0-1', v5: '4.3.3-5 4.1.0-1' },
  async ({ open, topic }) => {
    const client = await open('keeper', { durable: true });
    await client.subscribe(topic, { qos: 2 });
    await (await open('publisher')).publish(topic, 'm', { qos: 2 });
    const { id } = await client.expect('publish');
    assert.equal((await afterDisk(client, acknowledge('pubrec', id), 'pubrel')).id, id);
    client.send(acknowledge('pubcomp', id));
    await client.ping();
  },
);

conforms(
  'SUBACK comes once the subscription of a session that lasts is on disk',
  { v3: '3.8.4-1 4.1.0-1', v5: '3.8.4-1 4.1.0-1' },
  async ({ open, topic, version }) => {
    const client = await open('keeper', { durable: true });
    for (const qos of [0, 1]) await afterDisk(client, subscribe(version, 7, [`${topic}/${qos}`], { qos }), 'suback');
  },
);

conforms(
  'what nobody keeps waits for no disk',
  { v3: '4.3.1-1 4.3.2-2', v5: '4.3.1-1 4.3.2-4' },
  async ({ open, topic }) => {
    const live = await open('live');
    await live.subscribe(topic, { qos: 0 });
    const publisher = await open('publisher');
    // What clients of the tests before left behind is stored first.
    while ((target.own?.server.connectionCount ?? 2) > 2) await new Promise(setImmediate);
    await publisher.publish(topic, '', { qos: 1, retain: true });
    await live.message('');
    files.hold();
    try {
      for (const qos of [0, 1, 2]) {
        await publisher.publish(topic, `q${qos}`, { qos });
        await live.message(`q${qos}`);
      }
    } finally {
      files.letGo();
    }
  },
);
