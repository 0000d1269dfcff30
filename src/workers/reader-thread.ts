// Thread entry: answers searches of the audit log on a connection that can only read, so that a long one delays nobody.

import { enableCompileCache } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import { openReader } from '../audit/reader.ts';
import type { ReaderAnswer, ReaderQuestion } from './messages.ts';

enableCompileCache();

const reader = openReader({ file: (workerData as { file: string }).file });

parentPort!.on('message', (question: ReaderQuestion | { kind: 'stop' }) => {
  if (question.kind === 'stop') {
    reader.close();
    parentPort!.close();
    return;
  }
  let answer: ReaderAnswer;
  try {
    answer = {
      id: question.id,
      ok: true,
      value: question.kind === 'events' ? reader.events(question.filter) : reader.verify(),
    };
  } catch (error) {
    answer = { id: question.id, ok: false, problem: (error as Error).message };
  }
  parentPort!.postMessage(answer);
});
