/** Hot: what time it is, asked of the system once a turn: a thousand messages that are published in one have one time. */
let nowMs = 0;

const forget = (): void => {
  nowMs = 0;
};

/** Milliseconds since the epoch, when this was first asked in this turn. */
export function turnTime(): number {
  if (nowMs === 0) {
    nowMs = Date.now();
    // Behind all that the turn's promises lead to.
    process.nextTick(forget);
  }
  return nowMs;
}
