/**
 * Properties of 5.0 (§2.2.2).
 *
 *   properties := length:variable byte integer { identifier:variable byte integer value }
 *
 * Every identifier known so far takes one byte.
 */
export const propertyId = {
  payloadFormatIndicator: 0x01,
  messageExpiryInterval: 0x02,
  contentType: 0x03,
  responseTopic: 0x08,
  correlationData: 0x09,
  subscriptionIdentifier: 0x0b,
  sessionExpiryInterval: 0x11,
  assignedClientIdentifier: 0x12,
  serverKeepAlive: 0x13,
  authenticationMethod: 0x15,
  authenticationData: 0x16,
  requestProblemInformation: 0x17,
  willDelayInterval: 0x18,
  requestResponseInformation: 0x19,
  responseInformation: 0x1a,
  serverReference: 0x1c,
  reasonString: 0x1f,
  receiveMaximum: 0x21,
  topicAliasMaximum: 0x22,
  topicAlias: 0x23,
  maximumQos: 0x24,
  retainAvailable: 0x25,
  userProperty: 0x26,
  maximumPacketSize: 0x27,
  wildcardSubscriptionAvailable: 0x28,
  subscriptionIdentifierAvailable: 0x29,
  sharedSubscriptionAvailable: 0x2a,
} as const;

export type PropertyName = keyof typeof propertyId;

/** In the order in which they came: names may repeat. */
export type UserProperties = readonly (readonly [name: string, value: string])[];

interface Values {
  /** 0 or 1; any other is a protocol error. */
  bit: boolean;
  u16: number;
  u32: number;
  variable: number;
  text: string;
  binary: Buffer;
}

/** All but user properties, which may repeat and are kept apart. */
export const propertyType = {
  payloadFormatIndicator: 'bit',
  messageExpiryInterval: 'u32',
  contentType: 'text',
  responseTopic: 'text',
  correlationData: 'binary',
  subscriptionIdentifier: 'variable',
  sessionExpiryInterval: 'u32',
  assignedClientIdentifier: 'text',
  serverKeepAlive: 'u16',
  authenticationMethod: 'text',
  authenticationData: 'binary',
  requestProblemInformation: 'bit',
  willDelayInterval: 'u32',
  requestResponseInformation: 'bit',
  responseInformation: 'text',
  serverReference: 'text',
  reasonString: 'text',
  receiveMaximum: 'u16',
  topicAliasMaximum: 'u16',
  topicAlias: 'u16',
  maximumQos: 'bit',
  retainAvailable: 'bit',
  maximumPacketSize: 'u32',
  wildcardSubscriptionAvailable: 'bit',
  subscriptionIdentifierAvailable: 'bit',
  sharedSubscriptionAvailable: 'bit',
} as const satisfies Record<Exclude<PropertyName, 'userProperty'>, keyof Values>;

export type SingleProperty = keyof typeof propertyType;
export type PropertyValue<N extends SingleProperty> = Values[(typeof propertyType)[N]];
export type Properties<N extends SingleProperty = SingleProperty> = { -readonly [K in N]?: PropertyValue<K> };

const nameById: (PropertyName | undefined)[] = [];
for (const [name, id] of Object.entries(propertyId)) nameById[id] = name as PropertyName;

export function propertyName(id: number): PropertyName | undefined {
  return nameById[id];
}
