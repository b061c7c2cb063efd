export type { TlsIdentity } from './tls-listener.ts';
