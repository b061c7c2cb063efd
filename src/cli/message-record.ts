/** A message as `consume` and `peek` show it. */
import type { Message } from '../api/message.ts';
import { type PlainValue, plainValue } from '../format/field-json.ts';
import type { FieldValue } from '../format/field-table.ts';

/** One object a line. What a message does not have is left out, but what programs ask for most is always there. */
export function messageRecord(message: Message<Uint8Array>): string {
  const { id, redelivered, deliveryCount, attempt, priority, contentType, correlationId, publishedAt, topic, queue } =
    message;
  const { expiration, replyTo, type, appId } = message.properties;
  return JSON.stringify({
    id: id ?? null,
    ...payloadFields(message),
    headers: headersOf(message),
    redelivered,
    deliveryCount,
    attempt,
    priority,
    contentType: contentType ?? null,
    correlationId,
    replyTo,
    type,
    appId,
    expiresMs: expiration === undefined ? undefined : Number(expiration),
    publishedAt: publishedAt?.toISOString(),
    queue,
    topic,
  });
}

/** As text; null: it is none. */
export function payloadText({ payload }: Message<Uint8Array>): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload);
  } catch {
    return null;
  }
}

export function headersOf({ headers }: Message): Record<string, PlainValue> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]: [string, unknown]) => [
      name,
      value instanceof Date ? value.toISOString() : plainValue(value as FieldValue),
    ]),
  );
}

/** JSON as the value that it is, text as a string, bytes as base64 under a name of their own. */
function payloadFields(message: Message<Uint8Array>): { payload: unknown } | { payloadBase64: string } {
  const text = payloadText(message);
  if (text === null) return { payloadBase64: Buffer.from(message.payload).toString('base64') };
  if (!/^application\/(?:[\w.-]+\+)?json\b/i.test(message.contentType ?? '')) return { payload: text };
  try {
    return { payload: JSON.parse(text) as unknown };
  } catch {
    return { payload: text };
  }
}
