/** The most that any engine takes: what is larger is refused as `too-large`. `RefusalReason` in engine.ts tells of them. */

/** Of a body; of a keyed value together with its key. */
export const MAX_BODY_BYTES = 128 * 1024 * 1024;
export const MAX_PROPERTIES_BYTES = 0xff_ffff;
export const MAX_ENVELOPE_BYTES = 0xffff;
/** Of the bodies, properties and keyed values of one atomic batch together. */
export const MAX_ATOMIC_BYTES = 256 * 1024 * 1024;
