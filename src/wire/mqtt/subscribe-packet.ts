/**
 * SUBSCRIBE and UNSUBSCRIBE (5.0 §3.8, §3.10).
 *
 *   SUBSCRIBE   := packet-id:u16 [5.0: properties] { filter-length:u16 filter options:u8 }      once at least
 *   UNSUBSCRIBE := packet-id:u16 [5.0: properties] { filter-length:u16 filter }                 once at least
 *   options, from the highest := reserved:2 retain-handling:2 retain-as-published no-local qos:2      before 5.0 only qos
 */
import { malformed, MqttError, protocolError } from './mqtt-error.ts';
import { PacketReader } from './packet-reader.ts';
import type { ProtocolVersion, Qos } from './packet-type.ts';
import { readProperties } from './read-properties.ts';
import { reasonCode } from './reason-code.ts';
import { checkTopicFilter, defaultMaxLevels, parseSharedFilter, type SharedFilter } from './topic.ts';

/** When retained messages are sent: 0 at each subscribe, 1 where the subscription is new, 2 never. */
export type RetainHandling = 0 | 1 | 2;

export interface SubscriptionRequest {
  /** As the client wrote it, "$share/..." included. */
  readonly filter: string;
  readonly shared: SharedFilter | null;
  readonly qos: Qos;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly retainHandling: RetainHandling;
}

export interface SubscribePacket {
  readonly packetId: number;
  /** 0 where there is none. */
  readonly subscriptionIdentifier: number;
  readonly subscriptions: readonly SubscriptionRequest[];
}

export interface UnsubscribePacket {
  readonly packetId: number;
  /** As the client wrote them; unchecked, since one that nobody can subscribe to is only one that isn't there. */
  readonly filters: readonly string[];
}

export interface FilterLimits {
  readonly maxLevels: number;
  /** Of one packet: a filter of a byte takes many times that once it is read. */
  readonly maxFilters: number;
}

const defaultLimits: FilterLimits = { maxLevels: defaultMaxLevels, maxFilters: 65_536 };

/** Reads what stands behind the fixed header. @throws MqttError */
export function decodeSubscribe(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: ProtocolVersion,
  limits: FilterLimits = defaultLimits,
): SubscribePacket {
  const reader = new PacketReader(bytes, start, end, 'SUBSCRIBE');
  const packetId = reader.packetIdentifier();
  let subscriptionIdentifier = 0;
  if (version === 5) {
    const { properties } = readProperties(reader, ['subscriptionIdentifier'], false);
    subscriptionIdentifier = properties.subscriptionIdentifier ?? 0;
  }
  const subscriptions: SubscriptionRequest[] = [];
  do {
    checkCount(subscriptions.length, limits);
    subscriptions.push(readSubscription(reader, version, limits));
  } while (!reader.atEnd);
  return { packetId, subscriptionIdentifier, subscriptions };
}

/** Reads what stands behind the fixed header. @throws MqttError */
export function decodeUnsubscribe(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: ProtocolVersion,
  limits: FilterLimits = defaultLimits,
): UnsubscribePacket {
  const reader = new PacketReader(bytes, start, end, 'UNSUBSCRIBE');
  const packetId = reader.packetIdentifier();
  if (version === 5) readProperties(reader, [], false);
  const filters: string[] = [];
  do {
    checkCount(filters.length, limits);
    filters.push(readFilter(reader));
  } while (!reader.atEnd);
  return { packetId, filters };
}

function checkCount(count: number, limits: FilterLimits): void {
  if (count < limits.maxFilters) return;
  throw new MqttError(reasonCode.quotaExceeded, `a packet may hold ${limits.maxFilters} topic filters`);
}

function readFilter(reader: PacketReader): string {
  // [MQTT-3.8.3-2] [MQTT-3.10.3-2], 3.1.1 [MQTT-3.8.3-3] [MQTT-3.10.3-2]
  if (reader.atEnd) throw protocolError(`${reader.packet} has no topic filter`);
  return reader.text();
}

function readSubscription(reader: PacketReader, version: ProtocolVersion, limits: FilterLimits): SubscriptionRequest {
  const filter = readFilter(reader);
  const shared = parseSharedFilter(filter);
  checkTopicFilter(shared === null ? filter : shared.filter, limits.maxLevels);
  const options = reader.u8();
  // [MQTT-3.8.3-5], 3.1.1 [MQTT-3.8.3-4]
  if ((options & (version === 5 ? 0xc0 : 0xfc)) !== 0)
    throw malformed('reserved bits of the subscription options are set');
  const qos = options & 3;
  if (qos === 3)
    throw version === 5 ? protocolError('SUBSCRIBE asks for QoS 3') : malformed('SUBSCRIBE asks for QoS 3');
  const retainHandling = (options >> 4) & 3;
  if (retainHandling === 3) throw protocolError('the retain handling of SUBSCRIBE is 3');
  const noLocal = (options & 4) !== 0;
  if (noLocal && shared !== null) throw protocolError('a shared subscription has no-local set'); // [MQTT-3.8.3-4]
  return {
    filter,
    shared,
    qos: qos as Qos,
    noLocal,
    retainAsPublished: (options & 8) !== 0,
    retainHandling: retainHandling as RetainHandling,
  };
}
