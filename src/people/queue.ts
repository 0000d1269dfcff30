// Work in a line for each key: one at a time for the same key, side by side for different ones. Bounded.

import { PasswordsBusy } from './passwords.ts';

/** Rejects with PasswordsBusy when `max` pieces of work already wait for the same key. */
export const createQueue = (max: number) => {
  const lines = new Map<string, { tail: Promise<unknown>; length: number }>();
  return async <T>(key: string, work: () => Promise<T>): Promise<T> => {
    const line = lines.get(key) ?? { tail: Promise.resolve(), length: 0 };
    if (line.length >= max) throw new PasswordsBusy('too many sign-ins to one account at once');
    lines.set(key, line);
    line.length += 1;
    const result = line.tail.then(work);
    line.tail = result.catch(() => undefined);
    try {
      return await result;
    } finally {
      line.length -= 1;
      if (line.length === 0) lines.delete(key);
    }
  };
};
