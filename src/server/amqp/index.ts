export { AmqpServer, type AmqpServerOptions } from './server.ts';
export { defaultAmqpSettings, type AmqpSettings } from './settings.ts';
