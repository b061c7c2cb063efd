/** Whoever types a command doesn't wait as long as a service does, neither for the first connection nor for a lost one. */
export const patienceMs = 3_000;
