export { AmqpServer, type AmqpServerOptions } from './server.ts';
export type { TlsIdentity } from './tls-listener.ts';
export { defaultAmqpSettings, type AmqpSettings } from './settings.ts';
