// Thread entry: answers searches of the audit log on a connection that can only read, so that a long one delays nobody.

import { parentPort, workerData } from 'node:worker_threads';
import { openReader } from '../audit/reader.ts';
import { lowerPriority } from './lower-priority.ts';
import type { ReaderAnswer, ReaderQuestion } from './messages.ts';

lowerPriority();
const reader = openReader({ file: (workerData as { file: string }).file });

parentPort!.on('message', (question: ReaderQuestion | { kind: 'stop' }) => {
  if (question.kind === 'stop') {
    reader.close();
    parentPort!.close();
    return;
  }
  parentPort!.postMessage(answer(question));
});

function answer(question: ReaderQuestion): ReaderAnswer {
  const { id } = question;
  try {
    return {
      id,
      ok: true,
      value: question.kind === 'events' ? reader.events(question.filter) : reader.verify(),
    };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    // Before the first event there is no file, and nothing to find.
    if (code === 'ENOENT' && question.kind === 'events')
      return { id, ok: true, value: { items: [], next: null } };
    return {
      id,
      ok: false,
      problem: message,
      code: error instanceof RangeError ? 'bad-cursor' : (code ?? 'failed'),
    };
  }
}
