import { method } from './method.ts';

export const channelOpen = method(20, 10, 'channel.open', { outOfBand: 'reserved shortstr' });
/** Its reserved field is a long string, hence four zero bytes. */
export const channelOpenOk = method(20, 11, 'channel.open_ok', { channelId: 'longstr' });
export const channelFlow = method(20, 20, 'channel.flow', { active: 'bit' });
export const channelFlowOk = method(20, 21, 'channel.flow_ok', { active: 'bit' });
export const channelClose = method(20, 40, 'channel.close', {
  replyCode: 'short',
  replyText: 'shortstr',
  classId: 'short',
  methodId: 'short',
});
export const channelCloseOk = method(20, 41, 'channel.close_ok', {});

/** Of the abandoned access class; some clients still ask. */
export const accessRequest = method(30, 10, 'access.request', {
  realm: 'shortstr',
  exclusive: 'bit',
  passive: 'bit',
  active: 'bit',
  write: 'bit',
  read: 'bit',
});
export const accessRequestOk = method(30, 11, 'access.request_ok', { ticket: 'short' });
