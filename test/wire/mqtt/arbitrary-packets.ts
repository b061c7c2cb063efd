/** Packets as the npm package mqtt-packet knows them: an opinion on MQTT that is not ours. */
import fc from 'fast-check';
import type { ProtocolVersion, Qos } from '../../../src/wire/mqtt/packet-type.ts';
import type { UserProperties } from '../../../src/wire/mqtt/property.ts';

export const version = fc.constantFrom<ProtocolVersion>(4, 5);
export const qos = fc.constantFrom<Qos>(0, 1, 2);
export const packetId = fc.integer({ min: 1, max: 65_535 });
const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffff_ffff);

/** Any characters but U+0000. */
export const text = fc.string({ unit: 'binary', maxLength: 20 }).map((any) => any.replaceAll('\0', ''));
export const filledText = text.filter((any) => any !== '');
export const binary = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));

export const topic = fc
  .array(fc.oneof(text, fc.constantFrom('', 'a', '$SYS')), { minLength: 1, maxLength: 5 })
  .map((levels) => levels.join('/').replace(/[+#]/g, ''))
  .filter((any) => any !== '');

export const filter = fc
  .tuple(
    fc.array(
      fc.oneof(
        topic.map((any) => any.replaceAll('/', '')),
        fc.constant('+'),
      ),
      { minLength: 1, maxLength: 4 },
    ),
    fc.boolean(),
  )
  .map(([levels, all]) => [...levels, ...(all ? ['#'] : [])].join('/'))
  .filter((any) => any !== '' && !any.startsWith('$share/'));

/** mqtt-packet holds them by name, a list where one name stands several times. */
export const userProperties = fc.dictionary(
  filledText.filter((name) => name !== '__proto__'),
  fc.oneof(text, fc.array(text, { minLength: 1, maxLength: 3 })),
  { minKeys: 1, maxKeys: 3, noNullPrototype: true },
);

export function pairsOf(properties: Readonly<Record<string, string | string[]>> | undefined): UserProperties {
  return Object.entries(properties ?? {}).flatMap(([name, values]) =>
    [values].flat().map((value) => [name, value] as const),
  );
}

const some = { requiredKeys: [] as [], noNullPrototype: true } as const;

export const connectProperties = fc.record(
  {
    sessionExpiryInterval: u32,
    receiveMaximum: fc.integer({ min: 1, max: 0xffff }),
    maximumPacketSize: fc.integer({ min: 1, max: 0xffff_ffff }),
    topicAliasMaximum: u16,
    requestResponseInformation: fc.boolean(),
    requestProblemInformation: fc.boolean(),
    authenticationMethod: filledText,
    userProperties,
  },
  some,
);

export const willProperties = fc.record(
  {
    willDelayInterval: u32,
    payloadFormatIndicator: fc.boolean(),
    messageExpiryInterval: u32,
    contentType: text,
    responseTopic: topic,
    correlationData: binary,
    userProperties,
  },
  some,
);

export const publishProperties = fc.record(
  {
    payloadFormatIndicator: fc.boolean(),
    messageExpiryInterval: u32,
    topicAlias: fc.integer({ min: 1, max: 0xffff }),
    responseTopic: topic,
    correlationData: binary,
    contentType: text,
    userProperties,
  },
  some,
);

export const connack = fc.record(
  {
    sessionExpiryInterval: u32,
    receiveMaximum: fc.integer({ min: 1, max: 0xffff }),
    retainAvailable: fc.boolean(),
    maximumPacketSize: fc.integer({ min: 1, max: 0xffff_ffff }),
    assignedClientIdentifier: text,
    topicAliasMaximum: u16,
    wildcardSubscriptionAvailable: fc.boolean(),
    sharedSubscriptionAvailable: fc.boolean(),
    serverKeepAlive: u16,
    responseInformation: text,
    serverReference: text,
    authenticationMethod: text,
    authenticationData: binary,
  },
  some,
);

export const connect = fc.record({
  protocolVersion: version,
  clientId: filledText,
  clean: fc.boolean(),
  keepalive: u16,
  username: fc.option(filledText, { nil: undefined }),
  password: fc.option(binary, { nil: undefined }),
  will: fc.option(fc.record({ topic, payload: binary, qos, retain: fc.boolean(), properties: willProperties }), {
    nil: undefined,
  }),
  properties: connectProperties,
});

export const publish = fc.record({
  qos,
  dup: fc.boolean(),
  retain: fc.boolean(),
  topic,
  payload: binary,
  messageId: packetId,
  properties: publishProperties,
});

export const subscribe = fc.record({
  messageId: packetId,
  subscriptions: fc.array(
    fc.record({ topic: filter, qos, nl: fc.boolean(), rap: fc.boolean(), rh: fc.constantFrom<0 | 1 | 2>(0, 1, 2) }),
    { minLength: 1, maxLength: 4 },
  ),
  subscriptionIdentifier: fc.integer({ min: 1, max: 268_435_455 }),
});
