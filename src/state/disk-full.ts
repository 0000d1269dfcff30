// Tells a full disk from other failures of a write to state.db or a file beside it. Does nothing about it.

/** As a failed write says it: the database file, its log or its shared memory found no room. */
const CODES = new Set(['SQLITE_FULL', 'SQLITE_IOERR_WRITE', 'SQLITE_IOERR_SHMSIZE', 'ENOSPC', 'EDQUOT']);

/** True for anything thrown that means there is no room on the disk. */
export const isDiskFull = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'code' in error && CODES.has(String(error.code));
