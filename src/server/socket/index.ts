export type { TlsIdentity } from './tls-listener.ts';
export { Admission, type AdmissionLimits } from './admission.ts';
