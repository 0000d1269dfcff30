// Where the gateway will listen: every address settled and seen to be free before any thread starts.

import type { GatewayConfig } from '../config/types.ts';
import type { Listening } from '../workers/data-settings.ts';
import { expandWildcard, probeEndpoint } from '../workers/own-addresses.ts';

/** @throws Error that names the address and what is in the way */
export async function settlePorts(config: GatewayConfig): Promise<Listening> {
  const dns = [];
  for (const endpoint of config.listen.dns.flatMap(expandWildcard))
    dns.push(await probeEndpoint(endpoint, ['udp', 'tcp']));
  const settle = async (endpoints: GatewayConfig['listen']['dot']) => {
    const settled = [];
    for (const endpoint of endpoints) settled.push(await probeEndpoint(endpoint, ['tcp']));
    return settled;
  };
  const { listen } = config;
  return {
    dns,
    dot: await settle(listen.dot),
    doh: await settle(listen.doh),
    proxy: await settle(listen.proxy),
    web: await settle(listen.web),
  };
}
