import assert from 'node:assert/strict';
import { startTarget } from './broker.ts';
import { conformsOn } from './conforms.ts';
import { publish } from './packet.ts';

const conforms = conformsOn(await startTarget());

conforms('an alias is taken wherever its packet lies in what was read', { v5: '3.3.2-12' }, async ({ open, topic }) => {
  const client = await open();
  await client.subscribe(`${topic}/#`, { qos: 1 });
  const properties = { topicAlias: 1 };
  const named = (id: number, name: string) => publish(5, name, 'm', { qos: 1, id, properties });
  for (const length of [1, 2, 3, 20, 300]) {
    const first = `${topic}/${'a'.repeat(length)}`;
    client.send(Buffer.concat([publish(5, `${topic}/ü`, 'x'), named(1, first), named(2, ''), named(3, `${topic}/b`)]));
    const topics = (await client.messages(4)).map((message) => message.topic);
    assert.deepEqual(topics, [`${topic}/ü`, first, first, `${topic}/b`]);
    for (let count = 0; count < 3; count++) await client.expect('puback');
  }
});
