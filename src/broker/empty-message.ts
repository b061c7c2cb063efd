import type { MessageView } from '../engine/engine.ts';

/** A message of nothing, for whoever fills the same one again for each message that passes. */
export function emptyMessage(): MessageView {
  return {
    head: Buffer.alloc(0),
    envelopeStart: 0,
    envelopeEnd: 0,
    propertiesStart: 0,
    propertiesEnd: 0,
    body: Buffer.alloc(0),
    bodyStart: 0,
    bodyEnd: 0,
    expiresAt: 0,
    priority: 0,
    dueAt: 0,
    identity: null,
  };
}
