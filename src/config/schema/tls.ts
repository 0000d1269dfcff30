// The `tls` and `listen.proxy_protocol` parts of gateway.yaml: their keys, their defaults and meanings.

import { z } from 'zod';
import { parseName, parseNetwork, parseText } from '../values.ts';
import { GATEWAY_DEFAULTS as D } from './defaults.ts';
import { optional, required, textOf } from './keys.ts';

export const PROXY_PROTOCOL_ON = ['dns-tcp', 'dot', 'doh'] as const;

export const tls = z.strictObject({
  cert: required(textOf(parseText), {
    says: 'The certificate in PEM, its chain after it; relative to gateway.yaml. It is read again on a reload, and no connection is dropped.',
    write: 'write cert: and the path of a file, for example gateway.crt',
  }),
  key: required(textOf(parseText), {
    says: 'Its private key in PEM, without a passphrase; relative to gateway.yaml. Only the gateway’s user should be able to read it.',
    write: 'write key: and the path of a file, for example gateway.key',
  }),
  host: optional(textOf(parseName), {
    says: 'The name in the certificate, which clients are told to use. `<id>.<host>` is how a device says its client id over DoT. Left out: `web.public.host`.',
    write: 'write a host name, for example gateway.example.sch.uk',
  }),
});

export const proxyProtocol = z.strictObject({
  from: required(z.array(textOf(parseNetwork)).min(1), {
    says: 'The forwarders in front of the gateway. Each of their connections must begin with a PROXY header (version 1 or 2), and the client’s address is taken from it. From anyone else such a header ends the connection.',
    write: 'write a list of addresses or networks, for example ["10.0.0.5"]',
  }),
  on: optional(z.array(z.enum(PROXY_PROTOCOL_ON)).min(1), {
    says: 'Where they send it: `dns-tcp` (DNS over TCP), `dot`, `doh`. Not for UDP.',
    write: 'write a list of: dns-tcp, dot, doh',
    fallback: D.proxyProtocolOn,
  }),
});
