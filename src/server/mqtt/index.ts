export { MqttServer, type MqttServerOptions } from './server.ts';
export type { Authentication, AuthenticationStep, Authenticator } from './enhanced-authentication.ts';
export { defaultMqttSettings, type MqttSettings } from './settings.ts';
