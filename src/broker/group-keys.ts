/** What a queue's messages are grouped by (`x-group-by`), and how the key is found in a message. */
import type { GroupKeyReader, GroupKeys } from '../engine/engine.ts';
import { findProperty, type PropertyName } from '../format/basic-properties.ts';
import { keyOfBytes, keyOfField } from '../format/field-key.ts';
import { FormatError } from '../format/format-error.ts';

type StringProperty = Exclude<PropertyName, 'headers' | 'deliveryMode' | 'priority' | 'timestamp'>;

/** As AMQP writes them. Any other name is a header's. */
const properties: ReadonlyMap<string, StringProperty> = new Map([
  ['content_type', 'contentType'],
  ['content_encoding', 'contentEncoding'],
  ['correlation_id', 'correlationId'],
  ['reply_to', 'replyTo'],
  ['expiration', 'expiration'],
  ['message_id', 'messageId'],
  ['type', 'type'],
  ['user_id', 'userId'],
  ['app_id', 'appId'],
  ['cluster_id', 'clusterId'],
]);

const headerPrefix = 'header:';

/** Whether messages can be grouped by that: the name of a property, or of a header (`header:NAME` where it is a property's too). */
export function isGroupBy(groupBy: string): boolean {
  const bytes = Buffer.byteLength(headerName(groupBy));
  return bytes > 0 && bytes <= 255;
}

export const groupKeys: GroupKeys = {
  reader(groupBy: string): GroupKeyReader {
    const property = properties.get(groupBy);
    return property === undefined ? byHeader(Buffer.from(headerName(groupBy))) : byProperty(property);
  },
};

function headerName(groupBy: string): string {
  return groupBy.startsWith(headerPrefix) ? groupBy.slice(headerPrefix.length) : groupBy;
}

function byProperty(name: StringProperty): GroupKeyReader {
  return withoutErrors((bytes, start, end) => {
    const at = findProperty(bytes, start, end, name);
    if (at < 0) return 0;
    const length = bytes[at]!;
    return length === 0 ? 0 : keyOfBytes(bytes, at + 1, at + 1 + length);
  });
}

function byHeader(name: Buffer): GroupKeyReader {
  return withoutErrors((bytes, start, end) => {
    const at = findProperty(bytes, start, end, 'headers');
    return at < 0 ? 0 : keyOfField(bytes, at, end, name);
  });
}

/** What can't be read has no key: it must not stop its queue. */
function withoutErrors(read: GroupKeyReader): GroupKeyReader {
  return (bytes, start, end) => {
    try {
      return read(bytes, start, end);
    } catch (error) {
      if (error instanceof FormatError) return 0;
      throw error;
    }
  };
}
