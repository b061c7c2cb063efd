/** Reason codes of 5.0 (§2.4), from 0x80 on failures. */
export const reasonCode = {
  /** Also normal disconnection and granted QoS 0. */
  success: 0x00,
  grantedQos1: 0x01,
  grantedQos2: 0x02,
  disconnectWithWill: 0x04,
  noMatchingSubscribers: 0x10,
  noSubscriptionExisted: 0x11,
  continueAuthentication: 0x18,
  reauthenticate: 0x19,
  unspecifiedError: 0x80,
  malformedPacket: 0x81,
  protocolError: 0x82,
  implementationSpecificError: 0x83,
  unsupportedProtocolVersion: 0x84,
  clientIdentifierNotValid: 0x85,
  badUserNameOrPassword: 0x86,
  notAuthorized: 0x87,
  serverUnavailable: 0x88,
  serverBusy: 0x89,
  banned: 0x8a,
  serverShuttingDown: 0x8b,
  badAuthenticationMethod: 0x8c,
  keepAliveTimeout: 0x8d,
  sessionTakenOver: 0x8e,
  topicFilterInvalid: 0x8f,
  topicNameInvalid: 0x90,
  packetIdentifierInUse: 0x91,
  packetIdentifierNotFound: 0x92,
  receiveMaximumExceeded: 0x93,
  topicAliasInvalid: 0x94,
  packetTooLarge: 0x95,
  messageRateTooHigh: 0x96,
  quotaExceeded: 0x97,
  administrativeAction: 0x98,
  payloadFormatInvalid: 0x99,
  retainNotSupported: 0x9a,
  qosNotSupported: 0x9b,
  useAnotherServer: 0x9c,
  serverMoved: 0x9d,
  sharedSubscriptionsNotSupported: 0x9e,
  connectionRateExceeded: 0x9f,
  maximumConnectTime: 0xa0,
  subscriptionIdentifiersNotSupported: 0xa1,
  wildcardSubscriptionsNotSupported: 0xa2,
} as const;

export type ReasonName = keyof typeof reasonCode;
export type ReasonCode = (typeof reasonCode)[ReasonName];

const names = new Map<number, ReasonName>();
for (const [name, code] of Object.entries(reasonCode)) names.set(code, name as ReasonName);

/** "packetTooLarge", for logs. */
export function reasonName(code: number): string {
  return names.get(code) ?? `0x${code.toString(16).padStart(2, '0')}`;
}

/** Return codes of CONNACK before 5.0 (3.1.1 §3.2.2.3). */
export const returnCode = {
  accepted: 0,
  unacceptableProtocolVersion: 1,
  identifierRejected: 2,
  serverUnavailable: 3,
  badUserNameOrPassword: 4,
  notAuthorized: 5,
} as const;

export type ReturnCode = (typeof returnCode)[keyof typeof returnCode];

const returnCodes = new Map<number, ReturnCode>([
  [reasonCode.success, returnCode.accepted],
  [reasonCode.unsupportedProtocolVersion, returnCode.unacceptableProtocolVersion],
  [reasonCode.clientIdentifierNotValid, returnCode.identifierRejected],
  [reasonCode.serverUnavailable, returnCode.serverUnavailable],
  [reasonCode.serverBusy, returnCode.serverUnavailable],
  [reasonCode.serverShuttingDown, returnCode.serverUnavailable],
  [reasonCode.quotaExceeded, returnCode.serverUnavailable],
  [reasonCode.connectionRateExceeded, returnCode.serverUnavailable],
  [reasonCode.useAnotherServer, returnCode.serverUnavailable],
  [reasonCode.serverMoved, returnCode.serverUnavailable],
  [reasonCode.badUserNameOrPassword, returnCode.badUserNameOrPassword],
  [reasonCode.badAuthenticationMethod, returnCode.notAuthorized],
  [reasonCode.notAuthorized, returnCode.notAuthorized],
  [reasonCode.banned, returnCode.notAuthorized],
]);

/** What CONNACK says before 5.0; null where no code fits and the connection is only closed (3.1.1 [MQTT-3.2.2-6]). */
export function returnCodeOf(reason: ReasonCode): ReturnCode | null {
  return returnCodes.get(reason) ?? null;
}
