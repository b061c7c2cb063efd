/** The judge: records histories, checks them against a guarantee, and says what it found. See docs/VERIFY.md. */
export { bodyHash } from './body-hash.ts';
export { check, Checker, type CheckOptions } from './checker.ts';
export { FileRecorder, HISTORY_SUFFIX, type FileRecorderOptions } from './file-recorder.ts';
export { historyFiles, mergeByTime, readHistory } from './history-file.ts';
export {
  HistoryError,
  messageId,
  parseMessageId,
  type DeliverEvent,
  type EffectEvent,
  type FaultEvent,
  type FaultProof,
  type FaultProofEvent,
  type HistoryErrorCode,
  type HistoryEvent,
  type MessageId,
  type MessageIdentity,
  type PublishAnswerEvent,
  type PublishEvent,
  type RemovalEvent,
  type RemovalReason,
  type SettleEvent,
  type SettleHow,
  type SubscribeEvent,
} from './history.ts';
export { DEFAULT_MINIMUMS, NO_MINIMUMS, type Minimums } from './minimums.ts';
export { MemoryRecorder, monotonicNs, Recorder, type RemovalDetail } from './recorder.ts';
export { lostIn, renderReport, renderTable, type TableOptions } from './report.ts';
export {
  RULES,
  type Counts,
  type Guarantee,
  type QueueVerdict,
  type Rule,
  type Verdict,
  type Violation,
} from './verdict.ts';
