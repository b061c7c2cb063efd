import { PublishProperties } from '../../wire/mqtt/publish-properties.ts';
import { PacketWriter } from '../../wire/mqtt/packet-writer.ts';
import type { Will } from '../../wire/mqtt/connect-packet.ts';

/** The properties of a will as those of the PUBLISH that it becomes. */
export function encodePublishProperties({ properties, userProperties }: Will): {
  bytes: Buffer;
  view: PublishProperties;
} {
  const { willDelayInterval: _, ...published } = properties;
  const writer = new PacketWriter();
  writer.properties(published);
  writer.userProperties(userProperties);
  const bytes = writer.bytes();
  const view = new PublishProperties();
  view.read(bytes, 0, bytes.length);
  return { bytes, view };
}
