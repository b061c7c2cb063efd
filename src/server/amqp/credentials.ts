/** What connection.start-ok says about who logs in. */
import { decodeFieldTable } from '../../format/field-table.ts';
import { FormatError } from '../../format/format-error.ts';

export const mechanisms = 'PLAIN AMQPLAIN';

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** @returns null where there is no such mechanism. @throws FormatError */
export function readCredentials(mechanism: string, response: Buffer): Credentials | null {
  if (mechanism === 'PLAIN') return readPlain(response);
  if (mechanism === 'AMQPLAIN') return readAmqplain(response);
  return null;
}

/** RFC 4616: authorization identity (ignored), user and password, each behind a zero byte. */
function readPlain(response: Buffer): Credentials {
  const userAt = response.indexOf(0) + 1;
  const passwordAt = response.indexOf(0, userAt) + 1;
  if (userAt === 0 || passwordAt === 0 || response.includes(0, passwordAt)) {
    throw new FormatError('the response of PLAIN is not user and password behind zero bytes');
  }
  return { user: response.toString('utf8', userAt, passwordAt - 1), password: response.toString('utf8', passwordAt) };
}

/** A field table without its length. */
function readAmqplain(response: Buffer): Credentials {
  const bytes = Buffer.alloc(4 + response.length);
  bytes.writeUInt32BE(response.length);
  bytes.set(response, 4);
  const table = decodeFieldTable(bytes, 0, bytes.length);
  const user = table['LOGIN'];
  const password = table['PASSWORD'];
  if (typeof user !== 'string' || typeof password !== 'string') {
    throw new FormatError('the response of AMQPLAIN has no LOGIN and PASSWORD');
  }
  return { user, password };
}
