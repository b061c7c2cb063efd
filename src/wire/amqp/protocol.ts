/**
 * Numbers of AMQP 0-9-1.
 *
 *   frame := type:u8 channel:u16 size:u32 payload[size] end:u8 (0xCE)
 *   method payload := class:u16 method:u16 arguments
 *   header payload := class:u16 weight:u16 (0) body-size:u64 flags:u16 properties
 */
export const frameType = { method: 1, header: 2, body: 3, heartbeat: 8 } as const;
export const frameEnd = 0xce;
/** Type, channel and size before the payload. */
export const frameHeadBytes = 7;
/** All of a frame but its payload. */
export const frameOverheadBytes = 8;
/** Largest frame before `tune-ok`, as RabbitMQ has it. */
export const firstFrameMaxBytes = 8192;
/** No peer may ask for less (0-9-1 §2.3.5). */
export const frameMinBytes = 4096;

export const protocolHeader = Buffer.from('AMQP\x00\x00\x09\x01', 'latin1');

export const basicClass = 60;

/** Reply codes and whether the channel or the connection dies of them (0-9-1 §1.8). */
export const replies = {
  CONNECTION_FORCED: 320,
  ACCESS_REFUSED: 403,
  NOT_FOUND: 404,
  RESOURCE_LOCKED: 405,
  PRECONDITION_FAILED: 406,
  FRAME_ERROR: 501,
  SYNTAX_ERROR: 502,
  COMMAND_INVALID: 503,
  CHANNEL_ERROR: 504,
  UNEXPECTED_FRAME: 505,
  RESOURCE_ERROR: 506,
  NOT_ALLOWED: 530,
  NOT_IMPLEMENTED: 540,
  INTERNAL_ERROR: 541,
} as const;

export type ReplyName = keyof typeof replies;

export const noRoute = { code: 312, text: 'NO_ROUTE' } as const;
