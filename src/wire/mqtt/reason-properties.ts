import { malformed, protocolError } from './mqtt-error.ts';
import type { PacketReader } from './packet-reader.ts';
import { propertyId } from './property.ts';

/** Checks the properties of an acknowledgement, a reason string and user properties, of which a server uses none. */
export function skipReasonProperties(reader: PacketReader): void {
  const properties = reader.part(reader.variableInteger());
  let reasonString = false;
  while (!properties.atEnd) {
    const id = properties.u8();
    if (id === propertyId.userProperty) {
      properties.skipText();
    } else if (id !== propertyId.reasonString) {
      throw malformed(`${reader.packet} can't hold the property 0x${id.toString(16)}`);
    } else if (reasonString) {
      throw protocolError(`${reader.packet} holds the property reasonString twice`);
    } else {
      reasonString = true;
    }
    properties.skipText();
  }
  reader.finish();
}
