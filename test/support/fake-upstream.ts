// A DNS server on loopback that answers from a table: the internet of the tests. UDP only; every name it is asked is kept.

import dgram from 'node:dgram';
import { once } from 'node:events';
import packet from 'dns-packet';

export type FakeUpstream = {
  readonly port: number;
  /** names asked, oldest first */
  readonly asked: string[];
  /** `null` makes the name unknown (NXDOMAIN); a name without an entry gets the default address */
  readonly records: Map<string, string | null>;
  /** names that are aliases; the whole chain is answered at once */
  readonly aliases: Map<string, string>;
  /** data of the HTTPS record (type 65) of a name */
  readonly services: Map<string, Buffer>;
  close(): Promise<void>;
};

export async function startFakeUpstream(defaultAddress = '127.0.0.1'): Promise<FakeUpstream> {
  const socket = dgram.createSocket('udp4');
  const asked: string[] = [];
  const records = new Map<string, string | null>();
  const aliases = new Map<string, string>();
  const services = new Map<string, Buffer>();
  socket.on('message', (message, peer) => {
    const query = packet.decode(message);
    const question = query.questions![0]!;
    const name = question.name.toLowerCase();
    asked.push(name);
    const chain: packet.Answer[] = [];
    let last = name;
    for (let next = aliases.get(last); next !== undefined; next = aliases.get(last)) {
      chain.push({ type: 'CNAME', name: last, ttl: 300, data: next });
      last = next;
    }
    const address = records.has(last) ? records.get(last)! : defaultAddress;
    const service = question.type === ('UNKNOWN_65' as 'A') ? services.get(name) : undefined;
    const answer = packet.encode({
      type: 'response',
      id: query.id,
      flags: packet.RECURSION_DESIRED | packet.RECURSION_AVAILABLE | (address === null ? 3 : 0),
      questions: query.questions,
      answers:
        service !== undefined
          ? [{ type: 'UNKNOWN_65' as 'NULL', name: question.name, ttl: 300, data: service }]
          : address !== null && question.type === 'A'
            ? [...chain, { type: 'A', name: last === name ? question.name : last, ttl: 300, data: address }]
            : chain,
    });
    socket.send(answer, peer.port, peer.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    port: socket.address().port,
    asked,
    records,
    aliases,
    services,
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}
