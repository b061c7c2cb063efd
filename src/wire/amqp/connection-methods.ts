import { method } from './method.ts';

export const connectionStart = method(10, 10, 'connection.start', {
  versionMajor: 'octet',
  versionMinor: 'octet',
  serverProperties: 'table',
  mechanisms: 'longstr',
  locales: 'longstr',
});
export const connectionStartOk = method(10, 11, 'connection.start_ok', {
  clientProperties: 'table',
  mechanism: 'shortstr',
  response: 'longstr',
  locale: 'shortstr',
});
export const connectionSecure = method(10, 20, 'connection.secure', { challenge: 'longstr' });
export const connectionSecureOk = method(10, 21, 'connection.secure_ok', { response: 'longstr' });
export const connectionTune = method(10, 30, 'connection.tune', {
  channelMax: 'short',
  frameMax: 'long',
  heartbeat: 'short',
});
export const connectionTuneOk = method(10, 31, 'connection.tune_ok', {
  channelMax: 'short',
  frameMax: 'long',
  heartbeat: 'short',
});
export const connectionOpen = method(10, 40, 'connection.open', {
  virtualHost: 'shortstr',
  capabilities: 'reserved shortstr',
  insist: 'reserved bit',
});
export const connectionOpenOk = method(10, 41, 'connection.open_ok', { knownHosts: 'reserved shortstr' });
export const connectionClose = method(10, 50, 'connection.close', {
  replyCode: 'short',
  replyText: 'shortstr',
  classId: 'short',
  methodId: 'short',
});
export const connectionCloseOk = method(10, 51, 'connection.close_ok', {});
export const connectionBlocked = method(10, 60, 'connection.blocked', { reason: 'shortstr' });
export const connectionUnblocked = method(10, 61, 'connection.unblocked', {});
export const connectionUpdateSecret = method(10, 70, 'connection.update_secret', {
  newSecret: 'longstr',
  reason: 'shortstr',
});
export const connectionUpdateSecretOk = method(10, 71, 'connection.update_secret_ok', {});
