// Kinds of keys that several parts of gateway.yaml have: where to listen, and networks.

import { z } from 'zod';
import { parseListen, parseNetwork } from '../values.ts';
import { optional, textOf } from './keys.ts';

export const listen = (says: string, fallback: readonly string[]) =>
  optional(z.array(textOf(parseListen)).min(1), {
    says,
    write: `write a list of addresses with ports, for example ["${fallback[0]}"]`,
    fallback,
  });

/** Where to listen for what is off unless it is asked for. */
export const extraListen = (says: string, example: string) =>
  optional(z.array(textOf(parseListen)), {
    says,
    write: `write a list of addresses with ports, for example ["${example}"]`,
    fallback: [],
  });

export const networks = (says: string, fallback: readonly string[]) =>
  optional(z.array(textOf(parseNetwork)), {
    says,
    write: 'write a list of addresses or networks, for example ["10.0.0.0/8"]',
    fallback,
  });
