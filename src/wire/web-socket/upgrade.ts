/** The opening handshake of RFC 6455, section 4, as a server judges it. */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

export interface UpgradeRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

export interface Refusal {
  readonly status: number;
  readonly why: string;
  readonly headers?: readonly string[];
}

const version = '13';
/** Sixteen bytes in base64. */
const keyPattern = /^[+/0-9A-Za-z]{22}==$/;

/** The protocol that is spoken, the first of `protocols` that the client offers; or why none is. */
export function judgeUpgrade(
  { method, url = '', headers }: UpgradeRequest,
  paths: ReadonlySet<string>,
  protocols: readonly string[],
): string | Refusal {
  const [path] = url.split('?', 1) as [string];
  if (method !== 'GET') return { status: 405, why: 'a WebSocket begins with GET', headers: ['Allow: GET'] };
  if (headers.upgrade?.toLowerCase() !== 'websocket') return { status: 400, why: 'the upgrade is none to websocket' };
  if (!keyPattern.test(headers['sec-websocket-key'] ?? ''))
    return { status: 400, why: 'Sec-WebSocket-Key is not valid' };
  if (headers['sec-websocket-version'] !== version) {
    const why = `version ${version} of WebSocket is spoken here`;
    return { status: 426, why, headers: [`Sec-WebSocket-Version: ${version}`] };
  }
  if (!paths.has(path)) return { status: 404, why: `choose one of the paths ${[...paths].join(' ')}` };
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
  const chosen = protocols.find((protocol) => offered.includes(protocol));
  return chosen ?? { status: 400, why: `offer the sub-protocol ${protocols[0]}` };
}

/** The answer to a request that was judged well. */
export function upgradeAnswer({ headers }: UpgradeRequest, protocol: string): string {
  const accept = createHash('sha1')
    .update(`${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64');
  return [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${accept}`,
    `Sec-WebSocket-Protocol: ${protocol}`,
    '\r\n',
  ].join('\r\n');
}
